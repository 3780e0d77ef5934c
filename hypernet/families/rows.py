"""What a row of the tables says: in which lists of a model its attention lies, in modules of which
class, and which linear layers make keys and values there.

A fused layer makes queries, keys and values (and more) at once, one after the other in the rows of
its weight. How many rows each has is read from the module that splits them, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Separate:
    """Two layers, one for keys and one for values."""

    stream: str  # one of PLACES
    k: str  # the layer's name in the attention module
    v: str
    optional: bool = False  # some blocks of the class have none


@dataclass(frozen=True)
class Fused:
    """One layer for queries, keys, values, and perhaps for something else behind them."""

    stream: str
    layer: str
    rows: Callable[[nn.Module], tuple[int, ...]]  # attention module → rows of q, k, v and the rest


@dataclass(frozen=True)
class Attention:
    """The attention of the blocks in some lists of a model."""

    parts: tuple[str, ...]  # paths of lists, in the order in which the model runs them
    path: str  # from a block to its attention module; "" is the block itself
    kinds: tuple[str, ...]  # classes that the attention module may have, as "module.Class"
    layers: tuple[Separate | Fused, ...]
    every: bool = True  # each block has it; otherwise it is wherever `path` ends a module's path


@dataclass(frozen=True)
class Family:
    """A class of models. Streams of its rows are counted in the rows' order."""

    architecture: str | Callable[[nn.Module], str]
    attentions: tuple[Attention, ...]


class Changed(Exception):
    """A model is not as its row says."""


def linear_shape(layer: Any) -> tuple[int, int]:
    """Rows and columns of a linear layer's weight: widths of what comes out and what goes in.

    Quantised weights may be packed, so the layer's own numbers come first; foreign classes have
    none. Raises Changed if there are neither.
    """
    if hasattr(layer, "in_features") and hasattr(layer, "out_features"):
        return int(layer.out_features), int(layer.in_features)
    shape = tuple(getattr(layer.weight, "shape", ()))
    if len(shape) != 2:
        needed = "in_features"
        raise Changed(f"{type(layer).__name__} has no {needed}")
    return shape
