"""Snapshots of power averages in a run's folder, and the averages that are rebuilt from them.

    averages/<name>-<since>-<n>-<width>.pt     the average of this width of updates since … n

Each is a network in float16, which can be used as it is. The rounding adds at most a few tenths of
a thousandth to what is rebuilt. The last snapshots are those in the run's state, in float32, so a
run that ended early has some for its end, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from ..formats.networks import open_single, save_network, suffix_for
from ..network.hypernetwork import Hypernetwork, Record, load_weights
from ..network.power_averages import PowerAverages, Profile, combination, exponent_of
from ..text.links import files_below
from ..training.settings import TrainSettings
from .state import State, newest_state

FOLDER = "averages"
NAME = re.compile(r".+-([0-9]{1,9})-([0-9]{1,9})-(0\.[0-9]{1,4})\.(pt|safetensors)")
NUMBERS = torch.float16
WIDTH = "hypernet_average"  # the relative width's key in an average's record
ROUGH = 0.1  # a larger misfit is said; half of it costs about a thousandth of the weights


@dataclass(frozen=True)
class Snapshot:
    """The average of this relative width over the updates since … step."""

    since: int
    step: int
    width: float
    open: Callable[[], Hypernetwork]

    @property
    def profile(self) -> Profile:
        return Profile(self.step - self.since, exponent_of(self.width))


@dataclass(frozen=True)
class Rebuilt:
    """An average, from `count` snapshots. misfit: see power_averages.combination."""

    network: Hypernetwork
    width: float
    misfit: float
    count: int

    @property
    def about(self) -> str:
        """Sentences on the average."""
        said = (
            f"The average of width {self.width:g} after {self.network.record.step} updates, from "
            f"{self.count} snapshots."
        )
        if self.misfit > ROUGH:
            said += " " + (
                f"It is rough: its profile differs from the true one by {self.misfit:.0%}. Widths "
                "from 0.04 to 0.15 fit better, and so do more averages in Train Hypernet."
            )
        return said


def is_due(settings: TrainSettings, since: int, done: int) -> bool:
    """Are snapshots due after this update? The last one of a whole run is."""
    length = min(settings.steps, settings.schedule.end) - since
    if not settings.averages or not 0 < done - since <= length:
        return False
    now, before = (n * settings.averages // length for n in (done - since, done - since - 1))
    return now > before


def save_snapshots(folder: Path, name: str, powers: PowerAverages) -> None:
    """Save both averages as they are now. Files of the same updates are replaced."""
    for width, average in powers.networks.items():
        record = average.record
        file = f"{name}-{powers.since}-{record.step}-{width:g}{suffix_for(average.spec)}"
        snapshot = average.copy()
        snapshot.record.extra = record.extra | {WIDTH: width}
        save_network(snapshot, folder / FOLDER / file, overwrite=True, dtype=NUMBERS)


def forget_snapshots_after(folder: Path, step: int) -> None:
    """Remove the snapshots of later updates, which will be made again."""
    for path, (_, end, _) in snapshot_files(folder):
        if end > step:
            path.unlink()


def snapshot_files(folder: Path) -> list[tuple[Path, tuple[int, int, float]]]:
    """(path, (since, step, width)) of every snapshot's file in a run's folder, in their order."""
    found = []
    for path in (folder / FOLDER).glob("*"):
        if match := NAME.fullmatch(path.name):
            found.append((path, (int(match[1]), int(match[2]), float(match[3]))))
    return sorted(found, key=lambda each: each[1])


def runs_with_snapshots(runs: Path) -> list[str]:
    """The names of the runs in a folder that have snapshots, "/"-separated, sorted."""
    matches = (re.fullmatch(rf"(.+)/{FOLDER}/([^/]+)", name) for name in files_below(runs))
    return sorted({match[1] for match in matches if match and NAME.fullmatch(match[2])})


def holds_snapshots(folder: Path) -> bool:
    return bool(snapshot_files(folder))


def some_snapshot_files(folder: Path) -> list[tuple[Path, tuple[int, int, float]]]:
    """The snapshot_files. Raises ValueError, quoting the run, if it has none."""
    if files := snapshot_files(folder):
        return files
    raise ValueError(
        f'The run "{folder.name}" has no snapshots of averages in {folder}. Train Hypernet keeps '
        "them with averages above 0, such as 8; train it so under another name."
    )


def snapshots_in(folder: Path) -> list[Snapshot]:
    """The snapshots of a run, those of its newest averages alone.

    Raises ValueError, quoting the run, if it has none.
    """
    files = some_snapshot_files(folder)
    found = {facts: Snapshot(*facts, partial(open_single, path)) for path, facts in files}
    with suppress(OSError, ValueError):  # a damaged state: what the files hold is enough
        if (state := newest_state(folder)[0]) is not None:
            found |= in_state(state, found[max(found)])
    newest = max(found.values(), key=lambda each: each.step)
    return [found[facts] for facts in sorted(found) if facts[0] == newest.since]


def in_state(state: State, like: Snapshot) -> dict[tuple[int, int, float], Snapshot]:
    """The averages in a state. like: a snapshot of the same run, for its record."""
    powers = state.optimizer.get("powers") or {"since": 0, "weights": {}}
    since, step = powers["since"], state.step
    if step <= since:
        return {}

    def opened(weights: dict) -> Hypernetwork:
        network = like.open()
        load_weights(network, weights)
        network.record.step = step
        return network

    return {
        (since, step, width): Snapshot(since, step, width, partial(opened, weights))
        for width, weights in powers["weights"].items()
    }


@torch.no_grad()
def rebuild(snapshots: Iterable[Snapshot], width: float, name: str = "") -> Rebuilt:
    """The average of any relative width at the end of the snapshots.

    Its record says what it is. Raises ValueError for a width that no average has.
    """
    given = list(snapshots)
    last = max(given, key=lambda each: each.step)
    goal = Profile(last.profile.end, exponent_of(width))
    factors, misfit = combination([each.profile for each in given], goal)
    average = last.open()
    sums = [torch.zeros_like(each, dtype=torch.float64) for each in average.parameters()]
    for snapshot, factor in zip(given, factors, strict=True):
        for total, part in zip(sums, snapshot.open().parameters(), strict=True):
            total.add_(part, alpha=factor)
    for parameter, total in zip(average.parameters(), sums, strict=True):
        parameter.copy_(total)
    record = average.record
    average.record = Record(**vars(record) | {
        "name": name or record.name,
        "optional_info": f"average of {record.name}, relative width {width:g}, "
        f"from {len(given)} snapshots",
        "extra": record.extra | {WIDTH: width},
    })  # fmt: skip
    return Rebuilt(average, width, misfit, len(given))
