"""Runs a frozen UNet in less memory or less time.

again      checkpointing: a layer is computed again in the backward pass instead of being kept
visiting   offloading: a layer's weights stay in RAM and are copied to the device while needed
compiled   a layer is compiled by torch

The three can be combined. `visiting` needs `again`, because otherwise the graph would hold the
copies of all layers until the backward pass. Results change by rounding only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

log = logging.getLogger(__name__)

Forward = Callable[..., Any]


def again(compute: Forward, *inputs: Any, **more: Any) -> Any:
    """compute(*inputs, **more), computed again in the backward pass, with the same dropout."""
    if not torch.is_grad_enabled():
        return compute(*inputs, **more)
    return checkpoint(compute, *inputs, use_reentrant=False, **more)


@contextmanager
def visiting(
    module: nn.Module, device: torch.device, but: Collection[nn.Module] = ()
) -> Iterator[None]:
    """Inside, the module computes with copies of its weights on the device.

    but: submodules whose weights stay where they are. A graph that is built inside keeps the
    copies that its backward pass needs.
    """
    staying = {id(part) for root in but for part in root.modules()}
    before: list[tuple[dict, str, Tensor]] = []
    try:
        for part in module.modules():
            if id(part) in staying:
                continue
            for tensors, name, tensor in own_tensors(part):
                before.append((tensors, name, tensor))
                tensors[name] = copy_on(device, tensor)
        yield
    finally:
        for tensors, name, tensor in before:
            tensors[name] = tensor


def own_tensors(module: nn.Module) -> Iterator[tuple[dict[str, Any], str, Tensor]]:
    """Yields (its dict, its name there, tensor) of each parameter and buffer, submodules aside."""
    # Any: one dict holds Parameters, the other Tensors
    for tensors in (module._parameters, module._buffers):
        for name, tensor in tensors.items():
            if tensor is not None:
                yield tensors, name, tensor


def addresses_of(module: nn.Module) -> tuple[int, ...]:
    """Where its weights and buffers are in memory."""
    parts = (tensor for part in module.modules() for _, _, tensor in own_tensors(part))
    return tuple(tensor.data_ptr() for tensor in parts)


def copy_on(device: torch.device, tensor: Tensor) -> Tensor:
    found = tensor.detach().to(device, copy=True)
    return nn.Parameter(found, requires_grad=False) if isinstance(tensor, nn.Parameter) else found


def visited(layer: nn.Module, device: torch.device) -> Forward:
    """The layer's forward with its weights copied to the device, also for the backward pass."""
    plain = layer.forward

    def compute(*inputs: Any, **more: Any) -> Any:
        with visiting(layer, device):
            return plain(*inputs, **more)

    return lambda *inputs, **more: again(compute, *inputs, **more)


def outermost(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> list[nn.Module]:
    """The module's layers of these kinds, except those inside another such layer."""
    found: list[nn.Module] = []
    for child in module.children():
        found += [child] if isinstance(child, kinds) else outermost(child, kinds)
    return found


@contextmanager
def computed_by(forwards: Mapping[nn.Module, Forward]) -> Iterator[None]:
    """Inside, each of these layers uses the given function as its forward."""
    before = {layer: vars(layer).get("forward") for layer in forwards}
    try:
        for layer, forward in forwards.items():
            layer.forward = forward
        yield
    finally:
        for layer, forward in before.items():
            del layer.forward
            if forward is not None:
                layer.forward = forward


@contextmanager
def compiled(layers: Iterable[nn.Module], hear: Callable[[str], object]) -> Iterator[None]:
    """Inside, the layers are compiled when they are first used.

    If compiling fails, `hear` gets one sentence, and all layers compute uncompiled.
    """
    compiler = Compiler(hear)
    with computed_by({layer: compiler.forward_of(layer) for layer in layers}):
        yield


class Compiler:
    """Compiles layers, until compiling fails for the first time."""

    def __init__(self, hear: Callable[[str], object]):
        self.hear = hear
        self.works = True

    def forward_of(self, layer: nn.Module) -> Forward:
        plain = layer.forward
        fast = torch.compile(plain)

        def forward(*inputs: Any, **more: Any) -> Any:
            if self.works:
                try:
                    return fast(*inputs, **more)
                except torch.OutOfMemoryError:
                    raise
                except Exception as fault:  # any kind; if the layer is at fault, plain fails too
                    self._give_up(fault)
            return plain(*inputs, **more)

        return forward

    def _give_up(self, fault: Exception) -> None:
        self.works = False
        log.info("torch.compile failed", exc_info=fault)
        reason = (str(fault).strip().splitlines() or [type(fault).__name__])[0]
        self.hear(f"Training goes on without compile, which failed here: {reason[:200]}")
