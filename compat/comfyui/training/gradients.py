"""Makes ComfyUI's models compute what a backward pass can follow. Results stay bitwise the same.

- Kernels without a backward pass: ComfyUI leaves most of them out while `in_training` is set. The
  blocks of Cosmos Predict2 and Anima do not ask; they get the same formulas in plain torch.
- Blocks of Flux, Chroma and Hunyuan add to their streams in place, which destroys what a layer norm
  without weights has saved for the backward pass; so norms read copies. When a block is computed
  again, it needs its inputs as they were, so it gets copies of them, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import comfy.model_management as management
import comfy.quant_ops
from torch import Tensor, nn

from hypernet.training.memory_saving import Forward, computed_by


@contextmanager
def in_training() -> Iterator[None]:
    """Inside, ComfyUI uses no kernels that lack a backward pass."""
    before = management.in_training
    kernels = getattr(comfy.quant_ops, "ck", None)  # None before ComfyUI had any
    try:
        management.in_training = True
        if kernels is not None:
            comfy.quant_ops.ck = _PlainKernels(kernels)
        yield
    finally:
        management.in_training = before
        if kernels is not None:
            comfy.quant_ops.ck = kernels


class _PlainKernels:
    """comfy_kitchen, with rotary embeddings in plain torch."""

    def __init__(self, kernels: Any):  # a module
        self._kernels = kernels

    def __getattr__(self, name: str) -> Any:
        if "rope" in name:
            from comfy_kitchen.backends.eager import rope

            if hasattr(rope, name):
                return getattr(rope, name)
        return getattr(self._kernels, name)


def norms_reading_copies(network: nn.Module) -> AbstractContextManager[None]:
    """Inside, what layer norms without weights save cannot be changed in place."""
    norms = [
        layer
        for layer in network.modules()
        if isinstance(layer, nn.LayerNorm) and layer.weight is None
    ]
    return computed_by({norm: _of_a_copy(norm.forward) for norm in norms})


def _of_a_copy(own: Forward) -> Forward:
    return lambda x, *more, **named: own(x.clone(), *more, **named)


def copies(inputs: Iterable[Any]) -> list[Any]:
    """The inputs of a block, with copies of the tensors among them."""
    return [each.clone() if isinstance(each, Tensor) else each for each in inputs]
