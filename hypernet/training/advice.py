"""Names what is known to go wrong, before any time is spent.

Shapes and settings that people have reported to work badly, each with its source. Rates, steps and
noise are chosen by auto.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..network.spec import HypernetSpec, listed
from .auto import usual_rate
from .settings import TrainSettings, some_steps

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
DISTILLED = re.compile(r"schnell|turbo|lightning|hyper[-_]?sd|klein|lcm|distill|hidream.*fast")
FEW = 10  # pictures
FAR = 10  # times the usual rate


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


def model_warnings(name: str) -> list[str]:
    """A sentence if a model's file name says that it was distilled, to draw in few steps."""
    found = DISTILLED.search(name.lower())
    if not found or "base" in name.lower():
        return []
    return [
        f'"{name}" seems to be distilled ({found[0]}): training lets it forget how to draw in few '
        "steps. Train on the base model; the network then acts on this one, too."
    ]


def small(spec: HypernetSpec) -> HypernetSpec:
    return HypernetSpec(widths=spec.widths, layer_structure=(1, 1))


def settings_warnings(settings: TrainSettings, spec: HypernetSpec) -> list[str]:
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
    highest = max(schedule.rate_at(step) or 0.0 for step in some_steps(schedule.end))
    usual = usual_rate(spec, settings.steps, settings.optimizer)
    far = {"high": highest > FAR * usual, "low": highest * FAR * 2 < usual}
    expected = {"high": "colours may burn", "low": "it may learn nothing"}
    found += [
        f"A rate of {highest:g} is {word} for {settings.optimizer} and this network, where auto "
        f"takes {usual:.2g}: {expected[word]}."
        for word, is_so in far.items()
        if is_so
    ]
    if settings.preserve_prompts.strip() and not settings.preserve:
        found.append("preserve_prompts are not used, because preserve is 0: 1 is usual.")
    if settings.ema and settings.steps < 5 / (1 - settings.ema):
        found.append(
            f"An average over 1/(1 − {settings.ema:g}) updates hardly follows in "
            f"{settings.steps} steps: use a smaller ema."
        )
    return found
