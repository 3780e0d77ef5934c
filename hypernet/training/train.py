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
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from ..apply.onednn import quickened
from ..network.hypernetwork import Hypernetwork
from ..seeding import global_chance
from .diffusion import Denoiser, with_strength
from .exchange import Exchange
from .health import after_loss, after_probe, blow_up, steered
from .learner import Learner
from .optimizers import gradient_norm, rate_in_use, set_rate
from .parallel import ALONE, Processes, drawing_for_all
from .passes import LEARNT, BatchAt, Others, Sources, add_gradients, passes_of
from .preservation import pictures_of_others
from .probe import Measure, Probe, measure_loss
from .recording import Recorder
from .schedule import held_rate
from .settings import TrainSettings

KEEP_EVERY = 100  # updates between good states
MOST_HALVINGS = 3
LEAST_SCALE = 2.0**-10  # float16: if gradients overflow below this, the scale is not the reason


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
    pictures = pictures_of_others(denoiser, others, batch_at, settings)
    sources, went_back_to = Sources(batch_at, pictures, regularization), None
    recorder, exchange = new_recorder(learner, denoiser), Exchange(learner.network, processes)
    while learner.done < settings.steps:
        rate = settings.schedule.rate_at(learner.done)
        if rate is None:
            return
        set_rate(learner.optimizer, rate * learner.health.factor)
        loss, gradient = find_gradients(learner, denoiser, sources, exchange, recorder)
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
        used, notes = rate_in_use(learner.optimizer), learner.take_notes()
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


def new_recorder(learner: Learner, denoiser: Denoiser) -> Recorder | None:
    """None if passes shall not be recorded."""
    if not learner.settings.cuda_graphs:
        return None
    recorder = Recorder(learner.network, denoiser.device, learner.notes.append)
    if denoiser.device.type != "cuda":
        learner.notes.append(f"cuda_graphs changes nothing on this device ({denoiser.device}).")
    if any(learner.network.spec.dropout_structure):
        recorder.give_up("dropout draws anew in each")
    elif denoiser.addresses is None:
        recorder.give_up("this model does not tell where its weights are")
    return recorder


def find_gradients(
    learner: Learner,
    denoiser: Denoiser,
    sources: Sources,
    exchange: Exchange,
    recorder: Recorder | None = None,
) -> tuple[float, float]:
    """(loss, norm of the gradients) of the next update. Sets the unscaled gradients in place.

    For float16 the loss is scaled up before the backward pass. If the gradients overflow, they are
    computed again at a smaller scale.
    """
    while True:
        learner.optimizer.zero_grad(set_to_none=True)
        try:
            total = accumulate(learner, denoiser, sources, exchange, recorder)
        except torch.OutOfMemoryError:
            if not may_checkpoint(learner, denoiser):
                raise
            learner.checkpoints = True
            learner.notes.append(
                "Memory ran out, so parts are computed twice from here on (checkpointing), which "
                "takes longer."
            )
            continue
        total = exchange.finish(total)
        scales = needs_scale(denoiser)
        if scales:
            learner.scaler.unscale_(learner.optimizer)
        # the one place in an update that waits for the device
        loss, gradient = torch.stack([total, gradient_norm(learner.network)]).tolist()
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
    sources: Sources,
    exchange: Exchange,
    recorder: Recorder | None,
) -> Tensor:
    """Add up the gradients of this process's share of the next update. Returns its mean loss."""
    settings = learner.settings
    saving = denoiser.checkpointed if learner.checkpoints else None
    total = torch.zeros((), device=denoiser.device)
    scale = scale_of(learner, denoiser)
    if recorder is not None and recorder.works:
        begin(recorder, learner, denoiser)
    learner.network.train()
    try:
        for part in range(settings.accumulation):
            count = learner.done * settings.accumulation + part
            with (
                saving() if saving else nullcontext(),
                drawing_for_all(learner.network, exchange.processes),
                quickened(learner.network),
            ):
                passes = list(passes_of(learner, denoiser, sources, count, exchange.processes))
                for each in passes:
                    compute = partial(add_gradients, learner, denoiser, each)
                    inputs = each.inputs._replace(scale=scale)
                    is_last = each is passes[-1] and part == settings.accumulation - 1
                    if recorder is not None and recorder.works:
                        loss = recorder(each.kind, compute, inputs)
                    else:
                        with (
                            global_chance(settings.seed, "dropout", count, denoiser.device),
                            exchange.sending() if is_last else nullcontext(),
                        ):
                            loss = compute(inputs)
                    if each.kind == LEARNT:
                        total += loss / settings.accumulation
    finally:
        learner.network.eval()
    return total


def begin(recorder: Recorder, learner: Learner, denoiser: Denoiser) -> None:
    if learner.checkpoints or denoiser.recomputes:
        recorder.give_up("parts are computed twice (checkpointing or offload)")
    elif denoiser.addresses is not None:
        recorder.begin(denoiser.addresses())


def scale_of(learner: Learner, denoiser: Denoiser) -> Tensor | None:
    """What the loss is multiplied with before the backward pass, (), for float16."""
    if not needs_scale(denoiser):
        return None
    return learner.scaler.scale(torch.ones((), device=denoiser.device))
