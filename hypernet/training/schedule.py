"""Learning rates by step: A1111's lists, "5e-5:100, 5e-6:1500, 1e-6", and named curves.

    schedule := pair (',' pair)* | curve
    pair     := rate | rate ':' step
    curve    := name rate ['to' rate] ('warmup' steps | 'cycles' n | 'period' steps | …)*

`rate:N` applies to updates with index < N (the first update has index 0). A rate without a step,
or with step −1, applies to all the rest, and entries after it are ignored. When the last entry's
step is reached, training ends, even if more steps were asked for. The surprise: A1111 advances by
one entry per update, so an entry whose step is already past still applies to one update. Notes
tell the user about entries that have less effect than they seem to. What A1111 would misread, such
as 0,00005 as a rate of 0, is refused.

Curves have kohya's names: "cosine 1e-4 to 1e-6 warmup 100". They span from update 0 to the last
one, resumed or not: the rate is a pure function of the step and the number of steps.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from ..text.parsing import is_boundless, number_in, unwrapped, whole_in

RATE, LIMIT = "Learning rate schedule", "Clip limit"


class Schedule(Protocol):
    """A rate for every update."""

    @property
    def end(self) -> int:
        """The first index that has no rate."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user about parts that may not mean what was intended."""
        ...

    def rate_at(self, step: int) -> float | None:
        """The rate of the update with this 0-based index; None after the schedule's end."""


@dataclass(frozen=True)
class RateList:
    """Rates by update index: rates[i] applies from index begins[i] until the next one begins."""

    begins: tuple[int, ...]
    rates: tuple[float, ...]
    end: int
    notes: tuple[str, ...] = ()

    def rate_at(self, step: int) -> float | None:
        if step >= self.end:
            return None
        current = self.rates[0]
        for begin, rate in zip(self.begins, self.rates, strict=True):
            if begin > step:
                break
            current = rate
        return current


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A named curve from `high` to `low`, after a linear rise over `warmup` updates.

    Restarts (Loshchilov & Hutter 2017): the first period lasts `period` updates. Each further one
    is `mult` times as long as the one before, and begins `decay` times as high above `low`.
    """

    name: str
    high: float
    low: float
    end: int
    warmup: int = 0
    period: float = 0.0
    mult: float = 1.0
    decay: float = 1.0
    notes: tuple[str, ...] = ()

    def rate_at(self, step: int) -> float | None:
        if step >= self.end:
            return None
        if step < self.warmup:
            return self.high * (step + 1) / self.warmup
        done, length = step - self.warmup, self.end - self.warmup
        if self.name != "cosine_with_restarts":
            return SHAPES[self.name](self.high, self.low, done / max(length - 1, 1))
        number, place, period = period_at(done, self.period, self.mult)
        high = self.low + (self.high - self.low) * self.decay**number
        return cosine(high, self.low, place / period)


def period_at(done: int, period: float, mult: float) -> tuple[int, float, float]:
    """(number, place inside, length) of the period that contains update `done`."""
    if mult == 1:
        number = int(done // period)
        return number, done - number * period, period
    number, place = 0, float(done)
    while place >= period:
        place -= period
        period *= mult
        number += 1
    return number, place, period


def constant(high: float, low: float, part: float) -> float:
    return high


def linear(high: float, low: float, part: float) -> float:
    return high + (low - high) * part


def cosine(high: float, low: float, part: float) -> float:
    return low + (high - low) * (1 + math.cos(math.pi * part)) / 2


def exponential(high: float, low: float, part: float) -> float:
    return high * (low / high) ** part


SHAPES = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "cosine_with_restarts": cosine,
    "exponential": exponential,  # also upwards: a range test
}

# Words that may follow the rate: which curves take them, and whether the number must be whole.
WORDS = {
    "to": (("linear", "cosine", "cosine_with_restarts", "exponential"), False),
    "warmup": (tuple(SHAPES), True),
    "cycles": (("cosine_with_restarts",), True),
    "period": (("cosine_with_restarts",), True),
    "mult": (("cosine_with_restarts",), False),
    "decay": (("cosine_with_restarts",), False),
}
EXAMPLE = '"cosine 1e-4 to 1e-6 warmup 100"'


def parse_schedule(text: str, max_steps: int, start: int = 0, what: str = RATE) -> Schedule:
    """The schedule in `text`, for a run from update `start` to `max_steps`.

    what: the name for it in messages. Raises ValueError quoting the text and the wrong part.
    """
    text = str(text)
    written = unwrapped(text)
    if written[:1].isalpha() and not is_boundless(re.split("[:,]", written)[0]):
        found = parse_named_curve(written, text, max_steps, what)
        learns = found.high or found.low
    else:
        found = parse_list(written, text, max_steps, start, what)
        learns = all(found.rates)
    if what == RATE and not learns:
        raise ValueError(
            f'{RATE} "{text}": at a rate of 0 nothing would be learnt. Give a rate above 0, or '
            "leave that entry out."
        )
    return found


def is_over_by(step: int, text: str, what: str = RATE) -> str:
    """The error message for a schedule that has no rate for this update."""
    return (
        f'{what} "{text}" has no rate for step {step} and later. '
        'End it with a rate that has no step, as in "5e-5:100, 5e-6".'
    )


def held_rate(schedule: Schedule, step: int) -> float:
    """The rate at `step`, or the last rate after the schedule's end. For limits of gradients."""
    rate = schedule.rate_at(min(step, schedule.end - 1))
    assert rate is not None
    return rate


def sampled(schedule: Schedule, most: int = 2000) -> list[tuple[int, float]]:
    """(step, rate) at about `most` evenly spaced steps, the last one, and each change of a list."""
    places = {*range(0, schedule.end, max(1, schedule.end // most)), schedule.end - 1}
    if isinstance(schedule, RateList):
        places |= {step for step in schedule.begins[:most] if step < schedule.end}
    return [(step, schedule.rate_at(step) or 0.0) for step in sorted(places)]


# A list

# Mistakes with commas: inside a number, where A1111 ends the entry, or missing between entries.
THOUSANDS = re.compile(r"(:\s*\d{1,3})((?:[,.' ]\d{3})+)(?!\s*[\d.e:])", re.I)  # 5e-5:1,000
DECIMAL = re.compile(r"(?<![^\s,;])(\d+),(\d[^\s,;]*)")  # 0,00005
MISSING = re.compile(r"(:\s*\d+)\s*[\s;/|-]\s*(?=[\d.])")  # 5e-5:100 5e-6:200
NAMED = 10  # the most entries that a note names


def parse_list(written: str, text: str, max_steps: int, start: int, what: str) -> RateList:
    if wrong := wrong_part(written):
        meant = with_commas_between(written)
        advice = "" if wrong_part(meant) else f' Perhaps you mean "{meant}".'
        fault = (
            f'{what} "{text}": "{wrong}" should be a rate, or a rate and the whole step it '
            'lasts until, as in "5e-5:100, 5e-6:1500, 1e-6"; or give a curve, as in '
            f"{EXAMPLE} ({', '.join(SHAPES)})."
        )
        raise ValueError(fault + advice)
    pairs = [
        (pair, *entry)
        for pair in map(str.strip, written.split(","))
        if (entry := read_pair(pair))  # only "" gives None here: wrong_part found no other
    ]
    entries: list[tuple[float, int]] = []
    for _, rate, step in pairs:
        if step is None or step == -1 or step > max_steps:
            entries.append((rate, max_steps))
            break
        if step > start:
            entries.append((rate, step))
    if not entries:
        raise ValueError(is_over_by(start, text, what))
    begins = [start]
    for _, until in entries:
        begins.append(max(until, begins[-1] + 1))
    rates = tuple(rate for rate, _ in entries)
    notes = tuple(list_notes(text, [(pair, step) for pair, _, step in pairs], max_steps))
    return RateList(tuple(begins[:-1]), rates, min(begins[-1], max_steps), notes)


def read_pair(pair: str) -> tuple[float, int | None] | None:
    """(rate, step), or None if it is no entry.

    The step is None where A1111 reads none: without a colon, or with several.
    """
    rate, *steps = pair.split(":")
    number, whole = number_in(rate), [whole_in(step) for step in steps]
    if number is None or number < 0 or None in whole:
        return None
    return number, whole[0] if len(whole) == 1 else None


def wrong_part(written: str) -> str | None:
    """The first part that is no entry, or whose comma is probably part of a number; else None."""
    if found := THOUSANDS.search(written) or DECIMAL.search(written):
        return found[0].lstrip(": ")
    pairs = (pair.strip() for pair in written.split(","))
    return next((pair for pair in pairs if pair and not read_pair(pair)), None)


def with_commas_between(written: str) -> str:
    """What was probably meant: decimal points, no thousands separators, commas between entries."""
    found = THOUSANDS.sub(lambda match: match[1] + re.sub(r"\D", "", match[2]), written)
    return MISSING.sub(r"\1, ", DECIMAL.sub(r"\1.\2", found))


def list_notes(text: str, pairs: list[tuple[str, int | None]], max_steps: int) -> Iterator[str]:
    """A sentence for each part that has less effect than it seems to."""
    reached = 0
    for place, (pair, step) in enumerate(pairs):
        later = ", ".join(f'"{each}"' for each, _ in pairs[place + 1 :][:NAMED])
        if step is None or step == -1:
            if pair.count(":") > 1:
                yield f'In "{text}" the steps of "{pair}" do not count: an entry has one step.'
            if later:
                yield (
                    f'In "{text}" {later} can never count: "{pair}" has no step, so it lasts to '
                    "the end."
                )
            return
        if step >= max_steps:
            if later:
                yield f'In "{text}" {later} can never count: the run ends after step {max_steps}.'
            return
        if step < 1:
            yield f'In "{text}" "{pair}" can never count: it ends before the first step.'
        elif step <= reached:
            yield (
                f'In "{text}" "{pair}" counts for one step only: it ends at step {step}, where '
                f"another rate lasts until step {reached}."
            )
        reached = max(reached, step)


# A curve


def parse_named_curve(written: str, text: str, max_steps: int, what: str) -> Curve:
    name, *rest = written.replace(",", " ").split()
    name = name.lower()
    if name not in SHAPES:
        raise ValueError(
            f'{what} "{text}": the curve "{name}" is not known. Known: {", ".join(SHAPES)}.'
        )
    if not rest:
        raise ValueError(f'{what} "{text}" has no rate. Write it like {EXAMPLE}.')
    high = read_number(rest[0], False, text, what)
    given = read_words(name, rest[1:], text, what)
    warmup, notes = int(given.get("warmup", 0)), ()
    if warmup >= max_steps:
        asked, warmup = warmup, max_steps // 10
        notes = (
            f"A warmup of {asked} steps leaves none of {max_steps}: it is shortened to {warmup}.",
        )
    length = max_steps - warmup
    curve = Curve(
        name=name,
        high=high,
        low=given.get("to", 0.0),
        end=max_steps,
        warmup=warmup,
        period=given.get("period", max(length, 1) / max(given.get("cycles", 1), 1)),
        mult=given.get("mult", 1.0),
        decay=given.get("decay", 1.0),
        notes=notes,
    )
    faults = list(curve_faults(curve, given))
    if not faults and not stays_finite(curve):
        faults = ["its rates grow beyond every number"]
    if faults:
        raise ValueError(f'{what} "{text}": {"; ".join(faults)}.')
    return curve


def read_words(name: str, words: list[str], text: str, what: str) -> dict[str, float]:
    """The words after the rate, as {"to": 1e-6, "warmup": 100, …}."""
    given: dict[str, float] = {}
    for place in range(0, len(words), 2):
        word = words[place].lower()
        if word not in WORDS or name not in WORDS[word][0]:
            allowed = ", ".join(known for known, (names, _) in WORDS.items() if name in names)
            raise ValueError(
                f'{what} "{text}": "{words[place]}" means nothing after "{name}", which takes '
                f"{allowed}. Write it like {EXAMPLE}."
            )
        if place + 1 == len(words) or word in given:
            raise ValueError(f'{what} "{text}": give "{word}" once, and a number after it.')
        given[word] = read_number(words[place + 1], WORDS[word][1], text, what)
    return given


def read_number(word: str, whole: bool, text: str, what: str) -> float:
    number = whole_in(word) if whole else number_in(word)
    if number is None or number < 0:
        kind = "a whole number" if whole else "a number"
        raise ValueError(f'{what} "{text}": "{word}" should be {kind}, 0 or more, as in {EXAMPLE}.')
    return float(number)


def curve_faults(curve: Curve, given: Mapping[str, float]) -> Iterator[str]:
    if curve.name == "exponential" and not (curve.high and curve.low):
        yield 'an exponential curve goes from one rate above 0 "to" another'
    if "cycles" in given and "period" in given:
        yield "give cycles or period, not both"
    if "cycles" in given and "mult" in given:
        yield "mult belongs to period; cycles are equally long"
    if curve.period < 1 or given.get("cycles") == 0:
        yield "a cycle lasts at least one step"
    if curve.mult < 1:
        yield f"mult {curve.mult:g} would shorten the cycles to nothing: give 1 or more"


def stays_finite(curve: Curve) -> bool:
    """Are all rates finite?

    They are highest at the first update after the warmup, or at the last update if they grow, as
    with a decay above 1.
    """
    places = (curve.warmup, curve.end - 1)
    try:
        return all(math.isfinite(curve.rate_at(place) or 0) for place in places)
    except OverflowError:  # powers raise it; products become infinite
        return False
