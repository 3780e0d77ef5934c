"""What a hypernetwork is, apart from its weights: the settings that A1111's files record.

A structure such as 1, 2, 1 gives the widths of one MLP as factors of the attention width d:
d → 2d → d. There is one pair of such MLPs, for keys and for values, per attention input width.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

from .vocabulary import ACTIVATIONS, INITIALIZATIONS, UNUSABLE_ACTIVATIONS, nearest

SD1_WIDTHS = (320, 640, 768, 1280)


@dataclass(frozen=True, kw_only=True)
class HypernetSpec:
    """The shape of a hypernetwork and how it begins.

    widths: attention input widths that get a pair of MLPs. layer_structure: factors, first and
    last 1. dropout_structure: one probability per entry of layer_structure, 0 ≤ p < 1; the first
    is never used, the last acts on the output; empty means none. activate_output: the activation
    also follows the last linear layer (files before 26 October 2022). layer_norm: after every
    linear layer and its activation, the last included. seed: of the initial weights.

    Raises ValueError with every fault found, in one message.
    """

    widths: tuple[int, ...] = SD1_WIDTHS
    layer_structure: tuple[float, ...] = (1, 2, 1)
    activation: str = "linear"
    weight_initialization: str = "Normal"
    layer_norm: bool = False
    dropout_structure: tuple[float, ...] = ()
    activate_output: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("widths", "layer_structure", "dropout_structure"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "widths", tuple(sorted(set(self.widths))))
        if not self.dropout_structure:
            object.__setattr__(self, "dropout_structure", (0.0,) * len(self.layer_structure))
        faults = [*self._structure_faults(), *self._word_faults(), *self._dropout_faults()]
        if faults:
            raise ValueError(" ".join(faults))

    def _structure_faults(self) -> list[str]:
        structure = self.layer_structure
        faults = []
        if not self.widths or any(int(w) != w or w < 1 for w in self.widths):
            faults.append(f"Widths {list(self.widths)}: give at least one whole number above 0.")
        if len(structure) < 2 or structure[0] != 1 or structure[-1] != 1:
            faults.append(
                f'Layer structure "{as_text(structure)}" must begin and end with 1, as "1, 2, 1" '
                "does: the network gives back the width it takes."
            )
        if any(not math.isfinite(f) or f <= 0 for f in structure):
            faults.append(f'Layer structure "{as_text(structure)}": every factor must be above 0.')
        elif self.widths and any(int(min(self.widths) * f) < 1 for f in structure):
            faults.append(
                f'Layer structure "{as_text(structure)}" leaves no unit at width '
                f"{min(self.widths)}: use larger factors."
            )
        return faults

    def _word_faults(self) -> list[str]:
        faults = []
        if self.activation in UNUSABLE_ACTIVATIONS:
            faults.append(
                f'Activation "{self.activation}" cannot be used: '
                f"{UNUSABLE_ACTIVATIONS[self.activation]}. "
                f"Common choices: linear, relu, swish, mish, softsign."
            )
        elif self.activation not in ACTIVATIONS:
            faults.append(
                f'Activation "{self.activation}" is not known. '
                f"Nearest: {nearest(self.activation, ACTIVATIONS)}."
            )
        if self.weight_initialization not in INITIALIZATIONS:
            faults.append(
                f'Weight initialization "{self.weight_initialization}" is not known. '
                f"Nearest: {nearest(self.weight_initialization, INITIALIZATIONS)}."
            )
        return faults

    def _dropout_faults(self) -> list[str]:
        dropout = self.dropout_structure
        if len(dropout) != len(self.layer_structure):
            return [
                f'Dropout structure "{as_text(dropout)}" has {len(dropout)} entries, the layer '
                f'structure "{as_text(self.layer_structure)}" has {len(self.layer_structure)}: '
                "give one probability per entry."
            ]
        if any(not 0 <= p < 1 for p in dropout):
            return [f'Dropout structure "{as_text(dropout)}": each must be at least 0, below 1.']
        return []

    @property
    def parameters(self) -> int:
        """How many numbers the network holds."""
        total = 0
        for width in self.widths:
            sizes = [int(width * factor) for factor in self.layer_structure]
            for i, (rows, columns) in enumerate(zip(sizes[1:], sizes[:-1], strict=True)):
                total += rows * columns + rows
                total += 2 * rows if self.layer_norm else 0
                total += self.activation == "prelu" and self.is_activated(i)
        return 2 * total

    @property
    def file_bytes(self) -> int:
        """Size of a saved .pt file: float32 weights, and what torch writes around each tensor."""
        layers = len(self.layer_structure) - 1
        tensors = 2 * len(self.widths) * layers * (4 if self.layer_norm else 2)
        return 4 * self.parameters + 190 * tensors + 2000

    def is_activated(self, layer: int) -> bool:
        """Does the activation follow linear layer `layer` (0-based)?"""
        last = layer >= len(self.layer_structure) - 2
        return self.activation != "linear" and (self.activate_output or not last)


def parse_structure(text: str) -> tuple[float, ...]:
    """Numbers from "1, 2, 1"; commas (or Chinese commas) and blanks between them.

    Raises ValueError quoting the text and the part that is no number.
    """
    numbers = []
    for part in re.split(r"[,，、\s]+", text.strip().strip("[]()")):
        try:
            number = float(part)
        except ValueError:
            raise ValueError(
                f'Structure "{text}": "{part}" is not a number. Write it like "1, 2, 1".'
            ) from None
        numbers.append(int(number) if number.is_integer() else number)
    return tuple(numbers)


def as_text(numbers: Sequence[float]) -> str:
    """ "1, 2, 1" from (1.0, 2, 1)."""
    return ", ".join(f"{n:g}" for n in numbers)


def dropout_from_flags(
    layers: int, use_dropout: bool, last_layer_dropout: bool
) -> tuple[float, ...]:
    """The dropout structure that A1111 derives for files without one (facts: 0.3 inside)."""
    if not use_dropout or layers < 3:
        return (0.0,) * layers
    return (0.0, *(0.3,) * (layers - 3), 0.3 if last_layer_dropout else 0.0, 0.0)


SPEC_FIELDS = tuple(field.name for field in fields(HypernetSpec))
