"""The history of a run, in bounded memory: its curves, its notes, and how it ended.

A running training adds to it step by step. For a run that is over, it is read from loss.csv and
seen.jsonl (seen.py) in the run's folder. The loss is smoothed as in health.py.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from ..training.health import DECAY, smooth
from .downsampling import Series
from .seen import SEEN, seen_lines

LOG = "loss.csv"
MOST_NOTES = 50


class RunHistory:
    def __init__(self) -> None:
        self.loss, self.smoothed, self.rate, self.probe = Series(), Series(), Series(), Series()
        self.notes: deque[tuple[int, str]] = deque(maxlen=MOST_NOTES)
        self.step = 0
        self.began = 0.0  # when the run first began: tells it from another run of the same name
        self.ended, self.why = "", ""
        self._total, self._counted = 0.0, 0

    def update(self, step: int, loss: float, rate: float) -> None:
        """Add an update. If the step is not new, training went back: later steps are forgotten."""
        if step <= self.step:
            self.forget_after(step - 1)
        self.step = step
        self._total, self._counted = self._total * DECAY + loss, self._counted + 1
        self.loss.add(step, loss)
        self.smoothed.add(step, smooth(self._total, self._counted))
        self.rate.add(step, rate)

    def forget_after(self, step: int) -> None:
        for curve in (self.loss, self.smoothed, self.rate, self.probe):
            curve.forget_after(step)
        self.step = min(self.step, step)

    def see(self, step: int, **seen) -> None:
        """Add the contents of a line of seen.jsonl. A note that is there already is ignored."""
        if "probe" in seen:
            self.probe.add(step, float(seen["probe"]))
        if "note" in seen and all(text != seen["note"] for _, text in self.notes):
            self.notes.append((step, str(seen["note"])))
        if "began" in seen:
            self.began = self.began or float(seen["began"])
            self.ended, self.why = "", ""
        if "ended" in seen:
            self.ended, self.why = str(seen["ended"]), str(seen.get("why", ""))

    def curves(self) -> dict[str, dict[str, list[float]]]:
        """Plain data for JSON: for each curve its columns, of at most 1000 points."""
        return {
            "loss": self.loss.points("low", "high"),
            "smoothed": self.smoothed.points("last"),
            "rate": self.rate.points("last"),
            "probe": self.probe.points("mean"),
        }


def read_history(folder: Path) -> RunHistory:
    """The history of the run in the folder. Lines that cannot be read are left out."""
    history = RunHistory()
    for step, loss, rate in logged(folder / LOG):
        history.update(step, loss, rate)
    for step, seen in seen_lines(folder / SEEN):
        history.see(step, **seen)
    return history


def logged(path: Path, most: int = 0) -> Iterator[tuple[int, float, float]]:
    """Yields (step, loss, rate) of every whole line of loss.csv.

    most: only of the lines in the last so many bytes; 0 for all.
    """
    if not path.exists():
        return
    with open(path, "rb") as file:
        if most and path.stat().st_size > most:
            file.seek(-most, os.SEEK_END)
            file.readline()  # the rest of a line that begins before
        for line in file:
            cells = line.split(b",")
            try:
                yield int(cells[0]), float(cells[3]), float(cells[4])
            except (IndexError, ValueError):
                continue  # the heading, or a line that a killed process did not finish
