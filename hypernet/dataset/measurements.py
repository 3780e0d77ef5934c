"""What has been found out about picture files, kept on disk so that nobody asks twice.

One file per dataset folder. An entry counts while its file has the same time of change and length.
A file that is damaged, from another version, or not writable costs nothing but time: it is measured
again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ..checked_json import read_checked, write_checked
from .listing import Stamp

VERSION = 1


@dataclass(frozen=True)
class Measurement:
    """Of a picture file as it is shown."""

    stamp: Stamp
    width: int
    height: int
    look: str = ""  # see duplicates.py; "" when nobody asked yet


def cache_file(cache: Path, folder: Path) -> Path:
    """Where in the folder `cache` the measurements of a dataset's folder are kept."""
    name = hashlib.sha256(str(folder.resolve()).encode("utf-8", "replace")).hexdigest()[:24]
    return cache / f"{name}.json"


def read_measurements(file: Path) -> dict[str, Measurement]:
    """By path relative to the dataset's folder; {} if there is nothing of use."""
    try:
        return {
            name: Measurement(Stamp(changed, length), width, height, look)
            for name, (changed, length, width, height, look) in read_checked(file, VERSION).items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}


def write_measurements(file: Path, measurements: dict[str, Measurement]) -> None:
    files = {name: [*m.stamp, m.width, m.height, m.look] for name, m in measurements.items()}
    write_checked(file, VERSION, files)
