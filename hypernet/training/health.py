"""Judges from losses and probes whether a training goes well.

The loss of a single step depends on its timestep, by a factor of ten and more, so it can only show
a blow-up. The probe uses the same pictures, noise and timesteps every time, so its loss is smooth.
It is measured first before training, when the network has no effect yet; all later probes are
compared with that.

The thresholds are inferred from the recipes that people report, not measured; each has its reason
beside it. Only a blow-up can stop a run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import mean

from ..network.spec import HypernetSpec
from .probe import Measure

DECAY = 0.98  # of the smoothed loss: about the last 50 updates
SETTLED = 50  # updates after which the smoothed loss becomes the reference
BLOWN = 3.0  # times the reference is a blow-up; at batch size 1, chance alone reaches 1.5 times
BURST = 100.0  # a single loss above this is a blow-up; a prediction of zeros has about 1
SHAKY = 1.5  # times the reference: the state is too poor to go back to

# Nothing has been learnt as long as both changes are smaller than these:
LEAST_FALL = 0.005  # of the probe's loss, relative to the first one
LEAST_CHANGE = 0.1  # of the residual, relative to the first one
PATIENCE = 500  # updates before the user is told that nothing has been learnt
QUIET = 0.1  # mean of ‖f(x)‖/‖x‖: A1111's recipe stays at 0.07, ours comes to 0.4 (recipes.md)
BURNT = 2.0  # ‖f(x)‖/‖x‖ of a width; networks with 1.4 still draw well (docs/recipes.md)
MOST_STEERED = 3  # halvings or doublings of the rate
OVERFIT = 1.05  # times the lowest probe loss of held-out pictures,
OVERFIT_PROBES = 3  # in so many probes in a row


@dataclass(frozen=True, kw_only=True)
class Health:
    """What a run remembers of its losses and probes: plain numbers, saved with its state."""

    counted: int = 0  # losses seen
    total: float = 0.0  # their decaying sum
    reference: float | None = None  # the smoothed loss after SETTLED of them
    halvings: int = 0  # of the learning rate, one per blow-up
    steered: int = 0  # more of them, by the size of what the network adds; negative: doublings
    first_loss: float | None = None  # of the probe
    first_residual: float = 0.0  # the largest of all widths
    best_loss: float | None = None
    best_step: int = 0
    rises: int = 0  # how many probes in a row were above OVERFIT
    said: tuple[str, ...] = ()  # notes that the user has already got

    @property
    def smoothed(self) -> float:
        """The exponentially weighted mean of the losses; NaN before the first."""
        return smooth(self.total, self.counted)

    @property
    def factor(self) -> float:
        """What the scheduled rate is multiplied by."""
        return 0.5 ** (self.halvings + self.steered)

    @property
    def is_steady(self) -> bool:
        """Is this state good enough to go back to?"""
        return self.reference is None or self.smoothed <= SHAKY * self.reference


def smooth(total: float, counted: int) -> float:
    """The mean of `counted` losses whose decaying sum is `total`; NaN if there are none."""
    return total * (1 - DECAY) / (1 - DECAY**counted) if counted else math.nan


def after_loss(health: Health, loss: float) -> Health:
    health = replace(health, counted=health.counted + 1, total=health.total * DECAY + loss)
    return replace(health, reference=health.smoothed) if health.counted == SETTLED else health


def blow_up(health: Health, loss: float, gradient: float) -> str:
    """What is wrong with an update of this loss and gradient norm; "" if nothing is."""
    if not math.isfinite(loss):
        return f"the loss became {loss}"
    if not math.isfinite(gradient):
        return f"the gradient became {gradient}"
    if loss > BURST:
        return f"the loss jumped to {loss:.3g}"
    after = after_loss(health, loss)
    if health.reference is not None and after.smoothed > BLOWN * health.reference:
        return f"the loss rose to {after.smoothed:.3g}, from {health.reference:.3g}"
    return ""


def after_probe(
    health: Health, step: int, found: Measure, spec: HypernetSpec, held_out: bool
) -> tuple[Health, tuple[str, ...]]:
    """(health, new notes for the user) after a probe. The first probe is only remembered."""
    loudest = max(found.residual.values(), default=0.0)
    if health.first_loss is None or health.best_loss is None:
        first = replace(
            health, first_loss=found.loss, first_residual=loudest, best_loss=found.loss,
            best_step=step,
        )  # fmt: skip
        return first, ()
    best = health.best_loss
    if found.loss < best:
        best = found.loss
        health = replace(health, best_loss=best, best_step=step)
    worse = held_out and found.loss > OVERFIT * best
    health = replace(health, rises=health.rises + 1 if worse else 0)
    troubles = {
        "blank": blank_round(health, step, found.residual, spec),
        "burns": burning(health, found.residual, step),
        "overfits": overfitting(health, found.loss),
    }
    new = {key: text for key, text in troubles.items() if text and key not in health.said}
    return replace(health, said=(*health.said, *new)), tuple(new.values())


def steered(
    health: Health, done: int, steps: int, residual: Mapping[int, float]
) -> tuple[Health, str]:
    """(health, a note) after the rate is corrected by what the network adds; the note may be "".

    Nobody can know from a model's widths alone how large that becomes. After a quarter of the steps
    it should be heard, and it should never outweigh the model's own keys and values.
    """
    loudest, usual = max(residual.values()), mean(residual.values())
    if loudest > BURNT and health.steered < MOST_STEERED:
        added, word, by = loudest, "halved", 1
    elif done * 4 >= steps and usual < QUIET and health.steered > -MOST_STEERED:
        added, word, by = usual, "doubled", -1
    else:
        return health, ""
    return replace(health, steered=health.steered + by), (
        f"Step {done}: the network adds {added:.0%} to keys and values, so the learning rate is "
        f"{word}."
    )


def blank_round(
    health: Health, step: int, residual: Mapping[int, float], spec: HypernetSpec
) -> str:
    """The note that nothing is being learnt; "" while it is too early, or something is.

    A probe's loss may fall by a quarter while pictures stay as they are, because the loss is mostly
    colours. So what the network adds to keys and values decides, too.
    """
    fall = 0.0
    if health.first_loss and health.best_loss is not None:
        fall = 1 - health.best_loss / health.first_loss
    loudest, usual = max(residual.values(), default=0.0), mean(residual.values() or [0.0])
    change = abs(loudest / health.first_residual - 1) if health.first_residual else math.inf
    stays = fall < LEAST_FALL and change < LEAST_CHANGE
    if step < PATIENCE or not (stays or usual < QUIET):
        return ""
    why = "Raise the learning rate, or leave it to auto."
    if spec.layer_norm:
        most = ", most of all with linear" if spec.activation == "linear" else ""
        why = (
            f"Layer norm begins with a scale near 0 and holds the network back{most}: use about "
            "10 times the learning rate, or turn layer norm off."
        )
    if not stays:
        return (
            f"Step {step}: pictures hardly change so far. The network adds {usual:.1%} to keys and "
            f"values; 20% to 60% is usual. {why}"
        )
    return (
        f"Step {step}: nothing has been learnt so far. The probe's loss has fallen by "
        f"{max(fall, 0):.2%} since the beginning. {why}"
    )


def burning(health: Health, residual: Mapping[int, float], step: int) -> str:
    loud = [w for w, r in residual.items() if r > max(BURNT, 2 * health.first_residual)]
    if not loud:
        return ""
    sizes = ", ".join(f"{width}: {residual[width]:.2f}" for width in loud)
    return (
        f"Step {step}: the network burns. It changes its input by more than the input's own size "
        f"(width {sizes}), which shows as glaring colours and noise. Use an earlier checkpoint, "
        "a strength below 1, or a lower learning rate."
    )


def overfitting(health: Health, loss: float) -> str:
    if health.rises < OVERFIT_PROBES:
        return ""
    return (
        f"The network overfits: on pictures it does not train on, the loss was lowest at step "
        f"{health.best_step} ({health.best_loss:.4g}) and is now {loss:.4g}. The best network is "
        "the one of that step; more pictures or dropout would let it learn longer."
    )
