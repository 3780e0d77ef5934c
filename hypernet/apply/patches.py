"""Attention patches: how a network is applied to a model, at the inputs of `to_k` and `to_v`.

Hosts call a patch as patch(n, context, value, extra_options) before the projections, once per
attention layer; n, context and value are (B, T, C). Self-attention (attn1) and cross-attention
(attn2) have a patch object each. A patch never changes: clones of a model share it, also across
threads, and another strength is another object. Its caches (weights on a device, results for the
text) can be dropped at any moment.

Nothing here waits for an accelerator. Under torch.compile the text is computed in every block, and
inductor merges the identical computations.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from ..devices import as_tensors_name_it
from ..formats.hns import Network
from ..network.hypernetwork import Hypernetwork
from .effect import Effect, StrengthCurve
from .memo import Memo, version
from .onednn import quicken

if TYPE_CHECKING:
    from ..network.places import Pair, Place

Manage = Callable[[nn.Module], list]
Patch = Callable[[Tensor, Tensor, Tensor, Mapping], tuple[Tensor, Tensor, Tensor]]


def make_patches(
    network: Network,
    effect: Effect | None = None,
    manage: Manage | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[HypernetPatch, HypernetPatch]:
    """The patches for attn1 and attn2. They share weights; attn2's caches results for the text.

    manage(module): asks the host to move the module in place and to count its memory. It returns
    what the host expects from a patch's models(). dtype: see FrozenNetwork.
    """
    return patches_of(PlacedWeights(network, manage, dtype), effect or Effect())


def patches_of(weights: PlacedWeights, effect: Effect) -> tuple[HypernetPatch, HypernetPatch]:
    return HypernetPatch(weights, effect), HypernetPatch(weights, effect, Memo())


Itself = TypeVar("Itself", bound="PlacedEffect")


class PlacedEffect:
    """A network's weights and an effect, as hosts move and clean what lies among their patches."""

    def __init__(self, weights: PlacedWeights, effect: Effect):
        self.weights = weights
        self.effect = effect
        self._moments = Memo()
        self._schedules: dict[torch.device, StrengthCurve] = {}

    def _moment(self, sigmas: Tensor | None) -> float | Tensor:
        """The schedule's factor: a float if reading it costs nothing, otherwise a tensor (1,)."""
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

    def to(self: Itself, target: Any) -> Itself:
        """Called by ComfyUI with devices and dtypes when it moves a model; dtypes are ignored.

        So weights arrive before the first block needs them, and leave with the model.
        """
        if isinstance(target, torch.device):
            self.weights.go_to(target)
            if self.effect.schedule is not None:
                target = as_tensors_name_it(target)
                self._schedules = {target: self.effect.schedule.to(target)}
        return self

    def models(self) -> list:
        """What the host should load and count together with the model."""
        return self.weights.managed

    def cleanup(self) -> None:
        """Called by ComfyUI at the end of a sampling run."""
        self._moments.clear()


class HypernetPatch(PlacedEffect):
    """Sends keys and values of every block through a network, if it has their width.

    With a memo, tokens that are not the picture's own (the text) are computed once, as long as
    they stay the same.
    """

    def __init__(self, weights: PlacedWeights, effect: Effect, memo: Memo | None = None):
        super().__init__(weights, effect)
        self._memo = memo

    def __call__(
        self,
        n: Tensor,
        context: Tensor | None = None,
        value: Tensor | None = None,
        extra_options: Mapping[str, Any] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        context = n if context is None else context
        value = context if value is None else value
        return n, *self._changed(n, context, value, extra_options or {})

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
        inputs = (context, value, moment) if isinstance(moment, Tensor) else (context, value)
        keys, values = self._memo.recall(key, inputs, compute)
        return keys, values

    def cleanup(self) -> None:
        super().cleanup()
        if self._memo is not None:
            self._memo.clear()


def full_precision(device: torch.device) -> AbstractContextManager:
    """Turns autocast off, in case a script runs its model in it. A1111 does so for networks too."""
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
    """Transform the chosen ones of equal chunks along B. tokens: (B, T, C)."""
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
    """A network for inference: eval mode, no gradients, whatever its source has.

    Its weights are float32, or bfloat16 if its spec says so. dtype: what it computes in where its
    spec says float32; None for float32.
    """

    def __init__(self, network: Network, device: torch.device, dtype: torch.dtype | None = None):
        super().__init__()
        with torch.inference_mode(False), torch.no_grad():
            weights = {
                id(weight): nn.Parameter(
                    weight.detach().to(device, arithmetic_of(leaf, dtype)),
                    requires_grad=False,
                )
                for leaf in leaves(network)
                for weight in leaf.parameters()
            }
            self.network = copy.deepcopy(network, weights).eval()
        for leaf in leaves(self.network):
            leaf.computes_in = arithmetic_of(leaf, dtype)
        quicken(self.network)

    @property
    def keys(self) -> Callable[..., Tensor]:
        return self.network.keys

    @property
    def values(self) -> Callable[..., Tensor]:
        return self.network.values

    def holds(self, width: int, place: Place | None = None) -> bool:
        return self.network.holds(width, place)

    def pairs_at(self, width: int, place: Place | None) -> tuple[Pair | None, ...]:
        """Which pair of each of its networks acts there."""
        return tuple(leaf.spec.pair_at(width, place) for leaf in leaves(self.network))


def arithmetic_of(network: Hypernetwork, wanted: torch.dtype | None) -> torch.dtype:
    own = getattr(torch, network.spec.arithmetic)
    return wanted if own == torch.float32 and wanted is not None else own


def leaves(network: Network) -> list[Hypernetwork]:
    """The network, or all networks of a tree."""
    return [each for each in network.modules() if isinstance(each, Hypernetwork)]


class PlacedWeights:
    """A network's weights on every device that needs them. The network is never moved or cast.

    dtype: see FrozenNetwork. `home` shares the network's memory until somebody moves it, if it has
    this dtype; other devices get copies.
    """

    def __init__(
        self, network: Network, manage: Manage | None = None, dtype: torch.dtype | None = None
    ):
        self.dtype = dtype
        self.home = FrozenNetwork(network, device_of(network), dtype)
        self.managed = manage(self.home) if manage else []
        self._source = tuple(network.parameters())
        self._copies: dict[torch.device, FrozenNetwork] = {}

    def writes(self) -> int:
        """How often the network's weights were written to, for example by further training."""
        return sum(version(weight) or 0 for weight in self._source)

    def on(self, device: torch.device) -> FrozenNetwork:
        device = as_tensors_name_it(device)
        if device_of(self.home) == device:
            return self.home
        if device not in self._copies:
            self._copies[device] = self._copy(device)
        return self._copies[device]

    # like torch.compiler.disable, but imports dynamo only when called
    @torch._disable_dynamo  # pyright: ignore[reportPrivateImportUsage]  no public name does so
    def _copy(self, device: torch.device) -> FrozenNetwork:
        return FrozenNetwork(self.home.network, device, self.dtype)

    def go_to(self, device: torch.device) -> None:
        """Be on this device only. If the host manages the weights, it moves them itself."""
        if device.type == "cpu":
            self._copies.clear()
        elif not self.managed:
            self.on(device)


def device_of(module: nn.Module) -> torch.device:
    return next(module.parameters()).device


class TrainingPatch:
    """The patch for training, with the weights themselves that the optimizer updates.

    strength: of all samples, or of each (B,).

    remember: the text goes through the network only in the first block that reads it, and the
    gradients of all blocks add up there. The patch then serves one forward pass. It must be off
    with gradient checkpointing, where recomputing a block must repeat the same computation.
    """

    def __init__(self, network: Hypernetwork, remember: bool = False):
        self.network = network
        self.remember = remember
        self.strength: Tensor | float = 1.0
        self._last: tuple[Tensor, Tensor, tuple[Tensor, Tensor]] | None = None

    def __call__(
        self, n: Tensor, context: Tensor, value: Tensor, extra_options: Mapping[str, Any]
    ) -> tuple[Tensor, Tensor, Tensor]:
        context = n if context is None else context
        value = context if value is None else value
        if self._last is not None and self._last[0] is context and self._last[1] is value:
            return n, *self._last[2]
        made = (
            self.network.keys(context, for_samples(self.strength, context)),
            self.network.values(value, for_samples(self.strength, value)),
        )
        if self.remember and context is not n:
            self._last = context, value, made
        return n, *made


def for_samples(strength: Tensor | float, x: Tensor) -> Tensor | float:
    """A strength of each sample (B,) as (B, 1, …, 1), to be multiplied with x (B, …, C)."""
    return strength.view(-1, *(1,) * (x.ndim - 1)) if isinstance(strength, Tensor) else strength


def attention_widths(unet: nn.Module) -> dict[str, tuple[int, ...]]:
    """The input widths of all to_k in a UNet, sorted, as {"attn1": …, "attn2": …}."""
    found: dict[str, set[int]] = {"attn1": set(), "attn2": set()}
    for name, module in unet.named_modules():
        kind, _, last = name.rpartition(".")
        kind = kind.rpartition(".")[2]
        if last == "to_k" and kind in found:
            weight = module.weight
            assert isinstance(weight, Tensor)  # a subclass, where it is quantized
            found[kind].add(int(weight.shape[1]))
    return {kind: tuple(sorted(widths)) for kind, widths in found.items()}
