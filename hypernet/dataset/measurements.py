"""Sizes and looks of picture files, cached on disk, in one cache file per dataset folder.

An entry is valid while its picture keeps its modification time and length. If the cache is damaged,
from another version or can't be written, the pictures are just measured again.
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
    """Of a picture file as it is displayed."""

    stamp: Stamp
    width: int
    height: int
    look: str = ""  # see duplicates.py; "" if it was not needed yet


def cache_file(cache: Path, folder: Path) -> Path:
    """The file in `cache` that belongs to a dataset's folder."""
    name = hashlib.sha256(str(folder.resolve()).encode("utf-8", "replace")).hexdigest()[:24]
    return cache / f"{name}.json"


def read_measurements(file: Path) -> dict[str, Measurement]:
    """Measurements by path relative to the dataset's folder; {} if the file is unusable."""
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
