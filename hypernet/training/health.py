"""Is a training well? What is measured while it goes on, and what the numbers mean.

Losses of single steps jump with the timestep, by a factor of ten and more, so they tell of a
blow-up at most. The probe is the same pictures with the same noise and timesteps every time: its
loss is smooth. What it says of a network without effect comes first, and everything after is
compared with that.

Thresholds are inferences from the recipes that people report, not measured truths; each stands
here with its reason, and none of them stops a run but a blow-up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..network.spec import HypernetSpec
from .probe import Measure

DECAY = 0.98  # of the smoothed loss: about the last 50 updates
SETTLED = 50  # updates until the smoothed loss serves as the reference
BLOWN = 3.0  # times the reference: at batch 1 chance alone makes it 1.5 times
BURST = 100.0  # a single loss; 1 is what an answer of zeros gets
SHAKY = 1.5  # times the reference: no state to go back to

LEAST_FALL = 0.005  # of the probe's first loss, and
LEAST_CHANGE = 0.1  # of the residual's first size: below both, nothing has been learnt
PATIENCE = 500  # updates before that is said
BURNT = 1.0  # ‖f(x)‖/‖x‖: the network speaks louder than the model's own keys
OVERFIT = 1.05  # times the lowest probe loss of held-out pictures,
OVERFIT_PROBES = 3  # so many times in a row


@dataclass(frozen=True, kw_only=True)
class Health:
    """All that is remembered of a run's losses and probes: plain numbers, saved with the run."""

    counted: int = 0  # losses seen
    total: float = 0.0  # their decaying sum
    reference: float | None = None  # the smoothed loss after SETTLED of them
    halvings: int = 0  # of the learning rate, one per blow-up
    first_loss: float | None = None  # of the probe
    first_residual: float = 0.0  # the largest
    best_loss: float | None = None
    best_step: int = 0
    rises: int = 0  # probes in a row that are OVERFIT
    said: tuple[str, ...] = ()  # what need not be said again

    @property
    def smoothed(self) -> float:
        """The mean of the last losses, newer ones more; NaN when there was none."""
        return smooth(self.total, self.counted)

    @property
    def is_steady(self) -> bool:
        """Is this a state to go back to?"""
        return self.reference is None or self.smoothed <= SHAKY * self.reference


def smooth(total: float, counted: int) -> float:
    """The mean of `counted` losses whose decaying sum is `total`; NaN of none."""
    return total * (1 - DECAY) / (1 - DECAY**counted) if counted else math.nan


def after_loss(health: Health, loss: float) -> Health:
    health = replace(health, counted=health.counted + 1, total=health.total * DECAY + loss)
    return replace(health, reference=health.smoothed) if health.counted == SETTLED else health


def blow_up(health: Health, loss: float, gradient: float) -> str:
    """What is wrong with an update of this loss and gradient norm, "" when nothing is."""
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
    """(health, notes to show) after a probe at `step`. The first one is the comparison."""
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
        "blank": blank_round(health, step, loudest, spec),
        "burns": burning(health, found.residual, step),
        "overfits": overfitting(health, found.loss),
    }
    new = {key: text for key, text in troubles.items() if text and key not in health.said}
    return replace(health, said=(*health.said, *new)), tuple(new.values())


def blank_round(health: Health, step: int, loudest: float, spec: HypernetSpec) -> str:
    """The words for a network that learns nothing, "" while it may yet."""
    fall = 0.0
    if health.first_loss and health.best_loss is not None:
        fall = 1 - health.best_loss / health.first_loss
    change = abs(loudest / health.first_residual - 1) if health.first_residual else math.inf
    if step < PATIENCE or fall >= LEAST_FALL or change >= LEAST_CHANGE:
        return ""
    why = "Raise the learning rate."
    if spec.layer_norm:
        most = ", most of all with linear" if spec.activation == "linear" else ""
        why = (
            f"Layer norm begins with a scale near 0 and holds the network back{most}: use about "
            "10 times the learning rate, or turn layer norm off."
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


# --- the probe -----------------------------------------------------------------------------------
