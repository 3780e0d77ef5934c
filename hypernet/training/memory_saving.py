"""Runs a frozen UNet in less memory or less time.

again      checkpointing: a layer is computed again in the backward pass instead of being kept
Swap       offloading: a layer's weights stay in RAM and are copied to the device while needed
compiled   a layer is compiled by torch

The three can be combined. Swapped layers are computed again, because otherwise the graph would hold
the copies of all of them until the backward pass. Results change by rounding only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

log = logging.getLogger(__name__)

ALL = 1_000_000  # blocks to swap

Forward = Callable[..., Any]
# A module's dict of tensors, a name in it, and a tensor. Any: some hold Parameters, others Tensors
Own = tuple[dict[str, Any], str, Tensor]


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
    with holding(copies_on(device, module, but)):
        yield


@contextmanager
def holding(copies: Iterable[Own]) -> Iterator[None]:
    """Inside, modules have these tensors in place of their own."""
    before: list[Own] = []
    try:
        for tensors, name, copy in copies:
            before.append((tensors, name, tensors[name]))
            tensors[name] = copy
        yield
    finally:
        for tensors, name, tensor in before:
            tensors[name] = tensor


def copies_on(
    device: torch.device, module: nn.Module, but: Collection[nn.Module] = ()
) -> list[Own]:
    staying = {id(part) for root in but for part in root.modules()}
    return [
        (tensors, name, copy_on(device, tensor))
        for part in module.modules()
        if id(part) not in staying
        for tensors, name, tensor in own_tensors(part)
    ]


def own_tensors(module: nn.Module) -> Iterator[Own]:
    """Yields each parameter and buffer, submodules aside."""
    for tensors in (module._parameters, module._buffers):
        for name, tensor in tensors.items():
            if tensor is not None:
                yield tensors, name, tensor


def addresses_of(module: nn.Module) -> tuple[int, ...]:
    """Where its weights and buffers are in memory."""
    parts = (tensor for part in module.modules() for _, _, tensor in own_tensors(part))
    return tuple(tensor.data_ptr() for tensor in parts)


def copy_on(device: torch.device, tensor: Tensor) -> Tensor:
    found = tensor.detach().to(device, copy=True, non_blocking=True)
    return nn.Parameter(found, requires_grad=False) if isinstance(tensor, nn.Parameter) else found


class Swap:
    """Blocks whose weights stay in RAM, and visit the device while their block computes.

    Meanwhile those of the next block are on their way, on a stream of their own. The next one is
    the one after it or, in a backward pass, the one before it.
    """

    def __init__(self, blocks: Iterable[nn.Module], device: torch.device):
        self.blocks = list(blocks)
        self.device = device
        self._places = {block: place for place, block in enumerate(self.blocks)}
        self._last = -1
        self._ahead: tuple[int, list[Own], torch.cuda.Event | None] | None = None
        on_card = self.blocks and device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if on_card else None

    def __contains__(self, block: nn.Module) -> bool:
        return block in self._places

    @contextmanager
    def visit(self, block: nn.Module) -> Iterator[None]:
        """Inside, the block computes on the device."""
        place = self._places[block]
        copies = self._arrived(place)
        self._send(self._next(place))
        with holding(copies):
            yield

    def visited(self, block: nn.Module) -> Forward:
        """The block's forward on the device, also for the backward pass."""
        plain = block.forward

        def compute(*inputs: Any, **more: Any) -> Any:
            with self.visit(block):
                return plain(*inputs, **more)

        return lambda *inputs, **more: again(compute, *inputs, **more)

    def _next(self, place: int) -> int:
        # the last block comes twice in a row, where the backward pass begins, and so does the first
        onwards = place > self._last or place == self._last == 0
        self._last = place
        return place + 1 if onwards else place - 1

    def _send(self, place: int) -> None:
        self._ahead = None
        if not 0 <= place < len(self.blocks):
            return
        if self._stream is None:
            self._ahead = place, copies_on(self.device, self.blocks[place]), None
            return
        with torch.cuda.stream(self._stream):
            copies = copies_on(self.device, self.blocks[place])
            event = torch.cuda.Event()
            event.record(self._stream)
        self._ahead = place, copies, event

    def _arrived(self, place: int) -> list[Own]:
        if self._ahead is None or self._ahead[0] != place:
            return copies_on(self.device, self.blocks[place])
        _, copies, event = self._ahead
        if event is not None:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(event)
            for _, _, tensor in copies:
                tensor.record_stream(stream)  # its memory is of the other stream
        return copies


def spread(blocks: Sequence[nn.Module], count: int) -> list[nn.Module]:
    """So many of the blocks, evenly spread, so that each is fetched while others compute."""
    count = min(count, len(blocks))
    return [blocks[place * len(blocks) // count] for place in range(count)]


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
