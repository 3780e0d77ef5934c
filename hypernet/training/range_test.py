"""Finds useful learning rates by a few hundred updates at rising rates (Smith 2017).

The rate rises exponentially while the probe is measured at regular steps. Its loss stays level
below the useful band, falls in the band, and rises and blows up above it. The given network is not
changed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..network.hypernetwork import Hypernetwork
from ..text.parsing import number_in, unwrapped
from .diffusion import Batch, Denoiser
from .learner import Learner
from .probe import Probe
from .settings import TrainSettings
from .train import TrainingDiverged, train

GIVE_UP = 2.0  # times the first loss
TO = re.compile(r"\s*(?:\bto\b|[~→到至])\s*|\s+-+\s+", re.IGNORECASE)  # between two rates
LEAST_FALL = 0.002  # relative to the first loss: less does not count as a fall


@dataclass(frozen=True)
class Point:
    """The probe's loss after the update at this rate."""

    rate: float
    loss: float


@dataclass(frozen=True)
class Band:
    """The range of rates that lower the loss."""

    low: float
    high: float


def range_test(
    network: Hypernetwork,
    denoiser: Denoiser,
    batch_at: Callable[[int, int], Batch],
    probe: Probe,
    settings: TrainSettings,
    low: float = 1e-7,
    high: float = 1e-2,
    steps: int = 200,
    every: int = 4,
) -> Iterator[Point]:
    """Train a copy, and yield a Point every `every` updates.

    Ends when the rate reaches `high` or the loss blows up. Raises ValueError when the rates do not
    rise.
    """
    check_rates(low, high)
    trial = network.copy().to(network.device)
    trial.record.step = 0
    settings = replace(
        settings, steps=steps, learning_rate=f"exponential {low!r} to {high!r}", ema=0.0,
        probe_every=every,
    )  # fmt: skip
    learner = Learner(trial, settings)
    try:
        for step in train(learner, denoiser, batch_at, probe):
            if step.went_back_to is not None:
                return
            if step.probe is None:
                continue
            yield Point(step.rate, step.probe)
            if step.probe > GIVE_UP * (learner.health.first_loss or step.probe):
                return
    except TrainingDiverged:
        return


def useful_band(points: Sequence[Point]) -> Band:
    """The band from the rate where 10 % of the fall is done to the rate where 90 % is.

    Raises ValueError when there are too few points or the loss did not fall.
    """
    if len(points) < 5:
        raise ValueError(f"{len(points)} points are too few for a band: begin at a lower rate.")
    losses = running_median([point.loss for point in points])
    lowest = min(range(len(losses)), key=losses.__getitem__)
    fall = losses[0] - losses[lowest]
    if fall < LEAST_FALL * losses[0]:
        raise ValueError(
            f"No rate from {points[0].rate:g} to {points[-1].rate:g} lowered the loss "
            f"({losses[0]:.4g}): test higher rates or more steps."
        )
    tenth, most = (
        next(i for i, loss in enumerate(losses) if losses[0] - loss >= part * fall)
        for part in (0.1, 0.9)
    )
    return Band(points[tenth].rate, points[most].rate)


def corrected(rate: float, band: Band, part: float) -> float:
    """The rate, brought to where it learns.

    part: the steps of the test ÷ those of the training. A rate that is too low for a short test may
    do for a long training, so the band reaches further down there.
    """
    return min(max(rate, band.low * part), band.high)


def read_rates(text: str) -> tuple[float, float]:
    """(lowest, highest) from "1e-7 to 1e-2". Raises ValueError quoting the text."""
    parts = TO.split(unwrapped(text))
    rates = [rate for part in parts if (rate := number_in(part)) is not None]
    if not len(parts) == len(rates) == 2:
        raise ValueError(f'Rates "{text}" are not two learning rates: write them as 1e-7 to 1e-2.')
    low, high = rates
    check_rates(low, high)
    return low, high


def check_rates(low: float, high: float) -> None:
    if not 0 < low < high < math.inf:
        raise ValueError(
            f"A range test from {low:g} to {high:g}: the rates must rise from above 0."
        )


def running_median(values: Sequence[float]) -> list[float]:
    """The median of each value and its two neighbours; first and last stay as they are."""
    inner = (sorted(values[i - 1 : i + 2])[1] for i in range(1, len(values) - 1))
    return [values[0], *inner, values[-1]]
