"""Several processes train one network together, each on its share of every batch.

Every process draws the whole batch from (seed, n): pictures, noise, timesteps, and dropout. Each
computes an equal share of it, and the gradients are averaged. So N processes make the same update
that one process would make with the whole batch, except for rounding, because numbers are added in
another order. Between the processes, results agree bit by bit, because all get the same average.
What follows from it (clipping, going back after a blow-up) is therefore decided alike in all of
them, without an exchange. One activation is an exception: rrelu draws for negative numbers only,
so its slopes depend on the other samples in the batch.

`connected` connects processes by torch.distributed. `present` finds the connection that it, or any
other launcher, has made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .diffusion import Batch


@dataclass(frozen=True)
class Processes:
    """This process's number and how many there are.

    All methods but `share` exchange data with the other processes: every process must call them,
    and they raise ConnectionError when another process has ended.
    """

    number: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Is this the process that writes the files?"""
        return self.number == 0

    def share(self, whole: Tensor) -> Tensor:
        """This process's rows of (B, …). B must be a multiple of the count."""
        return whole.chunk(self.count)[self.number]

    def any(self, is_true: bool) -> bool:
        """Is it true in any process?"""
        if self.count == 1:
            return is_true
        found = torch.tensor(int(is_true))
        with exchanging():
            torch.distributed.all_reduce(found)
        return bool(found)

    def agree(self, value: Any) -> bool:
        """Do all processes have the same value? Blocks until every process has called it."""
        values = [value]
        if self.count > 1:
            values *= self.count
            with exchanging():
                torch.distributed.all_gather_object(values, value)
        return all(each == value for each in values)

    def told(self, value: Any = None) -> Any:
        """The leading process's value, in every process. The others wait for it."""
        said = [value]
        if self.count > 1:
            with exchanging():
                torch.distributed.broadcast_object_list(said, device=torch.device("cpu"))
        return said[0]


@contextmanager
def exchanging() -> Iterator[None]:
    """Raises ConnectionError where another process has ended."""
    try:
        yield
    except RuntimeError as fault:  # gloo has no error class of its own for a lost process
        raise ConnectionError(f"Another process that trains along has ended: {fault}") from fault


ALONE = Processes()


def present() -> Processes:
    """The processes that a launcher has connected; ALONE without one."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return ALONE
    return Processes(torch.distributed.get_rank(), torch.distributed.get_world_size())


@contextmanager
def connected(backend: str, **connection: Any) -> Iterator[Processes]:
    """Inside, the processes are connected. connection: arguments of init_process_group.

    At the end the group is destroyed, with its threads, because a group that outlives the
    interpreter aborts the process. Gloo's thread frees the tensors of the last exchange shortly
    after all have the result, and needs Python's lock for it. A thread that asks an ending
    interpreter for the lock is killed inside a C++ destructor ("terminate called without an active
    exception").
    """
    # Must be imported before the group exists. Its functions have the current group as a default
    # argument, and would keep it alive for ever. Every optimizer imports it, through torch._dynamo.
    import torch.distributed.nn

    torch.distributed.init_process_group(backend, **connection)
    try:
        yield present()
    finally:
        torch.distributed.destroy_process_group()


@contextmanager
def drawing_for_all(network: nn.Module, processes: Processes) -> Iterator[None]:
    """Inside, dropout draws for the whole batch, and each process uses its share of the draw."""

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


def share_of(batch: Batch, processes: Processes) -> Batch:
    """This process's part of a batch."""
    weights = None if batch.weights is None else processes.share(batch.weights)
    condition = {key: processes.share(value) for key, value in batch.condition.items()}
    return Batch(processes.share(batch.latents), condition, weights)
