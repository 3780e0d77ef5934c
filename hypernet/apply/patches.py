"""What a network does to a model: a patch on the inputs of `to_k` and `to_v`.

Hosts call a patch as patch(n, context, value, extra_options) before the projections, once per
attention block; n, context and value are (B, T, C). Self-attention (attn1) and cross-attention
(attn2) get a patch object each. A patch never changes: clones of a model share it, also from
several threads, and another strength is another object. What it keeps (weights on a device, what
became of the text) can be dropped at any moment.

Nothing here waits for an accelerator. Under torch.compile the text is computed in each block, and
inductor finds that it is the same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ..devices import as_tensors_name_it
from ..network.hypernetwork import Hypernetwork
from ..network.spec import as_text
from .effect import Effect, Schedule
from .memo import Memo, version
from .onednn import quicken

Manage = Callable[[nn.Module], list]


def make_patches(
    network: Hypernetwork, effect: Effect | None = None, manage: Manage | None = None
) -> tuple[HypernetPatch, HypernetPatch]:
    """The patches for attn1 and attn2. They share weights; attn2's remembers the text.

    manage(module) makes a host move the module, in place, and count its memory; it returns what
    the host expects from a patch's models().
    """
    weights = Weights(network, manage)
    effect = effect or Effect()
    return HypernetPatch(weights, effect), HypernetPatch(weights, effect, Memo())


class HypernetPatch:
    """Sends keys and values of every block through a network, widths it does not hold excepted.

    With a memo, what comes from other tokens than the picture's own is computed once as long as
    it stays the same.
    """

    def __init__(self, weights: Weights, effect: Effect, memo: Memo | None = None):
        self.weights = weights
        self.effect = effect
        self._memo = memo
        self._moments = Memo()
        self._schedules: dict[torch.device, Schedule] = {}

    def __call__(
        self,
        n: Tensor,
        context: Tensor | None = None,
        value: Tensor | None = None,
        extra_options: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> Any:
        """(n, context, value); or, for models that pass pe and attn_mask by keyword, a dict.

        Those models (Cosmos Predict2, Anima) read "q", "k", "v" and "pe" from it.
        """
        context = n if context is None else context
        value = context if value is None else value
        context, value = self._changed(n, context, value, extra_options or {})
        if others:
            return {"q": n, "k": context, "v": value, **others}
        return n, context, value

    def _changed(
        self, n: Tensor, context: Tensor, value: Tensor, options: Mapping[str, Any]
    ) -> tuple[Tensor, Tensor]:
        network = self.weights.on(context.device)
        held = [width for width in (context.shape[-1], value.shape[-1]) if network.holds(width)]
        chosen = self.effect.chosen(options.get("cond_or_uncond"))
        if self.effect.does_nothing(held) or not any(chosen):
            return context, value
        moment = self._moment(options.get("sigmas"))
        if isinstance(moment, float) and moment == 0:
            return context, value

        def compute() -> tuple[Tensor, Tensor]:
            on_keys = self.effect.on_keys(context.shape[-1])
            on_values = self.effect.on_values(value.shape[-1])
            with full_precision(context.device):
                return (
                    change_chunks(context, chosen, network.keys, on_keys, moment),
                    change_chunks(value, chosen, network.values, on_values, moment),
                )

        own = context is n or value is n
        if self._memo is None or own or torch.compiler.is_compiling():
            return compute()
        key = (chosen, self.weights.writes(), moment if isinstance(moment, float) else None)
        inputs = (context, value) if isinstance(moment, float) else (context, value, moment)
        return self._memo.recall(key, inputs, compute)

    def _moment(self, sigmas: Tensor | None) -> float | Tensor:
        """The schedule's factor: a number where reading it costs nothing, otherwise (1,)."""
        schedule = self.effect.schedule
        if schedule is None or sigmas is None:
            return 1.0
        if sigmas.device not in self._schedules:
            self._schedules[sigmas.device] = schedule.to(sigmas.device)
        schedule = self._schedules[sigmas.device]
        (factor,) = self._moments.recall(None, (sigmas,), lambda: (schedule.factor(sigmas),))
        if factor.device.type == "cpu" and not torch.compiler.is_compiling():
            return factor.item()
        return factor

    def to(self, target: Any) -> HypernetPatch:
        """ComfyUI calls this with devices and dtypes when it moves a model; dtypes mean nothing
        here. Weights arrive before the first block needs them, and leave with the model."""
        if isinstance(target, torch.device):
            self.weights.go_to(target)
            if self.effect.schedule is not None:
                target = as_tensors_name_it(target)
                self._schedules = {target: self.effect.schedule.to(target)}
        return self

    def models(self) -> list:
        """What the host shall load and count together with the model."""
        return self.weights.managed

    def cleanup(self) -> None:
        """The end of a sampling run."""
        for memo in (self._memo, self._moments):
            if memo is not None:
                memo.clear()


def full_precision(device: torch.device) -> AbstractContextManager:
    """No autocast: scripts may run their model in it, A1111 leaves it for hypernetworks too."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def change_chunks(
    tokens: Tensor,
    chosen: tuple[bool, ...],
    transform: Callable[[Tensor, float | Tensor], Tensor],
    strength: float,
    moment: float | Tensor,
) -> Tensor:
    """tokens (B, T, C), with the chosen ones of its equal chunks along B transformed."""
    if strength == 0:
        return tokens
    factor = strength if isinstance(moment, float) and moment == 1 else strength * moment
    if all(chosen):
        return transform(tokens, factor)
    chunks = tokens.chunk(len(chosen))
    return torch.cat(
        [transform(c, factor) if yes else c for c, yes in zip(chunks, chosen, strict=True)]
    )


class FrozenNetwork(nn.Module):
    """A network for use only: float32, evaluation mode, no gradients, whatever its source does."""

    def __init__(self, network: Hypernetwork, device: torch.device):
        super().__init__()
        with torch.inference_mode(False), torch.no_grad():
            weights = {
                id(weight): nn.Parameter(
                    weight.detach().to(device, torch.float32), requires_grad=False
                )
                for weight in network.parameters()
            }
            self.network = copy.deepcopy(network, weights).eval()
        quicken(self.network)

    @property
    def keys(self) -> Callable[..., Tensor]:
        return self.network.keys

    @property
    def values(self) -> Callable[..., Tensor]:
        return self.network.values

    def holds(self, width: int) -> bool:
        return width in self.network.spec.widths


class Weights:
    """A network's weights wherever they are wanted. The network itself is never moved or cast.

    `home` shares their memory as long as nobody moves it; other devices get copies.
    """

    def __init__(self, network: Hypernetwork, manage: Manage | None = None):
        self.home = FrozenNetwork(network, device_of(network))
        self.managed = manage(self.home) if manage else []
        self._source = tuple(network.parameters())
        self._copies: dict[torch.device, FrozenNetwork] = {}

    def writes(self) -> int:
        """How often the network was written to, as by training it further."""
        return sum(version(weight) or 0 for weight in self._source)

    def on(self, device: torch.device) -> FrozenNetwork:
        device = as_tensors_name_it(device)
        if device_of(self.home) == device:
            return self.home
        if device not in self._copies:
            self._copies[device] = self._copy(device)
        return self._copies[device]

    @torch._disable_dynamo  # torch.compiler.disable, which brings dynamo only when it is called
    def _copy(self, device: torch.device) -> FrozenNetwork:
        return FrozenNetwork(self.home.network, device)

    def go_to(self, device: torch.device) -> None:
        """Be there, and no longer elsewhere; a host that manages the weights moves them itself."""
        if device.type == "cpu":
            self._copies.clear()
        elif not self.managed:
            self.on(device)


def device_of(module: nn.Module) -> torch.device:
    return next(module.parameters()).device


class TrainingPatch:
    """The patch while training: strength 1, the very weights that the optimizer moves.

    remember: for one forward pass. The text of cross-attention goes through the network in the
    first block that reads it, and gradients of all blocks come together there. Not where blocks
    are computed a second time (gradient checkpointing): theirs must be the same computation.
    """

    def __init__(self, network: Hypernetwork, remember: bool = False):
        self.network = network
        self.remember = remember
        self._seen: tuple[Tensor, Tensor] | None = None
        self._made: tuple[Tensor, Tensor] | None = None

    def __call__(
        self, n: Tensor, context: Tensor, value: Tensor, extra_options: Mapping[str, Any]
    ) -> tuple[Tensor, Tensor, Tensor]:
        context = n if context is None else context
        value = context if value is None else value
        if self._seen is not None and self._seen[0] is context and self._seen[1] is value:
            return n, *self._made
        made = self.network.keys(context), self.network.values(value)
        if self.remember and context is not n:
            self._seen, self._made = (context, value), made
        return n, *made


def attention_widths(unet: nn.Module) -> dict[str, tuple[int, ...]]:
    """{"attn1": …, "attn2": …}: input sizes of every to_k in a UNet, sorted."""
    found: dict[str, set[int]] = {"attn1": set(), "attn2": set()}
    for name, module in unet.named_modules():
        kind, _, last = name.rpartition(".")
        kind = kind.rpartition(".")[2]
        if last == "to_k" and kind in found:
            found[kind].add(int(module.weight.shape[1]))
    return {kind: tuple(sorted(widths)) for kind, widths in found.items()}


def check_fit(network: Hypernetwork, widths: Mapping[str, tuple[int, ...]]) -> str:
    """What to warn of when part of the network finds no place in the model; "" when all does.

    Raises ValueError when no width fits. Both name both lists.
    """
    wanted = {width for kind in widths.values() for width in kind}
    held = set(network.spec.widths)
    lists = (
        f'The hypernetwork "{network.record.name}" was trained for widths '
        f"{as_text(sorted(held))}; this model has {as_text(sorted(wanted)) or 'none'}."
    )
    if not held & wanted:
        raise ValueError(f"{lists} Use the kind of model it was trained on.")
    if held <= wanted:
        return ""
    return (
        f"{lists} Only {as_text(sorted(held & wanted))} can act, {as_text(sorted(held - wanted))} "
        "cannot: it was trained on another kind of model, and pictures will not be what it learnt."
    )
