"""The training loop: a generator of Steps. The caller owns progress, interruption and saving.

One step is one update: the averaged gradients of `accumulation` batches of `batch_size` pictures,
each with noise and timesteps of its own, then one step of the optimizer. The model is frozen; only
the network learns, in float32. Everything drawn at step n follows from (seed, n); see seeding.py.

After a blow-up (health.py), training goes back to the last good state and halves the rate. The
steps since then are repeated and counted again, so that n still means n updates. The surprise:
Step.done may fall.

If the host runs nodes in inference mode, the caller must wrap the whole loop in
torch.inference_mode(False), which a generator cannot do for its caller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..apply.onednn import quickened
from ..apply.training_network import TrainingNetwork
from ..network.hypernetwork import Hypernetwork
from ..seeding import generator, global_chance
from .diffusion import (
    Batch,
    Denoiser,
    draw_noise,
    draw_timesteps,
    elementwise_loss,
    min_snr_weight,
    predicted,
    weights_like,
    with_strength,
)
from .health import after_loss, after_probe, blow_up, steered
from .learner import Learner
from .optimizers import gradient_norm, rate_in_use, set_rate
from .parallel import ALONE, Processes, drawing_for_all, share_of
from .preservation import (
    REGULARIZE_EVERY,
    is_due,
    is_regularized,
    preservation_loss,
    with_other_prompts,
)
from .probe import Measure, Probe, measure_loss
from .schedule import held_rate
from .settings import TrainSettings

KEEP_EVERY = 100  # updates between good states
MOST_HALVINGS = 3
LEAST_SCALE = 2.0**-10  # float16: if gradients overflow below this, the scale is not the reason

BatchAt = Callable[[int, int], Batch]
Others = Mapping[str, Tensor] | None  # encoded prompts of other things


@dataclass(frozen=True)
class Beside:
    """What a training does beside the pictures to learn; see preservation.py."""

    others: Others = None
    regularization: BatchAt | None = None


@dataclass(frozen=True)
class Step:
    """What one update did, and what was measured after it."""

    done: int  # updates done since the network's very beginning, including this one
    loss: float  # mean over the step's batches
    rate: float  # the learning rate used
    gradient: float = math.nan  # the norm of all gradients together, before clipping
    went_back_to: int | None = None  # after a blow-up: later updates than this one were undone
    notes: tuple[str, ...] = ()  # sentences for the user
    probe: float | None = None  # the probe's loss, if it was measured
    residual: Mapping[int, float] = field(default_factory=dict)  # ‖f(x)‖/‖x‖ by width, likewise


class TrainingDiverged(RuntimeError):
    """The loss blew up again at lower rates. The learner is in its last good state."""


def train(
    learner: Learner,
    denoiser: Denoiser,
    batch_at: BatchAt,
    probe: Probe | None = None,
    processes: Processes = ALONE,
    others: Others = None,
    regularization: BatchAt | None = None,
) -> Iterator[Step]:
    """Update the learner's network in place, one Step at a time, until steps or schedule run out.

    batch_at(first, number) returns samples first … first+number−1 of the endless shuffled stream,
    the same in all processes; each process computes its share of them. Training begins after the
    learner's `done` updates. At each yield the network is in eval mode and the update is counted
    in the record. others: encoded prompts of other things for settings.preserve, as the condition
    of a Batch. regularization: batches of regularization pictures, as batch_at gives them.

    Raises ValueError when the schedule has no rate for the first step or the host cannot do what
    the settings ask, and TrainingDiverged when going back three times has not helped.
    """
    settings = learner.settings
    denoiser = with_strength(denoiser, settings.train_strength, settings.curve)
    check_host(settings, denoiser, processes)
    settings.require_rate(learner.done)
    look_first(learner, denoiser, probe)
    if not learner.can_go_back:
        learner.keep_good()
    beside, went_back_to = Beside(others, regularization), None
    while learner.done < settings.steps:
        rate = settings.schedule.rate_at(learner.done)
        if rate is None:
            return
        set_rate(learner.optimizer, rate * learner.health.factor)
        loss, gradient = find_gradients(learner, denoiser, batch_at, processes, beside)
        if fault := blow_up(learner.health, loss, gradient):
            went_back_to = go_back(learner, fault)
            look_first(learner, denoiser, probe)
            continue
        update(learner, denoiser)
        learner.health = after_loss(learner.health, loss)
        seen = {}
        if probe is not None and settings.probe_every and learner.done % settings.probe_every == 0:
            seen = probe_now(learner, denoiser, probe)
        if learner.done % KEEP_EVERY == 0 and learner.health.is_steady:
            learner.keep_good()
        notes = tuple(learner.notes)
        learner.notes.clear()
        used = rate_in_use(learner.optimizer)
        yield Step(learner.done, loss, used, gradient, went_back_to, notes, **seen)
        went_back_to = None


def check_host(settings: TrainSettings, denoiser: Denoiser, processes: Processes = ALONE) -> None:
    """Raises ValueError listing all settings that model, host or processes do not allow."""
    faults = []
    if settings.batch_size % processes.count:
        faults.append(
            f"batch_size {settings.batch_size} cannot be shared by {processes.count} processes: "
            "give a multiple of their number."
        )
    levels = len(denoiser.levels)
    if settings.min_timestep >= levels:
        faults.append(
            f"min_timestep {settings.min_timestep}: this model has {levels} noise levels."
        )
    if settings.checkpointing == "on" and denoiser.checkpointed is None:
        faults.append('checkpointing "on": it cannot be done with this model here. Choose "auto".')
    if faults:
        raise ValueError(" ".join(faults))


def look_first(learner: Learner, denoiser: Denoiser, probe: Probe | None) -> None:
    """Measure the first probe, to compare later ones with, unless the state already has it."""
    if probe is None or not learner.settings.probe_every:
        return
    if learner.health.first_loss is None:
        probe_now(learner, denoiser, probe)


def probe_now(learner: Learner, denoiser: Denoiser, probe: Probe) -> dict:
    """Measure the probe and update the learner's health. Returns the probe's fields of a Step."""
    found = measured(learner, denoiser, probe, learner.result)
    learner.health, notes = after_probe(
        learner.health, learner.done, found, learner.network.spec, probe.held_out
    )
    learner.notes += notes
    if learner.settings.steer and learner.done:
        learner.health, note = steered(
            learner.health, learner.done, learner.settings.steps, found.residual
        )
        learner.notes += [note] if note else []
    return {"probe": found.loss, "residual": found.residual}


def measured(learner: Learner, denoiser: Denoiser, probe: Probe, network: Hypernetwork) -> Measure:
    """What the probe finds of this network, at the noise levels of the learner's training."""
    first, last = learner.settings.min_timestep, learner.settings.max_timestep
    end = min(last, len(denoiser.levels))
    return measure_loss(denoiser, network, probe.batches, first, end)


def go_back(learner: Learner, fault: str) -> int:
    """Go back to the last good state and halve the rate. Returns the state's step."""
    failed, halvings = learner.done + 1, learner.health.halvings
    rate = rate_in_use(learner.optimizer)
    done = learner.go_back()
    if halvings >= MOST_HALVINGS:
        raise TrainingDiverged(
            f"At step {failed} {fault} (learning rate {rate:g}). Going back and halving the rate "
            f"has not helped {halvings} times. The network is kept as it was after step {done}. "
            "Use a lower rate, or another activation, and look for pictures unlike the others."
        )
    learner.notes.append(
        f"At step {failed} {fault} (learning rate {rate:g}): back to step {done}, at half the "
        f"rate from here on ({halvings + 1} of {MOST_HALVINGS} times)."
    )
    return done


def find_gradients(
    learner: Learner,
    denoiser: Denoiser,
    batch_at: BatchAt,
    processes: Processes,
    beside: Beside,
) -> tuple[float, float]:
    """(loss, norm of the gradients) of the next update. Sets the unscaled gradients in place.

    For float16 the loss is scaled up before the backward pass. If the gradients overflow, they are
    computed again at a smaller scale.
    """
    while True:
        learner.optimizer.zero_grad(set_to_none=True)
        try:
            total = accumulate(learner, denoiser, batch_at, processes, beside)
        except torch.OutOfMemoryError:
            if not may_checkpoint(learner, denoiser):
                raise
            learner.checkpoints = True
            learner.notes.append(
                "Memory ran out, so parts are computed twice from here on (checkpointing), which "
                "takes longer."
            )
            continue
        gradients = [p.grad for p in learner.network.parameters() if p.grad is not None]
        loss = processes.average(total, gradients).item()
        scales = needs_scale(denoiser)
        if scales:
            learner.scaler.unscale_(learner.optimizer)
        gradient = gradient_norm(learner.network)
        overflown = scales and math.isfinite(loss) and not math.isfinite(gradient)
        if not overflown or learner.scaler.get_scale() < LEAST_SCALE:
            return loss, gradient
        learner.scaler.update()  # lowers the scale, because of the overflow


def may_checkpoint(learner: Learner, denoiser: Denoiser) -> bool:
    wanted = learner.settings.checkpointing == "auto" and not learner.checkpoints
    return wanted and denoiser.checkpointed is not None


def needs_scale(denoiser: Denoiser) -> bool:
    return denoiser.dtype == torch.float16


def update(learner: Learner, denoiser: Denoiser) -> None:
    """Clip the gradients, make one step of the optimizer, and count it."""
    settings, parameters = learner.settings, list(learner.network.parameters())
    if settings.gradient_clip != "off":
        limit = held_rate(settings.limits, learner.done)
        if settings.gradient_clip == "value":
            torch.nn.utils.clip_grad_value_(parameters, limit)
        else:
            torch.nn.utils.clip_grad_norm_(parameters, limit)
    if needs_scale(denoiser):
        learner.scaler.step(learner.optimizer)
        learner.scaler.update()
    else:
        learner.optimizer.step()
    learner.optimizer.zero_grad(set_to_none=True)
    learner.count_update()


def accumulate(
    learner: Learner,
    denoiser: Denoiser,
    batch_at: BatchAt,
    processes: Processes,
    beside: Beside,
) -> Tensor:
    """Add up the gradients of this process's share of the next update. Returns its mean loss."""
    settings = learner.settings
    saving = denoiser.checkpointed if learner.checkpoints else None
    total = torch.zeros((), device=denoiser.device)
    learner.network.train()
    try:
        for part in range(settings.accumulation):
            count = learner.done * settings.accumulation + part
            batch = batch_at(count * settings.batch_size, settings.batch_size)
            with (
                saving() if saving else nullcontext(),
                drawing_for_all(learner.network, processes),
                quickened(learner.network),
            ):
                loss = batch_loss(learner, denoiser, batch, count, processes)
                add_gradients(learner, denoiser, loss)
                for extra in losses_beside(learner, denoiser, batch, beside, count, processes):
                    add_gradients(learner, denoiser, extra)
            total += loss.detach() / settings.accumulation
    finally:
        learner.network.eval()
    return total


def add_gradients(learner: Learner, denoiser: Denoiser, loss: Tensor) -> None:
    part = loss / learner.settings.accumulation
    (learner.scaler.scale(part) if needs_scale(denoiser) else part).backward()


def losses_beside(
    learner: Learner,
    denoiser: Denoiser,
    batch: Batch,
    beside: Beside,
    count: int,
    processes: Processes,
) -> Iterator[Tensor]:
    """Yields the weighted losses that come after this batch: of prompts, of other pictures."""
    settings, given = learner.settings, (learner, denoiser)
    if beside.others is not None and is_due(settings, count):
        yield settings.preserve * preserving_loss(*given, batch, beside.others, count, processes)
    if beside.regularization is not None and is_regularized(count):
        size = settings.batch_size
        told = beside.regularization(count // REGULARIZE_EVERY * size, size)
        loss = batch_loss(*given, told, count, processes, purpose="regularization")
        yield settings.regularization_weight * REGULARIZE_EVERY * loss


def preserving_loss(
    learner: Learner,
    denoiser: Denoiser,
    batch: Batch,
    others: Mapping[str, Tensor],
    count: int,
    processes: Processes,
) -> Tensor:
    """How far the network moves what is drawn of other things, for the pictures of this batch."""
    chance = generator(learner.settings.seed, "preserve", count)
    batch = with_other_prompts(batch, others, chance)
    batch, timesteps, noise = share_with_noise(learner, denoiser, batch, chance, processes)
    with global_chance(learner.settings.seed, "dropout", count, denoiser.device):
        return preservation_loss(
            denoiser, batch, noise, timesteps, acting_network(learner, denoiser)
        )


def acting_network(learner: Learner, denoiser: Denoiser) -> TrainingNetwork:
    """The network of one forward pass."""
    computed_once = not (learner.checkpoints or denoiser.recomputes)
    return TrainingNetwork(learner.network, remember=computed_once)


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


def batch_loss(
    learner: Learner,
    denoiser: Denoiser,
    batch: Batch,
    count: int,
    processes: Processes,
    purpose: str = "noise",
) -> Tensor:
    """The loss of batch number `count` since the beginning, a scalar with its graph.

    purpose: of the random numbers, so that two batches of one number have different noise.
    """
    settings, device = learner.settings, denoiser.device
    chance = generator(settings.seed, purpose, count)
    batch, timesteps, noise = share_with_noise(learner, denoiser, batch, chance, processes)
    with global_chance(settings.seed, "dropout", count, device):
        found, target = predicted(
            denoiser, batch, noise, timesteps, acting_network(learner, denoiser)
        )
    error = elementwise_loss(settings.loss, found, target, settings.huber_delta)
    if settings.min_snr_gamma:
        levels = denoiser.levels.at(timesteps)
        weight = min_snr_weight(denoiser.prediction, levels, settings.min_snr_gamma)
        error = error * weight.to(device).view(-1, *(1,) * (error.ndim - 1))
    if batch.weights is not None:
        error = error * weights_like(batch.weights, error).to(device)
    return error.mean()
