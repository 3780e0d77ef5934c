"""Records passes as CUDA graphs and replays them, so that the card does not wait for Python.

A pass through Stable Diffusion is thousands of small kernels, which a card computes faster than
Python names them. A graph names them all at once. It reads its inputs from tensors that stay where
they are, and adds to gradients that stay too.

The first passes of a kind and shape are computed as ever. Then one is recorded, replayed, and
compared with what was computed: only where loss and gradients agree are passes replayed from then
on. Whatever goes wrong, a sentence says so, and all go on being computed as ever.

On other devices a recorded pass is computed again from the same tensors. So all but the graph
itself is tested there.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .diffusion import TOKENS
from .passes import Inputs

log = logging.getLogger(__name__)

COMPUTED = 3  # passes of a kind and shape before one is recorded; kernels choose their ways in them
LOSSES_AGREE = 1e-3  # relative; replaying repeats the same kernels, some of which add in any order
GRADIENTS_AGREE = 1e-2

Compute = Callable[[Inputs], Tensor]  # adds gradients and returns the loss, ()
Key = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Recorded:
    """inputs: what it reads. loss: where it leaves its loss. play() computes it once more."""

    inputs: Inputs
    loss: Tensor
    play: Callable[[], object]


class Recorder:
    """Serves one network and one model. hear: gets a sentence if passes cannot be replayed."""

    def __init__(self, network: nn.Module, device: torch.device, hear: Callable[[str], object]):
        self.works = True
        self._parameters = list(network.parameters())
        self._device = device
        self._hear = hear
        self._computed: Counter[Key] = Counter()
        self._recorded: dict[Key, Recorded] = {}
        self._gradients: dict[nn.Parameter, Tensor] = {}  # those that recorded passes add to
        self._where: Hashable = None
        self._pool: Any = None  # the memory of all recordings: they are played one after the other

    def begin(self, where: Hashable) -> None:
        """Begin an update, with gradients of 0. where: of the model's weights, as addresses.

        Graphs that were recorded with weights elsewhere are forgotten.
        """
        where = where, tuple(weight.data_ptr() for weight in self._parameters)
        if where != self._where:
            self._forget()
            self._where = where
        for weight, gradient in self._gradients.items():
            weight.grad = gradient.zero_()

    def give_up(self, reason: str) -> None:
        """Compute all passes as ever from here on."""
        if self.works:
            self._hear(f"cuda_graphs: updates are computed as ever, because {reason}.")
        self.works = False
        self._forget()

    def __call__(self, kind: str, compute: Compute, inputs: Inputs) -> Tensor:
        """compute(inputs), or its like."""
        if not self.works:
            return compute(inputs)
        key = kind, alike(inputs)
        if found := self._recorded.get(key):
            fill(found.inputs, inputs)
            found.play()
            return found.loss.clone()
        self._computed[key] += 1
        if self._computed[key] <= COMPUTED:
            return compute(inputs)
        return self._record(key, compute, inputs)

    def _forget(self) -> None:
        self._recorded.clear()
        self._computed.clear()
        self._gradients.clear()
        self._pool = None

    def _record(self, key: Key, compute: Compute, inputs: Inputs) -> Tensor:
        """Compute this pass as ever, and record it for the next ones."""
        before = {weight: copy_of(weight.grad) for weight in self._parameters}
        loss = compute(inputs)
        after = {
            weight: weight.grad.clone() for weight in self._parameters if weight.grad is not None
        }
        if not all(torch.isfinite(each).all() for each in (loss, *after.values())):
            return loss  # an overflow in float16 says nothing about the next one
        self._gradients = {weight: weight.grad for weight in after if weight.grad is not None}
        try:
            made = self._made(compute, inputs)
            self._set_gradients(before)
            made.play()
            fault = self._disagreement(loss, made.loss, before, after)
        except Exception as raised:  # any kind: hosts and kernels raise what they like
            log.info("Recording an update failed", exc_info=raised)
            line = (str(raised).strip().splitlines() or [type(raised).__name__])[0]
            fault = f"recording one failed ({line[:200]})"
        if fault:
            self.give_up(fault)
            for weight, gradient in after.items():
                weight.grad = gradient
        else:
            self._recorded[key] = made
        return loss

    def _made(self, compute: Compute, inputs: Inputs) -> Recorded:
        own = mapped(torch.clone, inputs)
        loss = torch.zeros((), device=self._device)

        def run() -> None:
            loss.copy_(compute(own))

        if self._pool is None and self._device.type == "cuda":
            self._pool = torch.cuda.graph_pool_handle()
        return Recorded(own, loss, playable(run, self._device, self._pool))

    def _set_gradients(self, values: Mapping[nn.Parameter, Tensor | None]) -> None:
        for weight, gradient in self._gradients.items():
            value = values[weight]
            gradient.zero_() if value is None else gradient.copy_(value)

    def _disagreement(
        self,
        expected: Tensor,
        found: Tensor,
        before: Mapping[nn.Parameter, Tensor | None],
        after: Mapping[nn.Parameter, Tensor],
    ) -> str:
        """Why a replayed pass may not be used; "" if it did what the computed one did."""
        if abs(float(found) - float(expected)) > LOSSES_AGREE * abs(float(expected)):
            return f"a recorded one gave another loss ({float(found):.6g}, {float(expected):.6g})"
        size = apart = 0.0
        for weight, gradient in after.items():
            start = before[weight]
            size += float((gradient if start is None else gradient - start).square().sum())
            apart += float((gradient - self._gradients[weight]).square().sum())
        if apart**0.5 > GRADIENTS_AGREE * size**0.5:
            return (
                f"a recorded one gave other gradients ({apart**0.5:.3g} of {size**0.5:.3g} apart)"
            )
        return ""


def playable(
    run: Callable[[], object], device: torch.device, pool: Any = None
) -> Callable[[], object]:
    """run as a CUDA graph, which runs only when it is played; elsewhere, run itself.

    pool: of memory, which graphs share that are never played at the same time.
    """
    if device.type != "cuda":
        return run
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):  # waits for the card and empties its cache first
        run()
    return graph.replay


def alike(inputs: Inputs) -> tuple[Any, ...]:
    """The same for inputs with which a pass is computed in the same way."""
    condition = inputs.question.condition
    lengths = [(k, *condition[k].tolist()) for k in sorted(condition) if k.endswith(TOKENS)]
    return *lengths, *((each.shape, each.dtype) for each in tensors_in(inputs))


def tensors_in(inputs: Any) -> Iterator[Tensor]:
    """All tensors of tuples and dicts in one another, in the same order for the same keys."""
    if isinstance(inputs, Tensor):
        yield inputs
    elif isinstance(inputs, Mapping):
        for key in sorted(inputs):
            yield from tensors_in(inputs[key])
    elif isinstance(inputs, Sequence):
        for each in inputs:
            yield from tensors_in(each)


def mapped(change: Callable[[Tensor], Tensor], inputs: Any) -> Any:
    """The same tuples and dicts with changed tensors."""
    if isinstance(inputs, Tensor):
        return change(inputs)
    if isinstance(inputs, Mapping):
        return {key: mapped(change, each) for key, each in inputs.items()}
    if isinstance(inputs, tuple):
        each = [mapped(change, one) for one in inputs]
        return type(inputs)(*each) if hasattr(inputs, "_fields") else tuple(each)
    return inputs


def fill(own: Inputs, inputs: Inputs) -> None:
    for target, each in zip(tensors_in(own), tensors_in(inputs), strict=True):
        target.copy_(each, non_blocking=True)


def copy_of(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.clone()
