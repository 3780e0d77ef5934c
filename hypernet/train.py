"""The training loop: a generator of Steps. The caller owns progress, interruption and saving.

One step is one update: `accumulation` batches of `batch_size` pictures, each with noise and a
timestep of its own, their gradients averaged, one AdamW update. The UNet is frozen and only the
network learns, in float32. Everything drawn at step n follows from (seed, n); see chance.py.

Inside a host that runs nodes in inference mode, wrap the whole loop in torch.inference_mode(False):
a generator cannot do it for its caller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .attention import TrainingPatch
from .chance import generator, global_chance
from .diffusion import Denoiser, add_noise, prediction_target
from .network import Hypernetwork
from .schedule import parse_schedule

Batch = tuple[Tensor, Mapping[str, Tensor]]  # latents (B, c, h, w), condition


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How to train. Validated here, shown as widgets by the node, saved with the run.

    steps: updates in all, resumed ones included. learning_rate: A1111's schedule text.
    Raises ValueError with every fault found, in one message.
    """

    steps: int = 2000
    learning_rate: str = "5e-5:100, 5e-6:1500, 1e-6"
    batch_size: int = 1
    accumulation: int = 1
    seed: int = 0
    save_every: int = 500
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        faults = [
            f"{name} {getattr(self, name)}: give at least 1."
            for name in ("steps", "batch_size", "accumulation")
            if getattr(self, name) < 1
        ]
        if self.save_every < 0:
            faults.append(f"save_every {self.save_every}: give 0 (never) or more.")
        try:
            parse_schedule(self.learning_rate, max(self.steps, 1))
        except ValueError as fault:
            faults.append(str(fault))
        if faults:
            raise ValueError(" ".join(faults))


@dataclass(frozen=True)
class Step:
    """What one update did."""

    done: int  # updates done since the very beginning, this one included
    loss: float  # mean over the step's batches
    rate: float  # the learning rate used


class TrainingDiverged(RuntimeError):
    """The loss is no longer a number."""


def new_optimizer(network: Hypernetwork, settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW with torch's defaults, as A1111 has it."""
    return torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=settings.weight_decay)


def train(
    network: Hypernetwork,
    optimizer: torch.optim.Optimizer,
    denoiser: Denoiser,
    batch_at: Callable[[int, int], Batch],
    settings: TrainSettings,
    start: int = 0,
) -> Iterator[Step]:
    """Update `network` in place, one Step at a time, until the steps or the schedule run out.

    batch_at(first, number) gives the samples first … first+number−1 of the endless shuffled
    stream, on the CPU. `start` updates are already done. The network is in eval mode whenever the
    caller has control. Raises TrainingDiverged when the loss is not finite; the update that would
    have spoilt the network is not made.
    """
    schedule = parse_schedule(settings.learning_rate, settings.steps, start)
    patches = TrainingPatch(network), TrainingPatch(network)
    for index in range(start, settings.steps):
        rate = schedule.rate_at(index)
        if rate is None:
            return
        for group in optimizer.param_groups:
            group["lr"] = rate
        network.train()
        try:
            loss = accumulate(denoiser, patches, batch_at, settings, index)
        finally:
            network.eval()
        if not math.isfinite(loss):
            raise TrainingDiverged(
                f"The loss became {loss} at step {index + 1} (learning rate {rate:g}). The network "
                f"is kept as it was after step {index}. Use a lower rate, or another activation."
            )
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        yield Step(index + 1, loss, rate)


def accumulate(
    denoiser: Denoiser,
    patches: tuple[TrainingPatch, TrainingPatch],
    batch_at: Callable[[int, int], Batch],
    settings: TrainSettings,
    index: int,
) -> float:
    """Add up the gradients of update `index` and give the mean loss."""
    total = torch.zeros((), device=denoiser.device)
    for part in range(settings.accumulation):
        count = index * settings.accumulation + part
        latents, condition = batch_at(count * settings.batch_size, settings.batch_size)
        noise, timesteps = draw_noise(latents, denoiser.alphas_cumprod, settings.seed, count)
        alpha = denoiser.alphas_cumprod[timesteps]
        noisy = add_noise(latents, noise, alpha)
        target = prediction_target(denoiser.prediction, latents, noise, alpha)
        with global_chance(settings.seed, "dropout", count, denoiser.device):
            found = denoiser.predict(
                noisy.to(denoiser.device, denoiser.dtype),
                timesteps.to(denoiser.device),
                {key: value.to(denoiser.device) for key, value in condition.items()},
                *patches,
            )
        loss = F.mse_loss(found.float(), target.to(denoiser.device)) / settings.accumulation
        loss.backward()
        total += loss.detach()
    return total.item()


def draw_noise(
    latents: Tensor, alphas_cumprod: Tensor, seed: int, count: int
) -> tuple[Tensor, Tensor]:
    """Noise like latents (B, c, h, w) and uniform timesteps (B,) of the count-th batch."""
    chance = generator(seed, "noise", count)
    timesteps = torch.randint(len(alphas_cumprod), (len(latents),), generator=chance)
    return torch.randn(latents.shape, generator=chance), timesteps
