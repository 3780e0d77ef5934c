"""The spec of a hypernetwork: everything except its weights, as A1111's files record it.

A structure such as 1, 2, 1 gives the layer sizes of an MLP as factors of the attention width d:
d → 2d → d. Each attention width has a pair of such MLPs, for keys and for values. A spec too large
for any memory is refused here, before anything is allocated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ..text.parsing import read_numbers
from .places import PLACES, Pair, Place
from .vocabulary import (
    ACTIVATIONS,
    FLAT_AT_ZERO,
    INITIALIZATIONS,
    NORMAL,
    UNUSABLE_ACTIVATIONS,
    ZERO_OUTPUT,
    nearest,
)

SD1_WIDTHS = (320, 640, 768, 1280)

# Far above any real use: [1, 2, 4, 2, 1] with SD 1's widths and 1024 has 1.5e8 numbers.
MOST_NUMBERS = 2**31
MOST_LAYERS = 64
MOST_WIDTHS = 64
MOST_GROUPS = 64
LARGEST_FACTOR = 1024
NARROWEST = 4  # no model is narrower; a smaller number was the "1" of "1,280"
ARITHMETICS = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class HypernetSpec:
    """The structure of a hypernetwork and how its weights are initialised.

    widths: attention widths that get a pair of MLPs. layer_structure: factors, the first and last
    are 1. dropout_structure: one probability per entry of layer_structure, 0 ≤ p < 1; the first is
    never used, the last acts on the output; empty means none. activate_output: the activation also
    follows the last linear layer (files before 26 October 2022). layer_norm: follows every linear
    layer and its activation, including the last. seed: for the initial weights.

    skip_connection: every layer is a residual block of aria1th's extension. Its order of layers is
    different, see hypernetwork.py, and activate_output has no effect. upsample_linear: the skip
    path of those blocks is a matrix; otherwise it is resampled by the nearest neighbour.

    places: (stream, width) of what gets a pair in a transformer; empty for a UNet, where widths
    tell. groups: equal parts of its depth, each with pairs of its own. arithmetic: the dtype that
    the network computes in; weights are float32 while training, whatever it is.

    bias: linear layers add a constant. Without, a linear network folds into any model, see fold.py.

    Raises ValueError with all faults in one message.
    """

    widths: tuple[int, ...] = SD1_WIDTHS
    layer_structure: tuple[float, ...] = (1, 2, 1)
    activation: str = "linear"
    weight_initialization: str = NORMAL
    layer_norm: bool = False
    dropout_structure: tuple[float, ...] = ()
    activate_output: bool = False
    seed: int = 0
    skip_connection: bool = False
    upsample_linear: bool = False
    places: tuple[tuple[str, int], ...] = ()
    groups: int = 1
    arithmetic: str = ARITHMETICS[0]
    bias: bool = True

    def __post_init__(self) -> None:
        for name in ("widths", "layer_structure", "dropout_structure"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.places:
            places = sorted({(stream, width) for stream, width in self.places})
            object.__setattr__(self, "places", tuple(places))
            object.__setattr__(self, "widths", tuple(width for _, width in places))
        object.__setattr__(self, "widths", tuple(sorted(set(self.widths))))
        if not self.dropout_structure:
            object.__setattr__(self, "dropout_structure", (0.0,) * len(self.layer_structure))
        faults = [*self._structure_faults(), *self._word_faults(), *self._dropout_faults()]
        faults += self._place_faults()
        if faults:
            raise ValueError(" ".join(faults))

    def _structure_faults(self) -> list[str]:
        structure, widths = self.layer_structure, self.widths
        faults = []
        if not widths or any(int(w) != w or w < 1 for w in widths):
            faults.append(f"Widths {list(widths)[:8]}: give at least one whole number above 0.")
        elif len(widths) > MOST_WIDTHS:
            faults.append(f"{len(widths)} widths: no model has more than {MOST_WIDTHS}.")
        if len(structure) < 2 or structure[0] != 1 or structure[-1] != 1:
            faults.append(
                f'Layer structure "{listed(structure)}" must begin and end with 1, as "1, 2, 1" '
                "does: the network gives back the width it takes."
            )
        if len(structure) > MOST_LAYERS + 1:
            faults.append(
                f'Layer structure "{listed(structure)}" has {len(structure)} entries: at most '
                f"{MOST_LAYERS + 1}."
            )
        elif any(not math.isfinite(f) or f <= 0 for f in structure):
            faults.append(f'Layer structure "{listed(structure)}": every factor must be above 0.')
        elif any(f > LARGEST_FACTOR for f in structure):
            faults.append(
                f'Layer structure "{listed(structure)}": no factor may be above {LARGEST_FACTOR}.'
            )
        elif widths and any(int(min(widths) * f) < 1 for f in structure):
            faults.append(
                f'Layer structure "{listed(structure)}" leaves no unit at width '
                f"{min(widths)}: use larger factors."
            )
        if self.upsample_linear and not self.skip_connection:
            faults.append("upsample_linear belongs to skip_connection: set both, or neither.")
        if self.skip_connection and not self.bias:
            faults.append("A network with skip connections has biases: leave bias on.")
        if not faults and self.parameters > MOST_NUMBERS:
            faults.append(
                f'Layer structure "{listed(structure)}" at widths {listed(widths)} takes '
                f"{4 * self.parameters / 2**30:.0f} GiB: use smaller factors or fewer widths."
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
        elif self.weight_initialization == ZERO_OUTPUT and self.activation in FLAT_AT_ZERO:
            if self.activate_output or self.skip_connection:
                faults.append(
                    f'"{self.activation}" after layers of 0 lets nothing be learnt: use another '
                    f"weight initialization than {ZERO_OUTPUT}."
                )
        return faults

    def _dropout_faults(self) -> list[str]:
        dropout = self.dropout_structure
        if len(dropout) != len(self.layer_structure):
            return [
                f'Dropout structure "{listed(dropout)}" has {len(dropout)} entries, the layer '
                f'structure "{listed(self.layer_structure)}" has {len(self.layer_structure)}: '
                "give one probability per entry."
            ]
        if any(not 0 <= p < 1 for p in dropout):
            return [f'Dropout structure "{listed(dropout)}": each must be at least 0, below 1.']
        return []

    def _place_faults(self) -> list[str]:
        faults = []
        if strange := sorted({stream for stream, _ in self.places} - {*PLACES}):
            faults.append(
                f'Places "{", ".join(strange)}": a model has none of this name. '
                f"There are {', '.join(PLACES)}."
            )
        most = MOST_GROUPS if self.places else 1
        if not 1 <= self.groups <= most:
            faults.append(
                f"groups {self.groups}: give 1 to {most}."
                if self.places
                else f"groups {self.groups}: a UNet has 1, its widths tell its blocks apart."
            )
        if self.arithmetic not in ARITHMETICS:
            faults.append(f'arithmetic "{self.arithmetic}": give {" or ".join(ARITHMETICS)}.')
        return faults

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of MLPs that the network consists of."""
        if not self.places:
            return tuple(Pair(width) for width in self.widths)
        groups = [None] if self.groups == 1 else range(self.groups)
        return tuple(Pair(width, stream, g) for stream, width in self.places for g in groups)

    def pair_at(self, width: int, place: Place | None = None) -> Pair | None:
        """The pair that acts on a layer with this width of input, at this place of a model.

        A network for UNets acts by width alone. None if no pair does.
        """
        if not self.places:
            return Pair(width) if width in self.widths else None
        if place is None or (place.stream, width) not in self.places:
            return None
        group = None if self.groups == 1 else place.depth * self.groups // place.of
        return Pair(width, place.stream, group)

    @property
    def parameters(self) -> int:
        """The number of weights in the network."""
        total = 0
        for width in [width for _, width in self.places] or self.widths:
            sizes = [int(width * factor) for factor in self.layer_structure]
            for i, (rows, columns) in enumerate(zip(sizes[1:], sizes[:-1], strict=True)):
                total += rows * columns + rows * self.bias
                total += 2 * rows if self.layer_norm else 0
                total += self.activation == "prelu" and self.is_activated(i)
                total += rows * columns if self.upsample_linear else 0
        return 2 * self.groups * total

    @property
    def file_bytes(self) -> int:
        """The size of a saved file: float32 weights, and torch's overhead for each tensor."""
        layers = len(self.layer_structure) - 1
        tensors = 2 * len(self.pairs) * layers * (4 if self.layer_norm else 2)
        tensors += 2 * len(self.pairs) * layers if self.upsample_linear else 0
        return 4 * self.parameters + 190 * tensors + 2000 + (0 if self.bias else self._zero_bytes)

    @property
    def _zero_bytes(self) -> int:
        """Files have biases of 0 where the network has none, see a1111.py."""
        rows = (
            int(pair.width * factor) for pair in self.pairs for factor in self.layer_structure[1:]
        )
        return 4 * 2 * sum(rows)

    def is_activated(self, layer: int) -> bool:
        """Does the activation follow linear layer `layer` (0-based)?"""
        last = layer >= len(self.layer_structure) - 2
        always = self.activate_output or self.skip_connection
        return self.activation != "linear" and (always or not last)


def parse_structure(text: str) -> tuple[float, ...]:
    """The factors in "1, 2, 1", separated by commas, semicolons or blanks.

    Raises ValueError quoting the text and the part that is no number.
    """

    def begins_and_ends_with_1(numbers: tuple[float, ...]) -> bool:
        return len(numbers) > 1 and numbers[0] == 1 == numbers[-1] and min(numbers) > 0

    return read_numbers(text, "Structure", "1, 2, 1", begins_and_ends_with_1)


def parse_dropout(text: str, layers: int | None) -> tuple[float, ...]:
    """The probabilities in "0, 0.3, 0", one for each of `layers`; none for an empty text.

    layers: None if their number is not known.

    Raises ValueError quoting the text and the part that is no number.
    """

    def are_probabilities(numbers: tuple[float, ...]) -> bool:
        return len(numbers) == layers and all(0 <= number < 1 for number in numbers)

    if not text.strip():
        return ()
    makes_sense = None if layers is None else are_probabilities
    return read_numbers(text, "Dropout structure", "0, 0.3, 0", makes_sense)


def read_widths(text: str) -> tuple[int, ...]:
    """The widths in "768, 1280"; none for an empty text. Raises ValueError quoting the text."""

    def are_usual(numbers: tuple[float, ...]) -> bool:
        return all(isinstance(each, int) and 16 <= each <= 2**16 for each in numbers)

    numbers = read_numbers(text, "Widths", "768, 1280", are_usual) if text.strip() else ()
    widths = tuple(number for number in numbers if isinstance(number, int) and number >= 1)
    if len(widths) < len(numbers):
        raise ValueError(f'Widths "{text}": give whole numbers above 0, such as 768, 1280.')
    if widths and min(widths) < NARROWEST:
        raise ValueError(
            f'Widths "{text}": {min(widths)} is too narrow. Write large numbers without a comma '
            "inside, such as 1280."
        )
    return widths


def listed(numbers: Sequence[float]) -> str:
    """ "1, 2, 1" for (1.0, 2, 1); a very long one is shortened."""
    text = ", ".join(f"{n:g}" for n in numbers[:20])
    return f"{text}, …" if len(numbers) > 20 else text


def dropout_from_flags(
    layers: int, use_dropout: bool, last_layer_dropout: bool
) -> tuple[float, ...]:
    """The dropout structure that A1111 derives for files without one: 0.3 inside."""
    if not use_dropout or layers < 3:
        return (0.0,) * layers
    return (0.0, *(0.3,) * (layers - 3), 0.3 if last_layer_dropout else 0.0, 0.0)
