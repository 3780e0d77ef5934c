"""What to say about free disk space, and when there is too little of it."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # EFBIG: FAT32 limits files to 4 GiB
SPARE = 32 * 2**20  # bytes of the disk that are left to other programs


class DiskFull(OSError):
    """There was no room to save. Earlier saves are untouched."""


def no_room() -> OSError:
    """What the system raises when the disk is full."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def free_bytes(folder: Path) -> int:
    """On the disk where the folder is or will be."""
    return shutil.disk_usage(existing(folder)).free


def existing(folder: Path) -> Path:
    """The folder itself, or its nearest parent that exists."""
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


def as_size(size: float) -> str:
    """A size in bytes as text, such as "83.7 MiB"."""
    units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{size:.0f} bytes" if units[0] == "bytes" else f"{size:.1f} {units[0]}"
