"""Which layers of ComfyUI's compute with weights of a byte each, made anew for every product.

ComfyUI casts a weight that is in float8 to the dtype of the model's arithmetic, and a graph would
keep that copy until the backward pass: the whole model once more, in twice the memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeGuard

from comfy.ops import disable_weight_init
from torch import nn

from hypernet.training.int8_model import Layer, is_float8, is_packable

KINDS = (disable_weight_init.Linear, disable_weight_init.Conv2d)


def packable_layers(parts: Iterable[nn.Module]) -> list[Layer]:
    """The layers inside these parts that compute as ComfyUI's own do, with plain weights."""
    return [layer for part in parts for layer in part.modules() if is_own(layer)]


def float8_layers(parts: Iterable[nn.Module]) -> list[Layer]:
    """Those of them whose weights are in float8 already."""
    return [layer for layer in packable_layers(parts) if is_float8(layer.weight)]


def is_own(layer: nn.Module) -> TypeGuard[Layer]:
    """Not quantized, not of another pack, and without LoRAs that are added on the fly."""
    if not isinstance(layer, KINDS) or layer.weight_function or layer.bias_function:
        return False
    its: Any = type(layer)
    own: Any = next(kind for kind in KINDS if isinstance(layer, kind))
    calls = its.forward, its.forward_comfy_cast_weights
    return calls == (own.forward, own.forward_comfy_cast_weights) and is_packable(layer)
