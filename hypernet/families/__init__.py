"""Which models a network can act on, and where: the tables of families, the census of a model, and
which families may use each other's networks.

To add a family, add a row to the table of its host, and a tiny model of it for the tests: to
tests/tiny_models for diffusers, to tests/live/tiny_models.py for ComfyUI.
"""

from .census import Census, Site, take_census
from .equals import misfit

__all__ = ["Census", "Site", "misfit", "take_census"]
