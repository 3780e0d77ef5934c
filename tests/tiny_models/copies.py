"""Copies of a model's weights that live anywhere in this process. Written without hypernet."""

from __future__ import annotations

import gc
from collections.abc import Mapping

import torch
from torch import Tensor, nn

KINDS = (Tensor, nn.Parameter)
LEAST = 64  # numbers; smaller tensors are equal by chance


def copies_of(weights: Mapping[str, Tensor]) -> list[str]:
    """The names of weights whose numbers lie in memory once more, in these or rounded ones.

    Tensors that only a backward pass holds are not seen.
    """
    own = {place_of(weight) for weight in weights.values()}
    by_shape: dict[torch.Size, list[str]] = {}
    for name, weight in weights.items():
        if weight.numel() >= LEAST and weight.unique().numel() > 1:
            by_shape.setdefault(weight.shape, []).append(name)
    found = []
    for each in gc.get_objects():
        if type(each) not in KINDS or each.is_meta or each.shape not in by_shape:
            continue
        if place_of(each) in own:
            continue
        names = by_shape[each.shape]
        found += [name for name in names if torch.equal(weights[name].to(each.dtype), each)]
    return sorted(found)


def place_of(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
