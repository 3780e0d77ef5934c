"""The checkpoints of a run, and publishing one: a copy among the networks, for hosts to load.

models/hypernetworks/<run>-<n>.pt     or -best; _2 and so on is added if the name is taken
"""

from __future__ import annotations

import filecmp
import re
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...atomic_files import write_whole
from ...formats.networks import open_network
from .entries import find_entry

BEST = "best"


@dataclass(frozen=True)
class Published:
    """A checkpoint that is among the networks. is_new: False if the same file was there before."""

    file: Path
    is_new: bool

    @property
    def about(self) -> str:
        if self.is_new:
            return f"Published as {self.file}."
        return f"It is there already, as {self.file}."


def checkpoints_in(folder: Path) -> dict[str, Path]:
    """By step, ascending, the checkpoints of a run; at last that named "best"."""
    named = re.compile(re.escape(folder.name) + r"-([0-9]{1,9}|best)\.(pt|safetensors)")
    matches = [(named.fullmatch(path.name), path) for path in folder.iterdir()]
    found = {match[1]: path for match, path in matches if match and path.is_file()}
    return dict(sorted(found.items(), key=lambda each: (each[0] == BEST, each[0].zfill(9))))


def publish(name: str, runs: Path, networks: Path, step: str = "") -> Published:
    """Copy a checkpoint into the folder of networks. step: "" for the newest one, or "best".

    Nothing is overwritten. Raises ValueError, quoting the request, if there is no such run or
    checkpoint, or if the checkpoint cannot be read as a network.
    """
    checkpoint = find_checkpoint(name, runs, step)
    open_network(checkpoint)
    place = networks / checkpoint.parent.relative_to(runs).parent
    number = 1
    while True:
        stem = checkpoint.stem if number == 1 else f"{checkpoint.stem}_{number}"
        file = place / f"{stem}{checkpoint.suffix}"
        if file.is_file() and filecmp.cmp(checkpoint, file, shallow=False):
            return Published(file, is_new=False)
        if not file.exists():
            try:
                with open(checkpoint, "rb") as content:
                    write_whole(file, partial(shutil.copyfileobj, content), overwrite=False)
                return Published(file, is_new=True)
            except FileExistsError:  # it was written just now
                pass
        number += 1


def find_checkpoint(name: str, runs: Path, step: str = "") -> Path:
    found = checkpoints_in(find_entry(name, runs))
    numbers = [int(each) for each in found if each != BEST]
    if not found:
        raise ValueError(
            f'The run "{name}" has no checkpoints. Train Hypernet writes them with save_every '
            "above 0, such as 100, and when a training is interrupted."
        )
    if not step:
        return list(found.values())[max(0, len(numbers) - 1)]
    wanted = str(int(step)) if step.isdecimal() and step.isascii() else step
    if wanted in found:
        return found[wanted]
    near = list(found)[-1]
    if wanted.isdecimal() and numbers:
        near = str(min(numbers, key=lambda number: abs(number - int(wanted))))
    raise ValueError(
        f'The run "{name}" has no checkpoint "{step}". Nearest: {near}. It has {", ".join(found)}.'
    )
