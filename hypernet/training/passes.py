"""The passes of an update: each is one loss and its backward pass, for one batch.

Pictures and random numbers come first, from (seed, n), on the CPU. What is left is a function of
tensors on the model's device, which recording.py can record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..apply.training_network import TrainingNetwork
from ..seeding import generator
from .diffusion import (
    Asked,
    Batch,
    BatchAt,
    Denoiser,
    answer,
    asked,
    draw_noise,
    draw_timesteps,
    elementwise_loss,
    min_snr_weight,
    weights_like,
)
from .learner import Learner
from .parallel import Processes, share_of
from .preservation import (
    REGULARIZE_EVERY,
    is_due,
    is_regularized,
    preservation_loss,
)
from .settings import TrainSettings

Others = Mapping[str, Tensor] | None  # encoded prompts of other things
LEARNT, PRESERVED, REGULARIZED = "noise", "preserve", "regularization"


@dataclass(frozen=True)
class Sources:
    """Where batches come from: of the pictures to learn, and of what keeps from forgetting."""

    pictures: BatchAt
    others: Callable[[int], Batch] | None = None  # pictures of other things, by turn
    regularization: BatchAt | None = None


class Inputs(NamedTuple):
    question: Asked
    weights: tuple[Tensor, ...] = ()  # factors on the error (B, c, …), one after the other
    scale: Tensor | None = None  # () of the loss in the backward pass, for float16


@dataclass(frozen=True)
class Pass:
    """kind: also the purpose of its random numbers. factor: how much its loss counts."""

    kind: str
    inputs: Inputs
    factor: float = 1.0


def passes_of(
    learner: Learner, denoiser: Denoiser, sources: Sources, count: int, processes: Processes
) -> Iterator[Pass]:
    """The passes of batch number `count` since the beginning, first that of the pictures."""
    settings, drawn = learner.settings, (learner, denoiser, count, processes)
    size = settings.batch_size
    batch = sources.pictures(count * size, size)
    yield learning(*drawn, batch, LEARNT)
    if sources.others is not None and is_due(settings, count):
        chance = generator(settings.seed, PRESERVED, count)
        told = sources.others(count // settings.preserve_every)
        told, timesteps, noise = share_with_noise(learner, denoiser, told, chance, processes)
        question = asked(denoiser, told, noise, timesteps)
        yield Pass(PRESERVED, Inputs(question), settings.preserve)
    if sources.regularization is not None and is_regularized(count):
        told = sources.regularization(count // REGULARIZE_EVERY * size, size)
        factor = settings.regularization_weight * REGULARIZE_EVERY
        yield learning(*drawn, told, REGULARIZED, factor)


def learning(
    learner: Learner,
    denoiser: Denoiser,
    count: int,
    processes: Processes,
    batch: Batch,
    kind: str,
    factor: float = 1.0,
) -> Pass:
    """A pass that learns what the pictures of a batch show."""
    settings = learner.settings
    chance = generator(settings.seed, kind, count)
    batch, timesteps, noise = share_with_noise(learner, denoiser, batch, chance, processes)
    question = asked(denoiser, batch, noise, timesteps)
    weights = tuple(
        each.to(denoiser.device)
        for each in loss_weights(settings, denoiser, batch, timesteps, noise.ndim)
    )
    return Pass(kind, Inputs(question, weights), factor)


def loss_weights(
    settings: TrainSettings, denoiser: Denoiser, batch: Batch, timesteps: Tensor, ndim: int
) -> Iterator[Tensor]:
    """How much each sample and each latent pixel counts, to be multiplied with (B, c, …)."""
    if settings.min_snr_gamma:
        levels = denoiser.levels.at(timesteps)
        weight = min_snr_weight(denoiser.prediction, levels, settings.min_snr_gamma)
        yield weight.view(-1, *(1,) * (ndim - 1))
    if batch.weights is not None:
        yield weights_like(batch.weights, batch.latents)


def share_with_noise(
    learner: Learner,
    denoiser: Denoiser,
    batch: Batch,
    chance: torch.Generator,
    processes: Processes,
) -> tuple[Batch, Tensor, Tensor]:
    """This process's share of a batch, with its timesteps (B,) and noise (B, c, …).

    Random numbers are drawn for the whole batch, and then cut down to the share.
    """
    settings, number = learner.settings, len(batch.latents)
    first, end = settings.min_timestep, min(settings.max_timestep, len(denoiser.levels))
    shift = denoiser.shift(batch.latents.shape)
    timesteps = draw_timesteps(settings.timesteps, number, first, end, chance, shift)
    noise = draw_noise(batch.latents.shape, settings.noise_offset, chance)
    return share_of(batch, processes), processes.share(timesteps), processes.share(noise)


def add_gradients(learner: Learner, denoiser: Denoiser, each: Pass, inputs: Inputs) -> Tensor:
    """Add the gradients of a pass to those of the network. Returns its loss, a scalar.

    A function of the inputs and of the weights.
    """
    loss = loss_of(learner, denoiser, each.kind, inputs)
    part = loss * each.factor / learner.settings.accumulation
    (part if inputs.scale is None else part * inputs.scale).backward()
    return loss.detach()


def loss_of(learner: Learner, denoiser: Denoiser, kind: str, inputs: Inputs) -> Tensor:
    computed_once = not (learner.checkpoints or denoiser.recomputes)
    acting = TrainingNetwork(learner.network, remember=computed_once)
    if kind == PRESERVED:
        return preservation_loss(denoiser, inputs.question, acting)
    settings, question = learner.settings, inputs.question
    found = answer(denoiser, question, acting)
    error = elementwise_loss(settings.loss, found, question.target, settings.huber_delta)
    for weight in inputs.weights:
        error = error * weight
    return error.mean()
