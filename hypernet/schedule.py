"""A1111's learning-rate schedules: "5e-5:100, 5e-6:1500, 1e-6".

    schedule := pair (',' pair)* ;  pair := rate | rate ':' step

`rate:N` serves the updates with index < N (the first update has index 0); a rate without a step,
or with step −1, serves all the rest, and nothing after it counts. When the last step is reached,
training ends, though more steps were asked for. The surprise: A1111 moves on by one entry per
update, so an entry whose step is already past still serves one update.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Rates by update index: entry i serves from begins[i] until the next one begins."""

    begins: tuple[int, ...]
    rates: tuple[float, ...]
    end: int  # the first index that no rate serves

    def rate_at(self, step: int) -> float | None:
        """The rate of the update with this 0-based index; None once the schedule has run out."""
        if step >= self.end:
            return None
        current = self.rates[0]
        for begin, rate in zip(self.begins, self.rates, strict=True):
            if begin > step:
                break
            current = rate
        return current


def parse_schedule(text: str, max_steps: int, start: int = 0) -> Schedule:
    """The schedule of `text` for a run from update `start` up to `max_steps` in all.

    Raises ValueError quoting the text and the part that is wrong.
    """
    entries: list[tuple[float, int]] = []
    closed = False
    for pair in str(text).split(","):
        if not pair.strip():
            continue
        rate, step = read_pair(pair, text)
        if closed:
            continue
        if step is None or step == -1 or step > max_steps:
            entries.append((rate, max_steps))
            closed = True
        elif step > start:
            entries.append((rate, step))
    if not entries:
        raise ValueError(
            f'Learning rate schedule "{text}" has no rate for step {start} and later. '
            'End it with a rate that has no step, as in "5e-5:100, 5e-6".'
        )
    begins = [start]
    for _, until in entries:
        begins.append(max(until, begins[-1] + 1))
    rates = tuple(rate for rate, _ in entries)
    return Schedule(tuple(begins[:-1]), rates, min(begins[-1], max_steps))


def read_pair(pair: str, text: str) -> tuple[float, int | None]:
    parts = pair.split(":")
    try:
        rate = float(parts[0])
        step = int(parts[1]) if len(parts) == 2 else None
    except ValueError:
        rate, step = math.nan, None
    if not math.isfinite(rate) or rate < 0:
        raise ValueError(
            f'Learning rate schedule "{text}": "{pair.strip()}" should be a rate, or a rate and '
            'the whole step it lasts until, as in "5e-5:100, 5e-6:1500, 1e-6".'
        )
    return rate, step
