"""Checks before training whether the run's folder can be written and has enough room."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..disk_space import NO_ROOM, as_size, existing, free_bytes
from ..formats.networks import SUFFIXES
from ..network.power_averages import WIDTHS
from ..network.spec import HypernetSpec
from ..training.settings import TrainSettings
from .run import Keeping
from .snapshots import snapshot_files
from .state import bytes_of_states


def check_disk(
    folder: Path,
    spec: HypernetSpec,
    settings: TrainSettings,
    keeping: Keeping | None = None,
    start: int = 0,
) -> None:
    """Raise OSError, with the sizes, if what the run still has to write will not fit on the disk.

    start: the updates that are done.
    """
    files = networks_to_come(folder, settings, keeping or Keeping(), start)
    # Three states: the newest, the one before, and the next. Each has weights, AdamW's two moments
    # and perhaps an average, and all of them twice if it also holds the last good state.
    kept = 3 + bool(settings.ema) + len(WIDTHS) * bool(settings.averages)
    state = spec.file_bytes * 2 * kept
    states = max(state, 3 * state - bytes_of_states(folder))
    moments = 2 * (files - 1) if settings.save_optimizer else 0  # AdamW's; the best file has none
    # Snapshots are of two averages, each in half the size.
    averages = min(settings.averages, settings.steps) - len(snapshot_files(folder)) // len(WIDTHS)
    averages = max(0, averages)
    needed = spec.file_bytes * (files + moments + averages) + states
    free = free_bytes(folder)
    if needed > free:
        raise OSError(
            f"The run needs {as_size(needed)} in {folder} ({files + averages} files of "
            f"{as_size(spec.file_bytes)} and the states to resume from), but only "
            f"{as_size(free)} are free. Save less often, keep fewer, use a smaller structure, or "
            "make room."
        )


def networks_to_come(folder: Path, settings: TrainSettings, keeping: Keeping, start: int) -> int:
    """The most files of the network that the run will add.

    These are the numbered checkpoints, the network itself, the best, and one at an interrupt.
    """
    last = min(settings.steps, settings.schedule.end)
    every = settings.save_every
    numbered = max(0, last // every - start // every) if every else 0
    if keeping.keep_last:
        there = sum(is_checkpoint(path) for path in folder.glob("*-*.*"))
        numbered = min(numbered, max(1, keeping.keep_last + 1 - there))
    return numbered + 2 + (not any(path.suffix in SUFFIXES for path in folder.glob("*-best.*")))


def is_checkpoint(path: Path) -> bool:
    return path.suffix in SUFFIXES and path.stem.rpartition("-")[2].isdecimal()


def check_writable(folder: Path) -> None:
    """Raise OSError, saying what to do, if writing to the folder is not permitted."""
    there = existing(folder)
    try:
        with tempfile.TemporaryFile(dir=there):
            return
    except OSError as fault:
        if fault.errno in NO_ROOM:
            return  # check_disk reports a full disk, with the sizes
        raise OSError(
            f'"{there}" cannot be written, where {folder} is to be: {fault.strerror or fault}. '
            "Give whoever runs this server the right to write there."
        ) from fault
