"""Which models a network can act on, and where: the tables of families, the census of a model, and
which families may use each other's networks."""

from .census import Census, Site, take_census
from .equals import misfit

__all__ = ["Census", "Site", "misfit", "take_census"]
