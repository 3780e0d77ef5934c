"""Suggests how to train, from recipes that people have published; each advice names its source.

None of these recipes was measured systematically, and some contradict each other, so a suggestion
is only a place to begin. The base is the schedule that no source contradicts: a high rate first,
then low ones, 5e-5:100, 5e-6:1500, 1e-6. All other findings are factors on its rates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..network.spec import HypernetSpec, listed
from ..network.vocabulary import ZERO_OUTPUT
from .optimizers import OPTIMIZERS
from .settings import TrainSettings, some_steps

BASE = ((5e-5, 100), (5e-6, 1500), (1e-6, None))
BASE_REASON = (
    "Begin with 5e-5:100, 5e-6:1500, 1e-6: warm first, then low (the lists of A1111's issue 4965)."
)
STEPS = 10_000
STEPS_REASON = (
    "10,000 to 20,000 steps at 5e-6 (StableDiffusionBook's guide); it begins to cook at about "
    "17,000 (A1111's discussion 2670)."
)
LEAST_STEPS = 2000
HIGHEST = 1e-4  # without layer norm
HIGHEST_REASON = "No rate above 1e-4: swish was unstable there, also with a clip (A1111's 3842)."

NAN_PRONE = ("KaimingUniform", "KaimingNormal")
POOR = {
    "softmax": "it mixes the pictures of a batch",
    "softmin": "it mixes the pictures of a batch",
    "logsoftmax": "it mixes the pictures of a batch",
    "softmax2d": "it wants pictures, not tokens",
    "logsigmoid": "it is always negative",
}
IN_CORE = (
    "linear", "relu", "leakyrelu", "elu", "swish", "tanh", "sigmoid", "softsign", "mish",
)  # fmt: skip
FEW = 10  # pictures


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A schedule, a number of steps, and the reasons: a sentence each, with its source."""

    learning_rate: str
    steps: int
    reasons: tuple[str, ...]


def suggest(
    spec: HypernetSpec,
    pictures: int,
    batch_size: int = 1,
    accumulation: int = 1,
    optimizer: str = "AdamW",
) -> Suggestion:
    """What to train this network with. Raises ValueError when a number is below 1."""
    numbers = {"pictures": pictures, "batch_size": batch_size, "accumulation": accumulation}
    if faults := [f"{name} {n}: give at least 1." for name, n in numbers.items() if n < 1]:
        raise ValueError(" ".join(faults))
    samples = batch_size * accumulation
    factors = list(factors_for(spec, pictures, samples))
    factor, reasons = 1.0, [BASE_REASON]
    for number, reason in factors:
        factor *= number
        reasons.append(f"× {number:.3g}: {reason}")
    if not spec.layer_norm and factor * BASE[0][0] > HIGHEST:
        factor = HIGHEST / BASE[0][0]
        reasons.append(HIGHEST_REASON)
    steps = max(LEAST_STEPS, round(STEPS / larger_batch(samples) / 100) * 100)
    reasons.append(STEPS_REASON)
    if optimizer == "Prodigy":
        text = "constant 1"
        reasons.append("Prodigy finds the rate itself; none of the rates above is used.")
    else:
        for_optimizer = {"Adafactor": 100.0, "Lion": 0.2}.get(optimizer, 1.0)
        if for_optimizer != 1:
            reasons.append(f"× {for_optimizer:g}: {optimizer}, {OPTIMIZERS[optimizer].about}.")
        text = as_schedule(factor * for_optimizer)
    return Suggestion(learning_rate=text, steps=steps, reasons=tuple(reasons))


def factors_for(spec: HypernetSpec, pictures: int, samples: int) -> Iterator[tuple[float, str]]:
    """Yields (factor on the rate, reason with its source)."""
    by_count = min(max(30 / pictures, 0.2), 2.0)
    if not 25 <= pictures <= 36:
        yield by_count, f"{pictures} pictures; 5e-6 is for about 30, less for more (Japanese wiki)."
    if samples > 2:
        yield (
            larger_batch(samples),
            f"{samples} pictures per update; 8 took 4 times the rate (aria1th on arca.live).",
        )
    if spec.layer_norm:
        yield 10.0, "layer norm begins near 0 and holds back (our toy regression; reports agree)."
    if spec.activation == "relu":
        yield 0.2, "relu; between the guide's 5e-6 and the 2e-7 of arca.live 61492265."
    if spec.activation in ("swish", "hardswish"):
        yield 2.0, "swish wants a higher rate (StableDiffusionBook's guide)."
    if spec.weight_initialization == ZERO_OUTPUT:
        yield 2 / 3, "ZeroOutput learns sooner (our demo: 2e-4 went further than 3e-4 with Normal)."
    if any(spec.dropout_structure[1:]):
        yield 1.5, "dropout wants a higher rate (StableDiffusionBook's guide)."


def larger_batch(samples: int) -> float:
    return min(max(samples / 2, 1.0), 4.0)


def as_schedule(factor: float) -> str:
    """The base schedule as text, with every rate multiplied by the factor."""
    parts = (
        f"{rate * factor:.2g}" + ("" if until is None else f":{until}") for rate, until in BASE
    )
    return ", ".join(parts)


def spec_warnings(spec: HypernetSpec, pictures: int | None = None) -> list[str]:
    """A sentence for every combination that is known to work badly."""
    return list(_spec_warnings(spec, pictures))


def _spec_warnings(spec: HypernetSpec, pictures: int | None) -> Iterator[str]:
    word, dropout = spec.activation, spec.dropout_structure
    if spec.layer_norm and word == "linear":
        yield (
            "Layer norm with linear may learn nothing: use about 10 times the learning rate, or "
            "another activation."
        )
    if spec.layer_norm and word in ("swish", "hardswish"):
        yield "swish is recommended without layer norm."
    if spec.layer_norm and word == "relu" and spec.weight_initialization in NAN_PRONE:
        yield (
            f"relu with {spec.weight_initialization} and layer norm has ended in NaN even at 5e-7 "
            "(A1111's 3867): use Normal or Xavier."
        )
    elif spec.weight_initialization in NAN_PRONE and len(spec.layer_structure) > 3:
        yield (
            f"{spec.weight_initialization} begins loudly in a deep network: its first pictures are "
            "noise. Normal is the quiet one."
        )
    if word in POOR:
        yield f'Activation "{word}" is a poor choice: {POOR[word]}.'
    elif word not in IN_CORE:
        yield f'ComfyUI\'s own loader does not know "{word}"; Load Hypernet and A1111 do.'
    if dropout[-1] > 0:
        yield (
            f"Dropout {listed(dropout)}: the last entry drops parts of the result itself, which "
            "is noise in every step. End with 0."
        )
    if any(dropout[1:]) and len(spec.layer_structure) == 2:
        yield "Dropout has no layer to act in between: a longer structure, such as 1, 2, 1, has."
    if any(dropout[1:-1]) and pictures is not None and pictures > 100:
        yield f"Dropout helps small sets; with {pictures} pictures it mostly slows training."
    if spec.activate_output and word != "linear":
        yield (
            "activate_output bounds what the network can say, as in files of October 2022; no "
            "recipe since uses it."
        )
    if spec.skip_connection:
        yield "Files with skip_connection can be read by aria1th's extension and by us alone."
    if pictures is not None and pictures < FEW and spec.parameters > 4 * small(spec).parameters:
        yield (
            f"{pictures} pictures are few for structure {listed(spec.layer_structure)}: 1, 1 with "
            "linear did best for 5 to 10 (aria1th)."
        )


def small(spec: HypernetSpec) -> HypernetSpec:
    return HypernetSpec(widths=spec.widths, layer_structure=(1, 1))


def settings_warnings(settings: TrainSettings) -> list[str]:
    """A sentence for every setting that is allowed but probably a mistake."""
    found = []
    schedule = settings.schedule
    found += schedule.notes
    if settings.gradient_clip != "off":
        found += settings.limits.notes
    if schedule.end < settings.steps:
        found.append(
            f'Training ends after step {schedule.end} of {settings.steps}, where "'
            f'{settings.learning_rate}" does. End it with a rate that has no step to go on.'
        )
    rates = [schedule.rate_at(step) or 0.0 for step in some_steps(schedule.end)]
    low, high = OPTIMIZERS[settings.optimizer].rates
    if max(rates) > 10 * high:
        found.append(
            f"A rate of {max(rates):g} is high for {settings.optimizer}, which is used with "
            f"{low:g} to {high:g}: colours may burn."
        )
    if max(rates) < low / 10:
        found.append(
            f"A rate of {max(rates):g} is low for {settings.optimizer}, which is used with "
            f"{low:g} to {high:g}: it may learn nothing."
        )
    if settings.ema and settings.steps < 5 / (1 - settings.ema):
        found.append(
            f"An average over 1/(1 − {settings.ema:g}) updates hardly follows in "
            f"{settings.steps} steps: use a smaller ema."
        )
    return found
