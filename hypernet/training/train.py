"""The training loop: a generator of Steps. The caller owns progress, interruption and saving.

One step is one update: `accumulation` batches of `batch_size` pictures, each with noise and
timesteps of its own, their gradients averaged, one step of the optimizer. The UNet is frozen and
only the network learns, in float32. Everything drawn at step n follows from (seed, n); see
seeding.py.

A blow-up (health.py) leads back to the last good state, at half the rate; the steps since then are
made again and counted again, so that n still means n updates. The surprise: Step.done may fall.

Inside a host that runs nodes in inference mode, wrap the whole loop in torch.inference_mode(False):
a generator cannot do it for its caller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..apply.onednn import quickened
from ..apply.patches import TrainingPatch
from ..seeding import generator, global_chance
from .diffusion import (
    Batch,
    Denoiser,
    draw_noise,
    draw_timesteps,
    elementwise_loss,
    min_snr_weight,
    predicted,
)
from .health import after_loss, after_probe, blow_up
from .learner import Learner
from .optimizers import rate_in_use, set_rate
from .parallel import ALONE, Processes, drawing_for_all
from .probe import Probe, measure_loss
from .schedule import held_rate
from .settings import TrainSettings

KEEP_EVERY = 100  # updates between states to go back to
MOST_HALVINGS = 3
LEAST_SCALE = 2.0**-10  # float16: below it, gradients overflow for another reason


@dataclass(frozen=True)
class Step:
    """What one update did, and what was seen after it."""

    done: int  # updates done since the very beginning, this one included
    loss: float  # mean over the step's batches
    rate: float  # the learning rate used
    gradient: float = math.nan  # the norm of all gradients together, before clipping
    went_back_to: int | None = None  # a blow-up: updates after this one were undone before
    notes: tuple[str, ...] = ()  # sentences for the user
    probe: float | None = None  # the probe's loss, where it was measured
    residual: Mapping[int, float] = field(default_factory=dict)  # ‖f(x)‖/‖x‖ by width, likewise


class TrainingDiverged(RuntimeError):
    """The loss blew up, also at lower rates. The learner is in its last good state."""


def train(
    learner: Learner,
    denoiser: Denoiser,
    batch_at: Callable[[int, int], Batch],
    probe: Probe | None = None,
    processes: Processes = ALONE,
) -> Iterator[Step]:
    """Update the learner's network in place, one Step at a time, until steps or schedule run out.

    batch_at(first, number) gives the samples first … first+number−1 of the endless shuffled
    stream, the same in all processes; each computes its share of them. Begins after the learner's
    `done` updates. The network is in eval mode, and the record counts the update, whenever the
    caller has control. Raises ValueError when the schedule has no rate for the first step or the
    host cannot do what the settings ask, TrainingDiverged when going back has not helped three
    times.
    """
    settings = learner.settings
    check_host(settings, denoiser, processes)
    settings.require_rate(learner.done)
    schedule = settings.schedule  # whole: steps may fall
    look_first(learner, denoiser, probe)
    if not learner.can_go_back:
        learner.keep_good()
    went_back_to = None
    while learner.done < settings.steps:
        rate = schedule.rate_at(learner.done)
        if rate is None:
            return
        set_rate(learner.optimizer, rate * 0.5**learner.health.halvings)
        loss, gradient = find_gradients(learner, denoiser, batch_at, processes)
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
    """Raises ValueError with all that this model, its host or the processes cannot do."""
    faults = []
    if settings.batch_size % processes.count:
        faults.append(
            f"batch_size {settings.batch_size} cannot be shared by {processes.count} processes: "
            "give a multiple of their number."
        )
    levels = len(denoiser.alphas_cumprod)
    if settings.min_timestep >= levels:
        faults.append(
            f"min_timestep {settings.min_timestep}: this model has {levels} noise levels."
        )
    if settings.checkpointing == "on" and denoiser.checkpointed is None:
        faults.append('checkpointing "on": it cannot be done with this model here. Choose "auto".')
    if faults:
        raise ValueError(" ".join(faults))


def look_first(learner: Learner, denoiser: Denoiser, probe: Probe | None) -> None:
    """Measure what all later probes are compared with, unless this state has it."""
    if probe is None or not learner.settings.probe_every:
        return
    if learner.health.first_loss is None:
        probe_now(learner, denoiser, probe)


def probe_now(learner: Learner, denoiser: Denoiser, probe: Probe) -> dict:
    """Measure, judge, and give what a Step tells of it."""
    end = min(learner.settings.max_timestep, len(denoiser.alphas_cumprod))
    first = learner.settings.min_timestep
    found = measure_loss(denoiser, learner.result, probe.batches, first, end)
    learner.health, notes = after_probe(
        learner.health, learner.done, found, learner.network.spec, probe.held_out
    )
    learner.notes += notes
    return {"probe": found.loss, "residual": found.residual}


def go_back(learner: Learner, fault: str) -> int:
    """To the last good state at half the rate; the updates done there."""
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
    batch_at: Callable[[int, int], Batch],
    processes: Processes,
) -> tuple[float, float]:
    """(loss, norm of the gradients) of the next update, gradients in place, true in size.

    In float16 the loss is scaled up before the backward pass, less each time it overflows; an
    overflow is no update.
    """
    while True:
        learner.optimizer.zero_grad(set_to_none=True)
        try:
            total = accumulate(learner, denoiser, batch_at, processes)
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
        learner.scaler.update()  # it has seen the overflow, and shrinks


def may_checkpoint(learner: Learner, denoiser: Denoiser) -> bool:
    wanted = learner.settings.checkpointing == "auto" and not learner.checkpoints
    return wanted and denoiser.checkpointed is not None


def needs_scale(denoiser: Denoiser) -> bool:
    return denoiser.dtype == torch.float16


def gradient_norm(network: torch.nn.Module) -> float:
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    if not gradients:
        return 0.0
    # torch has no public name for the norms of many tensors in one call
    norms = torch._foreach_norm(gradients)  # pyright: ignore[reportPrivateImportUsage]
    return torch.stack(norms).norm().item()


def update(learner: Learner, denoiser: Denoiser) -> None:
    """One step of the optimizer from the gradients in place, clipped."""
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
    batch_at: Callable[[int, int], Batch],
    processes: Processes,
) -> Tensor:
    """Add up the gradients of the next update and give the mean loss, of this process's share."""
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
                loss = loss / settings.accumulation
                (learner.scaler.scale(loss) if needs_scale(denoiser) else loss).backward()
            total += loss.detach()
    finally:
        learner.network.eval()
    return total


def batch_loss(
    learner: Learner, denoiser: Denoiser, batch: Batch, count: int, processes: Processes
) -> Tensor:
    """The loss of the count-th batch since the beginning, a scalar with its graph.

    All is drawn for the whole batch; from there on it is this process's share of it.
    """
    settings, device = learner.settings, denoiser.device
    chance = generator(settings.seed, "noise", count)
    timesteps = draw_timesteps(
        settings.timesteps,
        len(batch.latents),
        settings.min_timestep,
        min(settings.max_timestep, len(denoiser.alphas_cumprod)),
        chance,
    )
    noise = draw_noise(batch.latents.shape, settings.noise_offset, chance)
    batch = share_of(batch, processes)
    timesteps, noise = processes.share(timesteps), processes.share(noise)
    computed_once = not (learner.checkpoints or denoiser.recomputes)
    attn1 = TrainingPatch(learner.network)
    attn2 = TrainingPatch(learner.network, remember=computed_once)
    with global_chance(settings.seed, "dropout", count, device):
        found, target = predicted(denoiser, batch, noise, timesteps, attn1, attn2)
    error = elementwise_loss(settings.loss, found, target, settings.huber_delta)
    if settings.min_snr_gamma:
        alpha = denoiser.alphas_cumprod[timesteps]
        weight = min_snr_weight(denoiser.prediction, alpha, settings.min_snr_gamma)
        error = error * weight.to(device).view(-1, 1, 1, 1)
    if batch.weights is not None:
        error = error * batch.weights.to(device)
    return error.mean()


def share_of(batch: Batch, processes: Processes) -> Batch:
    weights = None if batch.weights is None else processes.share(batch.weights)
    condition = {key: processes.share(value) for key, value in batch.condition.items()}
    return Batch(processes.share(batch.latents), condition, weights)
