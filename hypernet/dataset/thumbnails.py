"""Small pictures of large ones, made when they are asked for and kept in a folder of bounded size.

A thumbnail belongs to a file by its path, time of change and length: a changed picture gets another
one, and the old one is removed with the oldest when the folder is full.
"""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
from pathlib import Path

from PIL import Image

from ..pictures.reading import open_picture
from .listing import Stamp

SIDE = 128  # pixels of the longer side
MOST_BYTES = 128 * 2**20  # about 30,000 thumbnails
AT_ONCE = threading.BoundedSemaphore(2)  # a whole picture is in memory for each


def thumbnail(picture: Path, stamp: Stamp, cache: Path, most: int = MOST_BYTES) -> Path:
    """The JPEG in the folder `cache`. Raises ValueError for a picture that cannot be read, OSError
    where the cache cannot be written."""
    about = f"{picture}\0{stamp.changed}\0{stamp.length}"
    key = hashlib.sha256(about.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    file = cache / f"{key}.jpg"
    if file.is_file():
        return file
    with AT_ONCE:
        small = open_picture(picture, least=2 * SIDE)
        small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=2)
    cache.mkdir(parents=True, exist_ok=True)
    if key.startswith("0"):  # every sixteenth time
        make_room(cache, most)
    passing = cache / f".{uuid.uuid4().hex}"
    try:
        small.save(passing, "JPEG", quality=85)
        os.replace(passing, file)
    finally:
        passing.unlink(missing_ok=True)
    return file


def make_room(cache: Path, most: int) -> None:
    """Remove the oldest files until three quarters of `most` bytes are taken, if more are."""
    found = sorted(
        (stat.st_mtime, stat.st_size, entry.path)
        for entry in os.scandir(cache)
        if entry.name.endswith(".jpg") and (stat := entry.stat())
    )
    taken = sum(size for _, size, _ in found)
    if taken <= most:
        return
    for _, size, path in found:
        if taken <= most * 3 // 4:
            break
        Path(path).unlink(missing_ok=True)
        taken -= size
