"""How much room a disk has, and what to say when there is too little."""

from __future__ import annotations

import errno
from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # FAT32 ends files at 4 GiB
SPARE = 32 * 2**20  # bytes that are left to others on the disk


class DiskFull(OSError):
    """There was no room to save; what was saved before stays."""


def existing(folder: Path) -> Path:
    """The folder, or the nearest above it that there is."""
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


def in_words(size: float) -> str:
    """ "83.7 MiB" from bytes."""
    units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{size:.0f} bytes" if units[0] == "bytes" else f"{size:.1f} {units[0]}"
