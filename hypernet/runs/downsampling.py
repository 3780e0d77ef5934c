"""Keeps a curve of any length in at most 1000 points, and measures a run's speed.

Steps are put into buckets of `width` steps: bucket i holds steps i·width + 1 … (i + 1)·width. The
width is 1 at first. When more than `most` buckets are filled, it doubles, and each pair of buckets
is merged:

    low = min   high = max   mean = Σ values / count   last = that of the newest step

So after n numbers, one per step, the width is the smallest power of two with n ≤ most · width.
Once n > most, there are more than most / 2 points. Memory is bounded, and adding a number takes
O(1) on average. Unlike thinning out, this never loses the extremes.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

MOST = 1000  # points, about as many as a node has pixels
DIGITS = 5  # significant digits of a drawn number
RECENT = 20  # updates over which the speed is measured


@dataclass(slots=True)
class Bucket:
    step: int  # the newest step in it
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
    """A curve: numbers by ascending step, kept in at most `most` buckets."""

    def __init__(self, most: int = MOST):
        self.most = most
        self.width = 1
        self.buckets: list[Bucket] = []

    def add(self, step: int, value: float) -> None:
        """Add a number of a later step than all before. Values that are not finite are ignored."""
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
        """Drop the buckets that begin after `step`.

        The bucket that contains `step` keeps later numbers too, because it cannot separate them.
        """
        while self.buckets and self._place(self.buckets[-1].step) > self._place(step):
            self.buckets.pop()
        if self.buckets:
            self.buckets[-1].step = min(self.buckets[-1].step, step)

    def points(self, *what: str) -> dict[str, list[float]]:
        """Columns of equal length: "step", and those named in `what`: low, high, mean, last."""
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
    """Measures the speed of updates and estimates the time left, in seconds."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._spent = 0.0  # seconds for updates, previews and checkpoints
        self._updates = 0

    def update_took(self, seconds: float) -> None:
        self._recent.append(seconds)
        self._spent += seconds
        self._updates += 1

    def between_took(self, seconds: float) -> None:
        """Count the time of a preview or checkpoint.

        Don't count a pause: its length says nothing about later ones.
        """
        self._spent += seconds

    @property
    def speed(self) -> float | None:
        """Updates per second: 1 / mean of the last RECENT updates, without what came between."""
        total = sum(self._recent)
        return len(self._recent) / total if total else None

    def seconds_left(self, updates: int) -> float | None:
        """updates · (seconds spent / updates made), which includes previews and checkpoints."""
        return updates * self._spent / self._updates if self._updates else None
