"""What has been found out about picture files, kept on disk so that nobody asks twice.

One file per dataset folder: a line with the SHA-256 of the rest, then JSON. An entry counts while
its file has the same time of change and length. A file that is damaged, from another version, or
not writable costs nothing but time: it is measured again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from .files import write_whole
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
        digest, _, content = file.read_bytes().partition(b"\n")
        if hashlib.sha256(content).hexdigest().encode() != digest:
            return {}
        stored = json.loads(content)
        if stored["version"] != VERSION:
            return {}
        return {
            name: Measurement(Stamp(changed, length), width, height, look)
            for name, (changed, length, width, height, look) in stored["files"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_measurements(file: Path, measurements: dict[str, Measurement]) -> None:
    files = {name: [*m.stamp, m.width, m.height, m.look] for name, m in measurements.items()}
    content = json.dumps({"version": VERSION, "files": files}).encode()
    digest = hashlib.sha256(content).hexdigest().encode()
    with contextlib.suppress(OSError):  # a full or read-only disk: the next time takes longer
        write_whole(file, lambda f: f.write(digest + b"\n" + content))
