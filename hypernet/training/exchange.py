"""Averages gradients over all processes, while the backward pass still goes on.

The gradients of an MLP are sent as soon as all of them are there. The MLPs of a UNet's middle are
ready first, and their sums come back while the outer blocks are still being computed. DDP does the
same; here the parts are MLPs, and one backward pass out of several per update may be the last one.

Processes must send in the same order. The leading process tells the order in which MLPs were ready
in its first update, in which nothing is sent ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from ..network.hypernetwork import Hypernetwork, ResidualMlp
from .parallel import Processes, exchanging


class Exchange:
    """Serves one network, for as long as it is trained. All processes must make the same calls."""

    def __init__(self, network: Hypernetwork, processes: Processes):
        self.processes = processes
        self._parts = [
            list(mlp.parameters()) for mlp in network.modules() if isinstance(mlp, ResidualMlp)
        ]
        self._order: list[int] | None = None  # of the parts
        self._ready: list[int] = []  # parts, in the order in which they got their gradients
        self._sent: dict[int, Sum] = {}

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Inside is the last backward pass of an update, which completes the gradients.

        It may be repeated if it failed. What was sent then is not sent again, because the others
        have counted it.
        """
        self._ready.clear()
        with ExitStack() as hooks:
            if self.processes.count > 1:
                for number, part in enumerate(self._parts):
                    self._watch(number, part, hooks)
            yield

    def _watch(self, number: int, part: list[nn.Parameter], hooks: ExitStack) -> None:
        missing = set(part)

        def complete(weight: nn.Parameter) -> None:
            missing.discard(weight)
            if not missing and number not in self._ready:
                self._ready.append(number)
                self._send_ready()

        for weight in part:
            hooks.callback(weight.register_post_accumulate_grad_hook(complete).remove)

    def _send_ready(self) -> None:
        for number in (self._order or [])[len(self._sent) :]:
            if number not in self._ready:
                return
            self._sent[number] = Sum(gradients_of(self._parts[number]))

    def finish(self, loss: Tensor) -> Tensor:
        """Average the gradients, in place. Returns the average of the scalar losses."""
        count = self.processes.count
        if count == 1:
            return loss
        rest = [n for n in range(len(self._parts)) if n not in self._sent]
        gradients = [loss, *(each for n in rest for each in gradients_of(self._parts[n]))]
        last = Sum(gradients)
        for number, each in self._sent.items():
            each.average(count, gradients_of(self._parts[number]))
        last.average(count, gradients)
        self._sent.clear()
        if self._order is None:
            self._order = self.processes.told(list(self._ready))
        return loss


class Sum:
    """Copies of tensors, on their way to become the sums of all processes."""

    def __init__(self, tensors: Iterable[Tensor]):
        self._flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with exchanging():
            work = torch.distributed.all_reduce(self._flat, async_op=True)
        assert work is not None  # only for a process that is not in the group
        self._work = work

    def average(self, count: int, tensors: Iterable[Tensor]) -> None:
        """Wait for the sums. Put sums ÷ count into the tensors, which have the same shapes."""
        with exchanging():
            self._work.wait()
        self._flat /= count
        start = 0
        for tensor in tensors:
            tensor.copy_(self._flat[start : start + tensor.numel()].view_as(tensor))
            start += tensor.numel()


def gradients_of(part: Iterable[nn.Parameter]) -> list[Tensor]:
    return [weight.grad for weight in part if weight.grad is not None]
