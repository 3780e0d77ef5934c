"""Caches results of tensor functions and reuses them only if the inputs certainly didn't change.

Cross-attention reads the same text in every block, so a network's result for it can be cached. An
input certainly didn't change if

- it is the same tensor object with the same version counter, which torch raises at every write into
  its storage (the memo holds the object, so no other can get its identity); or
- it is on the CPU and its numbers equal those of a copy in the memo.

Tensors made in inference mode have no version counter, and comparing numbers on an accelerator
would make the CPU wait, so nothing is cached for such tensors. Hosts that want the cache there pass
ordinary tensors (compat/comfyui/model.py). Results are ordinary tensors, so that writes into them
are noticed too.

Every entry is checked on its own each time it is used. Threads, clones, other prompts and aborted
runs can make an entry useless, but never wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

KEPT = 8  # enough for positive, negative and some regional prompts, each in its own call


class Memo:
    """The last few results of a function of tensors."""

    def __init__(self) -> None:
        self._entries: tuple[Entry, ...] = ()

    def recall(
        self,
        key: Hashable,
        inputs: tuple[Tensor, ...],
        compute: Callable[[], tuple[Tensor, ...]],
    ) -> tuple[Tensor, ...]:
        """The results of compute(), which depend on `inputs` and, apart from tensors, on `key`.

        A cached result takes no part in autograd.
        """
        if torch.compiler.is_compiling() or not all(map(can_be_checked, inputs)):
            return compute()
        entries = self._entries
        for entry in entries:
            if entry.answers(key, inputs):
                return entry.results
        with torch.inference_mode(False), torch.no_grad():
            results = tuple(r.clone() if r.is_inference() else r for r in compute())
            entry = Entry(key, tuple(map(Seen, inputs)), results, tuple(map(version, results)))
        self._entries = (entry, *entries[: KEPT - 1])
        return results

    def clear(self) -> None:
        self._entries = ()


def can_be_checked(tensor: Tensor) -> bool:
    """Can a later change of this tensor be noticed without waiting for its device?

    Not if gradients flow through it. Not while a CUDA graph is recorded either: a replay writes new
    numbers into the same inputs, but would still use the cached result.
    """
    if tensor.requires_grad and torch.is_grad_enabled():
        return False
    if tensor.device.type == "cpu":
        return True
    return not tensor.is_inference() and not (
        tensor.is_cuda and torch.cuda.is_current_stream_capturing()
    )


def version(tensor: Tensor) -> int | None:
    """torch's count of writes into the tensor's storage; None for an inference tensor."""
    return None if tensor.is_inference() else tensor._version


class Seen:
    """A tensor at the time it was cached: the object, its version and, on the CPU, its numbers."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.version = version(tensor)
        self.copy = tensor.clone() if tensor.device.type == "cpu" else None

    def is_like(self, tensor: Tensor) -> bool:
        if tensor is self.tensor and self.version is not None and self.version == version(tensor):
            return True
        return (
            self.copy is not None
            and tensor.device == self.copy.device
            and tensor.dtype == self.copy.dtype
            and tensor.shape == self.copy.shape
            and torch.equal(tensor, self.copy)
        )


@dataclass(frozen=True)
class Entry:
    key: Hashable
    inputs: tuple[Seen, ...]
    results: tuple[Tensor, ...]
    versions: tuple[int | None, ...]  # of the results, because callers may write into them

    def answers(self, key: Hashable, inputs: tuple[Tensor, ...]) -> bool:
        return (
            key == self.key
            and len(inputs) == len(self.inputs)
            and self.versions == tuple(map(version, self.results))
            and all(seen.is_like(tensor) for seen, tensor in zip(self.inputs, inputs, strict=True))
        )
