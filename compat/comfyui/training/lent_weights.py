"""Lends a model ordinary tensors in place of inference tensors, and takes them back.

ComfyUI runs nodes in `torch.inference_mode()`, so weights that a graph has loaded are inference
tensors, which autograd refuses to save. Ordinary tensors share their storage, so this takes no
memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


class LentWeights:
    """Lends a module ordinary tensors that share the storage of its inference tensors.

    Meanwhile `requires_grad` of its other tensors is off.
    """

    def __init__(self, module: torch.nn.Module):
        self._module = module
        self._loans: list[tuple[dict, str, Tensor, Tensor]] = []
        self._frozen: list[Tensor] = []
        self._weights: list[Tensor] = []

    def lend(self) -> None:
        for tensors, name, tensor in tensors_of(self._module):
            if tensor.is_inference():
                substitute = without_inference(tensor)
                tensors[name] = substitute
                self._loans.append((tensors, name, tensor, substitute))
            elif tensor.requires_grad:
                tensor.requires_grad_(False)
                self._frozen.append(tensor)
            self._weights.append(tensors[name])

    def are_spoilt(self) -> bool:
        """Has ComfyUI moved weights since? Moving in inference mode makes inference tensors."""
        return any(weight.is_inference() for weight in self._weights)

    def take_back(self) -> None:
        """Put the originals back, except where ComfyUI has moved or replaced a weight since."""
        for tensors, name, original, substitute in self._loans:
            if tensors.get(name) is substitute and substitute.device == original.device:
                tensors[name] = original
        for tensor in self._frozen:
            tensor.requires_grad_(True)
        self._loans, self._frozen, self._weights = [], [], []


def tensors_of(module: torch.nn.Module) -> Iterator[tuple[dict[str, Any], str, Tensor]]:
    """Yields (its dict, its name there, tensor) for every parameter and buffer.

    The caller may replace an entry, but a parameter only by a parameter.
    """
    for part in module.modules():
        for tensors in (part._parameters, part._buffers):
            for name, tensor in list(tensors.items()):
                if tensor is not None:
                    yield tensors, name, tensor


def without_inference(tensor: Tensor) -> Tensor:
    plain = type(tensor.data) is Tensor
    if plain:
        ordinary = torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(
            tensor.untyped_storage(), tensor.storage_offset(), tensor.shape, tensor.stride()
        )
    else:  # a quantized weight is more than one storage
        ordinary = tensor.detach().clone()
    if isinstance(tensor, torch.nn.Parameter):
        ordinary = torch.nn.Parameter(ordinary, requires_grad=False)
    return ordinary
