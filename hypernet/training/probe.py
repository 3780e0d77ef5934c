"""The probe: measures the loss on the same pictures with the same noise every time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..apply.patches import TrainingPatch
from ..apply.training_network import TrainingNetwork
from ..network.hypernetwork import Hypernetwork
from ..seeding import generator
from .diffusion import Batch, Denoiser, elementwise_loss, predicted, weights_like

if TYPE_CHECKING:
    from ..families import Site


@dataclass(frozen=True)
class Measure:
    """The result of a probe. residual: ‖f(x)‖/‖x‖ over keys and values, by width."""

    loss: float
    residual: Mapping[int, float]


@torch.no_grad()
def measure_loss(
    denoiser: Denoiser, network: Hypernetwork, batches: Sequence[Batch], first: int, end: int
) -> Measure:
    """The mean squared error on these batches, and the residual.

    The timesteps are spread evenly from `first` to `end`. The noise depends only on a batch's
    place in the list. The network must be in eval mode.
    """
    acting = MeasuringNetwork(network)
    number = sum(len(batch.latents) for batch in batches)
    total, done = 0.0, 0
    for place, batch in enumerate(batches):
        parts = (torch.arange(done, done + len(batch.latents)) + 0.5) / number
        timesteps = (first + parts * (end - first)).long()
        noise = torch.randn(batch.latents.shape, generator=generator(0, "probe", place))
        found, target = predicted(denoiser, batch, noise, timesteps, acting)
        error = elementwise_loss("MSE", found.cpu(), target.cpu(), 1.0)
        if batch.weights is not None:
            error = error * weights_like(batch.weights, error)
        total += error.mean().item() * len(batch.latents)
        done += len(batch.latents)
    return Measure(total / number, acting.residual())


class MeasuringNetwork(TrainingNetwork):
    """Also sums up how much it changes its inputs. Serves a whole probe."""

    def __init__(self, network: Hypernetwork):
        super().__init__(network, remember=True)
        self.attn1 = self.attn2 = MeasuringPatch(network, self.note)
        self._changes: dict[int, Tensor] = {}
        self._sizes: dict[int, Tensor] = {}

    def change(self, site: Site, side: str, x: Tensor) -> Tensor:
        after = super().change(site, side, x)
        self.note(x, after)
        return after

    def note(self, before: Tensor, after: Tensor) -> None:
        if after is not before:
            width = before.shape[-1]
            change = (after.float() - before.float()).square().sum()
            self._changes[width] = self._changes.get(width, 0) + change
            self._sizes[width] = self._sizes.get(width, 0) + before.float().square().sum()

    def residual(self) -> dict[int, float]:
        return {
            width: math.sqrt(change.item() / max(self._sizes[width].item(), 1e-30))
            for width, change in sorted(self._changes.items())
        }


class MeasuringPatch(TrainingPatch):
    """A training patch that tells how it changes keys and values."""

    def __init__(self, network: Hypernetwork, note: Callable[[Tensor, Tensor], None]):
        super().__init__(network, remember=True)
        self._note = note

    def __call__(
        self, n: Tensor, context: Tensor, value: Tensor, extra_options: Mapping
    ) -> tuple[Tensor, Tensor, Tensor]:
        context = n if context is None else context
        value = context if value is None else value
        _, keys, values = super().__call__(n, context, value, extra_options)
        self._note(context, keys)
        self._note(value, values)
        return n, keys, values


@dataclass(frozen=True)
class Probe:
    """The batches to measure, always the same. held_out: training never sees their pictures."""

    batches: Sequence[Batch]
    held_out: bool = False
