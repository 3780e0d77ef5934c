"""The sockets of our own, and how widgets get their defaults from the library's dataclasses."""

from dataclasses import dataclass, fields
from typing import Any

from ..compat import io
from ..hypernet.spec import HypernetSpec

CATEGORY = "hypernet"

HypernetSocket = io.Custom("HYPERNET")  # hypernet.Hypernetwork
ConfigSocket = io.Custom("HYPERNET_CONFIG")  # Config below
DatasetSocket = io.Custom("HYPERNET_DATASET")  # hypernet.dataset.Dataset


@dataclass(frozen=True)
class Config:
    """A network to be trained. With every_width the trained model's widths replace the spec's."""

    spec: HypernetSpec
    every_width: bool


def default(settings: type, name: str) -> Any:
    """The default of a dataclass field: the one place where a widget's default lives."""
    return next(field.default for field in fields(settings) if field.name == name)
