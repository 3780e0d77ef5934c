"""How strongly a network acts: on keys and values, at each width, and during sampling.

    strength of one side = strength · (keys | values) · factor of the width · factor of the moment

A moment is the progress of sampling, from 0 (noise) to 1 (picture), as for ControlNets. Hosts
convert it to a noise level (sigma) with the model's percent_to_sigma. A sampler's sigma is on the
accelerator, so the factor of the moment stays a tensor there: reading it would make the CPU wait.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ..devices import as_tensors_name_it
from ..text.parsing import is_boundless, number_in, unwrapped

PROMPTS = ("both", "positive", "negative")
EXACT, AS_MODEL = PRECISIONS = ("exact", "as the model")  # in which dtype a network computes
POINTS = 201  # of a curve's table, one per half percent
EDGE = 1e-6  # keeps off 0 and 1, for which percent_to_sigma gives values outside all noise levels


def arithmetic_on(model: torch.dtype, precision: str) -> torch.dtype | None:
    """What a network computes in on a model that computes in `model`; None for its own, float32.

    A model of 8 bits only stores them. Raises ValueError if the precision is none of PRECISIONS.
    """
    if precision not in PRECISIONS:
        raise ValueError(f'precision "{precision}" is none of {", ".join(PRECISIONS)}.')
    return model if precision == AS_MODEL and model.itemsize > 1 else None


@dataclass(frozen=True, kw_only=True)
class Effect:
    """How strongly a network acts.

    strength, keys, values: factors. widths: pairs of (width, factor); other widths have factor 1.
    prompts: which part of classifier-free guidance is changed. schedule: None acts on every step.
    """

    strength: float = 1.0
    keys: float = 1.0
    values: float = 1.0
    widths: tuple[tuple[int, float], ...] = ()
    prompts: str = "both"
    schedule: StrengthCurve | None = None

    def __post_init__(self) -> None:
        if self.prompts not in PROMPTS:
            raise ValueError(f'prompts "{self.prompts}" is none of {", ".join(PROMPTS)}.')

    def on_keys(self, width: int) -> float:
        return self.strength * self.keys * dict(self.widths).get(width, 1.0)

    def on_values(self, width: int) -> float:
        return self.strength * self.values * dict(self.widths).get(width, 1.0)

    def does_nothing(self, widths: Sequence[int]) -> bool:
        return not any(self.on_keys(width) or self.on_values(width) for width in widths)

    def chosen(self, cond_or_uncond: Sequence[int] | None) -> tuple[bool, ...]:
        """Is each chunk of the batch changed? A chunk marked 0 is positive, others are negative."""
        if cond_or_uncond is None or self.prompts == "both":
            return (True,)
        if self.prompts == "positive":
            return tuple(index == 0 for index in cond_or_uncond)
        return tuple(index != 0 for index in cond_or_uncond)


@dataclass(frozen=True, eq=False)
class StrengthCurve:
    """A factor for every noise level: from the table if first ≥ sigma ≥ last, otherwise 0.

    The table has ascending sigmas (N,) and their factors (N,). Without a table the factor is 1.
    """

    first: float
    last: float
    sigmas: Tensor | None = None
    factors: Tensor | None = None

    def factor(self, sigma: Tensor) -> Tensor:
        """(1,) float32 on sigma's device, where the table must be. sigma: all numbers equal."""
        return self.factors_at(sigma.float().max().reshape(1))

    def factors_at(self, sigma: Tensor) -> Tensor:
        """(B,) float32 from as many noise levels, on their device, where the table must be."""
        acts = (sigma <= self.first) & (sigma >= self.last)
        if self.sigmas is None or self.factors is None:
            return acts.float()
        above = torch.searchsorted(self.sigmas, sigma).clamp(1, len(self.sigmas) - 1)
        low, high = self.sigmas.gather(0, above - 1), self.sigmas.gather(0, above)
        # 0 / 0 where neighbours are one level: distilled models give several percents the lowest
        part = ((sigma - low) / (high - low)).nan_to_num(0).clamp(0, 1)
        found = torch.lerp(self.factors.gather(0, above - 1), self.factors.gather(0, above), part)
        return found * acts

    def to(self, device: torch.device) -> StrengthCurve:
        if self.sigmas is None or self.factors is None:
            return self
        if self.sigmas.device == as_tensors_name_it(device):
            return self
        return StrengthCurve(self.first, self.last, self.sigmas.to(device), self.factors.to(device))


def make_schedule(
    percent_to_sigma: Callable[[float], float],
    start: float = 0.0,
    end: float = 1.0,
    curve: Sequence[tuple[float, float]] = (),
) -> StrengthCurve | None:
    """A schedule from start to end, as shares of sampling between 0 and 1.

    curve: (share, factor) points, linear between and constant outside. None if the result is
    factor 1 everywhere. Raises ValueError if start is not before end, or the curve's points don't
    ascend within 0 … 1.
    """
    if not start < end:
        raise ValueError(f"start {start:g} is not before end {end:g}: nothing would be changed.")
    check_strength_curve(curve)
    if start <= 0 and end >= 1 and not curve:
        return None
    first, last = percent_to_sigma(start), percent_to_sigma(end)
    if not curve:
        return StrengthCurve(first, last)
    with torch.inference_mode(False):
        percents = [1 - i / (POINTS - 1) for i in range(POINTS)]  # sigma ascends from the picture
        inside = [min(max(percent, EDGE), 1 - EDGE) for percent in percents]
        sigmas = torch.tensor([percent_to_sigma(percent) for percent in inside])
        factors = torch.tensor([on_curve(curve, percent) for percent in percents])
    return StrengthCurve(first, last, sigmas, factors)


def on_curve(curve: Sequence[tuple[float, float]], percent: float) -> float:
    for (left, low), (right, high) in pairwise(curve):
        if left <= percent <= right:
            return low + (high - low) * (percent - left) / (right - left)
    return curve[0][1] if percent < curve[0][0] else curve[-1][1]


def check_strength_curve(curve: Sequence[tuple[float, float]]) -> None:
    percents = [percent for percent, _ in curve]
    rising = all(a < b for a, b in pairwise(percents))
    if not rising or any(not 0 <= percent <= 1 for percent in percents):
        shown = ", ".join(f"{percent:g}: {factor:g}" for percent, factor in curve)
        raise ValueError(f'Curve "{shown}": the parts of the way must rise from 0 to 1.')


def parse_strength_curve(text: str) -> tuple[tuple[float, float], ...]:
    """The points (share, factor) in "0: 1, 0.5: 0.3, 1: 0". Raises ValueError quoting the text."""
    curve = parse_pairs(text, "Curve", 'Write it like "0: 1, 0.5: 0.3, 1: 0".')
    check_strength_curve(curve)
    return curve


def parse_widths(text: str) -> tuple[tuple[int, float], ...]:
    """The pairs (width, factor) in "768: 0.5, 320: 0". Raises ValueError quoting the text."""
    pairs = parse_pairs(text, "Factors", 'Write them like "768: 0.5, 320: 0".')
    wrong = [width for width, _ in pairs if width != int(width) or width < 1]
    if wrong:
        raise ValueError(f'Factors "{text}": {wrong[0]:g} is not a width; 320 or 768 would be.')
    widths = [int(width) for width, _ in pairs]
    twice = sorted({width for width in widths if widths.count(width) > 1})
    if twice:
        raise ValueError(f'Factors "{text}": width {twice[0]} has more than one factor.')
    return tuple((int(width), factor) for width, factor in pairs)


def parse_pairs(text: str, what: str, advice: str) -> tuple[tuple[float, float], ...]:
    pairs = []
    for part in filter(None, map(str.strip, re.split(r"[,;\n]", unwrapped(text)))):
        words = part.split(":")
        numbers = [number_in(word) for word in words]
        for word, number in zip(words, numbers, strict=True):
            if number is None and not is_boundless(word):
                raise ValueError(f'{what} "{text}": "{word.strip()}" is not a number. {advice}')
        if len(numbers) != 2 or None in numbers:
            raise ValueError(f'{what} "{text}": "{part}" is not two numbers. {advice}')
        pairs.append((numbers[0], numbers[1]))
    return tuple(pairs)
