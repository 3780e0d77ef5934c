"""Deletes a run by moving its folder to the trash beside the runs, where it stays.

    output/hypernet_trash/<run>     _2 and so on is added if another one is there

Moving it back undoes that. The finished network in models/hypernetworks is not touched.
"""

from __future__ import annotations

import errno
import os
import shutil
from itertools import count
from pathlib import Path

from ..lock_files import untrained
from .entries import find_entry, run_names


def trash_of(runs: Path) -> Path:
    return runs.with_name(f"{runs.name}_trash")


def move_to_trash(name: str, runs: Path) -> Path:
    """Move a run's folder to the trash. Returns where it lies now.

    Raises ValueError, quoting the name, if there is no such run, if it is being trained, or if
    other runs lie in its folder.
    """
    folder = find_entry(name, runs)
    name = folder.relative_to(runs).as_posix()
    if inside := [each for each in run_names(runs) if each.startswith(f"{name}/")]:
        raise ValueError(
            f'In the folder of "{name}" lie other runs: {", ".join(inside)}. Delete those first.'
        )
    with untrained(runs, name):
        place = free_place(trash_of(runs) / name)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(folder, place)
        except OSError as fault:
            if fault.errno != errno.EXDEV:  # the runs are linked to another disk
                raise
            shutil.move(folder, place)
    return place


def free_place(place: Path) -> Path:
    """The path itself, or with the first number that makes it free."""
    numbered = (place.with_name(f"{place.name}_{number}") for number in count(2))
    return place if not place.exists() else next(each for each in numbered if not each.exists())
