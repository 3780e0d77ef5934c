"""Thumbnails, made on request and kept in a cache folder of limited size.

The key is the picture's path, modification time and length, so a changed picture gets a new
thumbnail. The oldest thumbnails are deleted when the folder is full.
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
SIDES = (SIDE, 384, 1536)  # for a grid, for a grid that is enlarged, for one picture alone
MOST_BYTES = 128 * 2**20  # about 30,000 thumbnails
AT_ONCE = threading.BoundedSemaphore(2)  # each holds a whole picture in memory


def thumbnail(
    picture: Path, stamp: Stamp, cache: Path, most: int = MOST_BYTES, side: int = SIDE
) -> Path:
    """The thumbnail's JPEG file in the folder `cache`. side: of SIDES.

    Raises ValueError if the picture cannot be read, OSError if the cache cannot be written.
    """
    if side not in SIDES:
        raise ValueError(f"A side of {side} pixels: give one of {', '.join(map(str, SIDES))}.")
    about = f"{picture}\0{stamp.changed}\0{stamp.length}"
    about += f"\0{side}" if side != SIDE else ""
    key = hashlib.sha256(about.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    file = cache / f"{key}.jpg"
    if file.is_file():
        return file
    with AT_ONCE:
        small = open_picture(picture, least=2 * side)
        small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2)
    cache.mkdir(parents=True, exist_ok=True)
    if key.startswith("0"):  # for one thumbnail in sixteen
        make_room(cache, most)
    temporary = cache / f".{uuid.uuid4().hex}"
    try:
        small.save(temporary, "JPEG", quality=85)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
    return file


def make_room(cache: Path, most: int) -> None:
    """If the files exceed `most` bytes, delete the oldest until three quarters of that are left."""
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
