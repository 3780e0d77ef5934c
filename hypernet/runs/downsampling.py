"""A curve of any length in at most 1000 points, and how fast a run goes.

Steps fall into buckets of `width` steps: bucket i holds the steps i·width + 1 … (i + 1)·width.
Width is 1 in the beginning. When more than `most` buckets hold something it doubles, and each pair
becomes one:

    low = min   high = max   mean = Σ values / count   last = that of the newest step

So after n numbers, one per step, width is the smallest power of two with n ≤ most · width; there
are more than most / 2 points once n > most, memory is bounded, and a number costs O(1) on the
average. Extremes are never lost, which is what thinning out would do to them.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

MOST = 1000  # points, about as many as a node has pixels
DIGITS = 5  # of a number that is drawn
RECENT = 20  # updates that the speed is taken from


@dataclass(slots=True)
class Bucket:
    step: int  # the newest in it
    count: int
    total: float
    low: float
    high: float
    last: float

    def take(self, step: int, value: float) -> None:
        self.step, self.last = step, value
        self.count += 1
        self.total += value
        if value < self.low:
            self.low = value
        elif value > self.high:
            self.high = value

    def swallow(self, newer: Bucket) -> None:
        self.step, self.last = newer.step, newer.last
        self.count += newer.count
        self.total += newer.total
        self.low, self.high = min(self.low, newer.low), max(self.high, newer.high)


class Series:
    """Numbers by ascending step, at most `most` points of them."""

    def __init__(self, most: int = MOST):
        self.most = most
        self.width = 1
        self.buckets: list[Bucket] = []

    def add(self, step: int, value: float) -> None:
        """step: above all before. What is not finite cannot be drawn, and is left out."""
        if not math.isfinite(value):
            return
        if self.buckets and self._place(self.buckets[-1].step) == self._place(step):
            self.buckets[-1].take(step, value)
            return
        self.buckets.append(Bucket(step, 1, value, value, value, value))
        if len(self.buckets) > self.most:
            self.width *= 2
            finer, self.buckets = self.buckets, []
            for bucket in finer:
                if self.buckets and self._place(self.buckets[-1].step) == self._place(bucket.step):
                    self.buckets[-1].swallow(bucket)
                else:
                    self.buckets.append(bucket)

    @property
    def last(self) -> float:
        """The newest number; NaN before the first."""
        return self.buckets[-1].last if self.buckets else math.nan

    def _place(self, step: int) -> int:
        return (step - 1) // self.width

    def forget_after(self, step: int) -> None:
        """Drop the buckets that begin after `step`; the one around it keeps what it has swallowed,
        for single numbers are no longer known."""
        while self.buckets and self._place(self.buckets[-1].step) > self._place(step):
            self.buckets.pop()
        if self.buckets:
            self.buckets[-1].step = min(self.buckets[-1].step, step)

    def points(self, *what: str) -> dict[str, list[float]]:
        """Columns of equal length: "step", and what is asked for of low, high, mean and last."""
        columns: dict[str, list[float]] = {"step": [each.step for each in self.buckets]}
        for name in what:
            values = (
                each.total / each.count if name == "mean" else getattr(each, name)
                for each in self.buckets
            )
            columns[name] = [rounded(value) for value in values]
        return columns


def rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


class Pace:
    """How fast updates are made, and when the last will be. Times are seconds of one clock."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._spent = 0.0  # on updates, and on what came between them
        self._updates = 0

    def update_took(self, seconds: float) -> None:
        self._recent.append(seconds)
        self._spent += seconds
        self._updates += 1

    def between_took(self, seconds: float) -> None:
        """A preview or a checkpoint; not a pause, whose length says nothing of those to come."""
        self._spent += seconds

    @property
    def speed(self) -> float | None:
        """Updates per second: 1 / mean of the last RECENT, without what came between them."""
        total = sum(self._recent)
        return len(self._recent) / total if total else None

    def seconds_left(self, updates: int) -> float | None:
        """updates · (seconds spent / updates made): checkpoints and previews count too."""
        return updates * self._spent / self._updates if self._updates else None
