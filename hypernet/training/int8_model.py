"""Puts a frozen model's weights into int8 for a training, and gives the originals back."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeGuard

import torch
from torch import nn

from ..apply.int8 import SCALE, packed
from ..apply.sites import packed_forward
from .memory_saving import computed_by

Layer = nn.Linear | nn.Conv2d
KINDS = (nn.Linear, nn.Conv2d)


@contextmanager
def in_int8(layers: Iterable[Layer]) -> Iterator[None]:
    """Inside, the weights of these layers are in int8, where the layers are.

    The originals wait in RAM. A weight that is in float8 already is kept, and used likewise. One
    that somebody replaces meanwhile stays replaced.
    """
    layers, before = list(layers), []
    try:
        for layer in layers:
            before.append((layer, *pack(layer)))
        with computed_by({layer: packed_forward(layer) for layer in layers}):
            yield
    finally:
        for layer, ours, original in before:
            unpack(layer, ours, original)


@torch.no_grad()
def pack(layer: Layer) -> tuple[nn.Parameter, nn.Parameter]:
    """Pack the layer's weight in place. Returns what it has now, and what it had, in RAM."""
    weight: Any = layer.weight
    if is_float8(weight):
        layer.register_buffer(SCALE, None, persistent=False)
        return weight, weight
    small, scale = packed(weight)
    ours = nn.Parameter(small, requires_grad=False)
    layer.register_buffer(SCALE, scale, persistent=False)
    layer.weight = ours
    if weight.device.type != "cpu":
        weight = nn.Parameter(weight.to("cpu"), requires_grad=weight.requires_grad)
    return ours, weight


def unpack(layer: nn.Module, ours: nn.Parameter, original: nn.Parameter) -> None:
    """Give the layer its weight back, where the packed one is now."""
    delattr(layer, SCALE)
    if layer.weight is not ours or original is ours:
        return
    if ours.device != original.device:
        moved = original.detach().to(ours.device)
        original = nn.Parameter(moved, requires_grad=original.requires_grad)
    layer.weight = original


def is_float8(weight: torch.Tensor) -> bool:
    return weight.is_floating_point() and weight.element_size() == 1


def plain_layers(parts: Iterable[nn.Module], but: Container[nn.Module] = ()) -> list[Layer]:
    """The layers inside these parts that can be packed: torch's own, with ordinary weights."""
    return [
        layer
        for part in parts
        for layer in part.modules()
        if type(layer) in KINDS and is_packable(layer) and layer not in but
    ]


def is_packable(layer: nn.Module) -> TypeGuard[Layer]:
    """Has it an ordinary weight, and no forward that somebody set?"""
    if not isinstance(layer, KINDS):
        return False
    if isinstance(layer, nn.Conv2d) and (
        layer.padding_mode != "zeros" or isinstance(layer.padding, str)
    ):
        return False
    weight: Any = layer.weight
    ordinary = type(weight) is nn.Parameter and weight.is_floating_point()
    return ordinary and weight.device.type != "meta" and "forward" not in vars(layer)
