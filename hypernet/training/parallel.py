"""Processes that train one network together, each on its share of every batch.

A batch is drawn whole in every process, from (seed, n) as always: pictures, noise, timesteps, and
what dropout takes away. Each process computes an equal part of it and the gradients are averaged,
so N processes make the update that one would make with the whole batch. Only the order in which
numbers are added differs, so results agree to float rounding, not bit by bit. Between processes
they do agree bit by bit, because all get the same average; what follows from it (clipping, going
back after a blow-up) is decided alike everywhere and need not be told. One activation is an
exception: rrelu draws for negative numbers only, so its slopes depend on who else is in the batch.

torch.distributed connects them: `connected` for as long as a block lasts. `present` finds what it,
or any other launcher, has set up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Processes:
    """This process and how many there are. Every method must be called in all of them.

    Raises ConnectionError where another of them has ended.
    """

    number: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Does this one write the files?"""
        return self.number == 0

    def share(self, whole: Tensor) -> Tensor:
        """This process's rows of (B, …); B is a multiple of the count."""
        return whole.chunk(self.count)[self.number]

    def average(self, loss: Tensor, gradients: Iterable[Tensor]) -> Tensor:
        """The mean loss, a scalar; the gradients become their means, in place."""
        if self.count == 1:
            return loss
        tensors = [loss, *gradients]
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _exchange():
            torch.distributed.all_reduce(flat)
        flat /= self.count
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))
        return loss

    def any(self, is_true: bool) -> bool:
        """Is it true in one of them?"""
        if self.count == 1:
            return is_true
        found = torch.tensor(int(is_true))
        with _exchange():
            torch.distributed.all_reduce(found)
        return bool(found)

    def agree(self, value: Any) -> bool:
        """Do all have the same value? None goes on before all have come here."""
        values = [value]
        if self.count > 1:
            values *= self.count
            with _exchange():
                torch.distributed.all_gather_object(values, value)
        return all(each == value for each in values)

    def told(self, value: Any = None) -> Any:
        """What the leading process says; the others wait for it."""
        said = [value]
        if self.count > 1:
            with _exchange():
                torch.distributed.broadcast_object_list(said, device=torch.device("cpu"))
        return said[0]


@contextmanager
def _exchange() -> Iterator[None]:
    try:
        yield
    except RuntimeError as fault:  # gloo has no kind of its own for it
        raise ConnectionError(f"Another process that trains along has ended: {fault}") from fault


ALONE = Processes()


def present() -> Processes:
    """Those that a launcher has connected; ALONE without one."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return ALONE
    return Processes(torch.distributed.get_rank(), torch.distributed.get_world_size())


@contextmanager
def connected(backend: str, **connection: Any) -> Iterator[Processes]:
    """Inside, the processes are present. connection: as init_process_group has it.

    At the end the group is gone, with its threads. One that outlives the interpreter aborts the
    process: gloo's thread drops the tensors of the last exchange a moment after everybody has its
    result, which takes Python's lock, and a thread that asks an ending interpreter for its lock is
    torn down in the midst of a C++ destructor ("terminate called without an active exception").
    """
    # Its functions have "the group that there is" as a default, and so keep it for ever when they
    # are imported later; every optimizer imports them, by way of torch._dynamo.
    import torch.distributed.nn

    torch.distributed.init_process_group(backend, **connection)
    try:
        yield present()
    finally:
        torch.distributed.destroy_process_group()


@contextmanager
def drawing_for_all(network: nn.Module, processes: Processes) -> Iterator[None]:
    """Inside, dropout draws for the whole batch, and this process's part of it counts."""

    def enlarged(layer: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        return inputs[0].repeat(processes.count, *[1] * (inputs[0].ndim - 1))

    def own_part(layer: nn.Module, inputs: tuple[Tensor], drawn: Tensor) -> Tensor:
        return processes.share(drawn)

    with ExitStack() as hooks:
        for layer in network.modules():
            if processes.count > 1 and isinstance(layer, nn.Dropout):
                hooks.callback(layer.register_forward_pre_hook(enlarged).remove)
                hooks.callback(layer.register_forward_hook(own_part).remove)
        yield
