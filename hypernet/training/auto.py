"""Fills the settings that are left open by their preset, and says what it chose and why.

The same inputs always give the same choice, so a run that is resumed chooses what it had before.
The formulas were found with the bundled model (docs/recipes.md). Each is carried over to other
models by a size:

    rate    AdamW moves a weight by about one rate per update, so the more inputs a layer has, the
            further its output moves. The rate is inversely proportional to the mean of them.
    noise   The mean of h · w noisy numbers has √(h · w) times less noise than each of them. The
            offset that hides a picture's colours is inversely proportional to that root.
    start   For the same reason, the composition of a larger picture survives more noise.
    batch   Four pictures at a time, or as many as are together no larger than one of 512 × 512,
            teach more in the same time. n at a time need n^⅔ times fewer updates.

A network is applied at strength 1, but learns at another, so that it comes out quieter or louder.
Drawn with guidance, without which it learns, those of the bundled UNet lose content when they are
as loud as they learnt to be; those of the bundled transformer come out too quiet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from statistics import mean
from typing import Any

from ..network.spec import HypernetSpec
from ..network.vocabulary import FLAT_AT_ZERO, NORMAL, ZERO_OUTPUT
from .diffusion import TIMESTEPS
from .optimizers import OPTIMIZERS
from .presets import AUTO, OPEN, OPEN_BATCH, OPEN_STEPS, PRESETS, Preset
from .settings import MOST_STEPS, TrainSettings, setting

RATE = 0.025  # for a layer with one input, in 2,000 steps: 1.7e-4 for the bundled model's 144
RATE_STEPS = 2000
STEPS_OF = 50  # chosen numbers of steps are multiples of it
LEAST_STEPS = 200  # fewer do not raise the rate further
TRANSFORMER = 9.0  # for the tiny DiT; at the widths of Flux it gives 1.2e-4, as for LoRAs there
BATCH_AREA = 64 * 64  # rows · columns of latents: those of one picture of 512 × 512
MOST_AT_A_TIME = 4
TRAIN_STRENGTH, OF_TRANSFORMERS = 1.15, 0.87
LAYER_NORM = 10.0  # it begins with a scale near 0 and holds back (docs/recipes.md)
WARMUP = 20  # steps ÷ WARMUP
COLOURS = 8.0  # noise_offset · √(h · w): 0.5 for the bundled model's 16 × 16
MOST_OFFSET = 0.5
COMPOSED = 0.208  # sigma ÷ √(h · w) above which the composition is not decided: 0.3 of the way
LEAST_START = 0.05

OPEN_VALUES = {"steps": OPEN_STEPS, "learning_rate": AUTO, "noise_offset": OPEN, "preserve": OPEN}


@dataclass(frozen=True, kw_only=True)
class AutoSettings(TrainSettings):
    """Training settings of which some are open; `settle` gives TrainSettings.

    Open are steps 0, batch_size 0, learning_rate "auto", noise_offset −1, preserve −1 and timesteps
    "auto". Beside a typed rate, an open noise_offset or preserve is 0.
    """

    steps: int = setting(
        OPEN_STEPS,
        "Updates in all; an interrupted run counts on. 0: as many as the preset has.",
        0, MOST_STEPS, rare=False,
    )  # fmt: skip
    learning_rate: str = setting(
        AUTO,
        "auto: the preset's. Or a rate, or rates with the step each lasts until, as in A1111: "
        "5e-5:100, 5e-6:1500, 1e-6. Or a curve: cosine 5e-5 to 1e-6 warmup 100.",
        rare=False,
    )
    batch_size: int = setting(
        OPEN_BATCH,
        "Pictures per batch. More needs more memory and is calmer. 0: the preset's, one, or four "
        "where pictures are small.",
        0, 1024, rare=False,
    )  # fmt: skip
    noise_offset: float = setting(
        OPEN,
        "Noise of a whole channel, under which colours are learnt. -1: the preset's, where it "
        "also chooses the rate. 0: off.",
        OPEN, 1, step=0.01,
    )  # fmt: skip
    timesteps: str = setting(
        AUTO, "How noise levels are drawn: all alike, or the middle ones more often.",
        options=(AUTO, *TIMESTEPS),
    )  # fmt: skip
    preserve: float = setting(
        OPEN,
        "Weight of drawing everyday things as without the network, so that the model forgets "
        "less. -1: the preset's, where it also chooses the rate. 0: off.",
        OPEN, 100, step=0.1,
    )  # fmt: skip
    preset: str = setting(
        AUTO,
        "Decides what is left open. "
        + "; ".join(f"{name}: {preset.about}" for name, preset in PRESETS.items()) + ".",
        options=tuple(PRESETS), rare=False,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.learning_rate.strip().lower() == AUTO:
            object.__setattr__(self, "learning_rate", AUTO)
        super().__post_init__()

    @property
    def is_rate_open(self) -> bool:
        return self.learning_rate == AUTO

    def _rate_faults(self) -> Iterator[str]:
        if not self.is_rate_open:
            yield from super()._rate_faults()
        for name in ("noise_offset", "preserve"):
            if OPEN < (value := getattr(self, name)) < 0:
                yield f"{name} {value:g}: give 0 or more, or {OPEN:g} to leave it to the preset."


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Settings without anything open, and a sentence for everything that was chosen."""

    settings: TrainSettings
    reasons: tuple[str, ...] = ()


def records_start(asked: AutoSettings) -> bool:
    """Does training by these settings also choose from where on the network acts?"""
    return asked.is_rate_open and PRESETS[asked.preset].is_ours


def settle(
    asked: TrainSettings, spec: HypernetSpec, latent: tuple[int, int], prediction: str = "eps"
) -> Choice:
    """Fill what is open. latent: the rows and columns of most pictures' latents. prediction: the
    model's, one of diffusion.PREDICTIONS."""
    if not isinstance(asked, AutoSettings):
        return Choice(settings=asked)
    preset = PRESETS[asked.preset]
    given = {field.name: getattr(asked, field.name) for field in fields(TrainSettings)}
    batch = pictures_per_update(asked, preset, latent)
    reasons = [*typed_over(asked, preset, batch)]

    def fill(name: str, value: Any, why: str) -> None:
        given[name] = value
        if value:  # what is off needs no words
            reasons.append(f"{name} {value}: {why}")

    if asked.timesteps == AUTO:
        given["timesteps"] = "uniform"  # as A1111 draws them
        if prediction == "flow":
            fill("timesteps", "logit-normal", "flow models learn most at the middle noise levels.")
    if asked.batch_size == OPEN_BATCH:
        given["batch_size"] = batch // asked.accumulation
        if given["batch_size"] > 1:
            fill("batch_size", given["batch_size"], "together no larger than one of 512 × 512.")
    if asked.steps == OPEN_STEPS:
        fill("steps", *chosen_steps(preset, batch if asked.is_rate_open else 1))
    if not asked.is_rate_open:  # a recipe of somebody's own, as workflows of before have it
        for name in ("noise_offset", "preserve"):
            given[name] = max(given[name], 0.0)
        return Choice(settings=TrainSettings(**given), reasons=tuple(reasons))
    fill("learning_rate", *chosen_rate(preset, given["steps"], asked.optimizer, spec))
    given["steer"] = preset.is_ours
    if preset.is_ours:
        given["train_strength"] = OF_TRANSFORMERS if spec.places else TRAIN_STRENGTH
    if asked.noise_offset == OPEN:
        fill("noise_offset", *chosen_offset(preset, latent, prediction))
    if asked.preserve == OPEN:
        fill("preserve", preset.preserve, "other things stay as the model draws them.")
    return Choice(settings=TrainSettings(**given), reasons=tuple(reasons))


def typed_over(asked: AutoSettings, preset: Preset, batch: int) -> Iterator[str]:
    """A sentence for every value that is typed where the preset has another."""
    if asked.preset == AUTO:
        return  # there, everything typed is meant
    for name, is_open in OPEN_VALUES.items():
        typed, has = getattr(asked, name), getattr(preset, name)
        if name == "steps" and asked.is_rate_open:
            has, _ = chosen_steps(preset, batch)
        if typed != is_open and has is not None and typed != has:
            yield (
                f'The preset "{asked.preset}" has {name} {has}; yours, {typed}, is used. Give '
                f"{is_open} for the preset's."
            )


def pictures_per_update(asked: AutoSettings, preset: Preset, latent: tuple[int, int]) -> int:
    size = asked.batch_size
    if size == OPEN_BATCH:
        size = chosen_batch(preset, latent) if asked.is_rate_open else 1
    return size * asked.accumulation


def chosen_batch(preset: Preset, latent: tuple[int, int]) -> int:
    rows, columns = latent
    return min(max(BATCH_AREA // (rows * columns), 1), MOST_AT_A_TIME) if preset.is_ours else 1


def chosen_steps(preset: Preset, batch: int) -> tuple[int, str]:
    """(steps, a reason) with so many pictures per update."""
    if batch == 1 or not preset.is_ours:
        return preset.steps, f"{preset.about}."
    steps = max(round(preset.steps / batch ** (2 / 3) / STEPS_OF), 1) * STEPS_OF
    return steps, f"{preset.about}; {batch} pictures at a time need fewer."


def chosen_offset(preset: Preset, latent: tuple[int, int], prediction: str) -> tuple[float, str]:
    """(noise_offset, a reason)."""
    if prediction == "flow":
        return 0.0, ""  # their last level is pure noise, which hides colours anyway
    if preset.noise_offset is not None:
        return preset.noise_offset, f"{preset.about}."
    rows, columns = latent
    offset = round(min(COLOURS / math.sqrt(rows * columns), MOST_OFFSET), 3)
    return offset, f"hides the colours of latents of {columns} × {rows}, so that they are learnt."


def chosen_rate(preset: Preset, steps: int, optimizer: str, spec: HypernetSpec) -> tuple[str, str]:
    """(learning_rate, a reason)."""
    if preset.learning_rate is not None:
        return preset.learning_rate, f"{preset.about}."
    factor = OPTIMIZERS[optimizer].factor
    schedule = as_cosine(usual_rate(spec, steps, optimizer), steps)
    if factor is None:
        return schedule, f"{optimizer} finds the rate itself."
    why = [f"{steps:,} steps for layers with {mean_inputs(spec):.0f} inputs in the mean"]
    if spec.places:
        why.append(f"× {TRANSFORMER:g} for a transformer")
    if spec.layer_norm:
        why.append(f"× {LAYER_NORM:g} because layer norm holds back")
    if factor != 1:
        why.append(f"× {factor:g} for {optimizer}")
    return schedule, f"{', '.join(why)}."


def usual_rate(spec: HypernetSpec, steps: int, optimizer: str = "AdamW") -> float:
    """The highest rate, from where a cosine falls to 0.

    Inversely proportional to the root of the steps: the way that a weight goes is partly straight
    and partly a random walk. Fewer than LEAST_STEPS have no higher rate than these.
    """
    factor = OPTIMIZERS[optimizer].factor
    if factor is None:
        return 1.0
    rate = RATE / mean_inputs(spec) * math.sqrt(RATE_STEPS / max(steps, LEAST_STEPS))
    rate *= TRANSFORMER if spec.places else 1.0
    return rate * factor * (LAYER_NORM if spec.layer_norm else 1.0)


def as_cosine(rate: float, steps: int) -> str:
    """A schedule that rises to the rate, and falls to 0 along a cosine."""
    return f"cosine {rate:.2g} warmup {steps // WARMUP}"


def mean_inputs(spec: HypernetSpec) -> float:
    """The mean number of inputs of the network's linear layers."""
    return mean(int(w * factor) for w in spec.widths for factor in spec.layer_structure[:-1])


def chosen_start(levels: Callable[[float], float], latent: tuple[int, int]) -> float:
    """The share of sampling before which the network had better not act.

    levels: percent_to_sigma of the model. That of flow models begins at 1: it is the share of
    noise, not noise ÷ signal.
    """
    rows, columns = latent
    wanted = COMPOSED * math.sqrt(rows * columns)
    if levels(0.0) == 1:
        wanted /= 1 + wanted
    found = next((part / 100 for part in range(1, 100) if levels(part / 100) <= wanted), 0.0)
    return found if found >= LEAST_START else 0.0


def chosen_initialization(preset: str, spec: HypernetSpec) -> str:
    """How weights begin by this preset; Normal where ZeroOutput would let nothing be learnt."""
    wanted = PRESETS[preset].weight_initialization
    stuck = spec.layer_norm or (spec.activation in FLAT_AT_ZERO and spec.activate_output)
    return NORMAL if wanted == ZERO_OUTPUT and (stuck or spec.skip_connection) else wanted
