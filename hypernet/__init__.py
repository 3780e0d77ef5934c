"""Hypernetworks for Stable Diffusion: the networks, their files, their training. Needs only torch.

Shapes in this package: B batch, T tokens, C width, H W pixel rows and columns, c latent channels,
h w latent rows and columns.
"""

from .formats.networks import open_network, save_network
from .network.hypernetwork import Hypernetwork, Record
from .network.spec import HypernetSpec, parse_structure
from .training.auto import AutoSettings
from .training.schedule import parse_schedule
from .training.settings import TrainSettings

__all__ = [
    "AutoSettings",
    "HypernetSpec",
    "Hypernetwork",
    "Record",
    "TrainSettings",
    "open_network",
    "parse_schedule",
    "parse_structure",
    "save_network",
]
