"""Identifies picture files by a content hash, which is remembered while the file is unchanged.

Hashing ten thousand pictures means reading gigabytes. Each hash is therefore cached together with
the file's modification time and length, in one cache file per dataset folder.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..checked_json import read_checked, write_checked
from .listing import Stamp
from .measurements import cache_file

VERSION = 1


def content_key(file: Path) -> str:
    """A hash of the file's bytes: the same for a renamed picture, another for a changed one."""
    with open(file, "rb") as stored:
        digest = hashlib.blake2b(digest_size=16)
        while piece := stored.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


class Contents:
    """The content keys of files below one folder."""

    def __init__(self, folder: Path, cache: Path | None = None):
        """cache: a folder where the keys are kept between runs."""
        self._folder = folder
        self._file = cache and cache_file(cache, folder)
        self._known = read_checked(self._file, VERSION) if self._file else {}
        self._used: dict[str, list] = {}

    def key(self, file: Path) -> str:
        """The content key of a file. Raises OSError if it cannot be read."""
        name = file.relative_to(self._folder).as_posix()
        status = file.stat()
        stamp = Stamp(status.st_mtime_ns, status.st_size)
        known = self._known.get(name)
        if known is None or known[:2] != [*stamp]:
            known = [*stamp, content_key(file)]
        self._used[name] = self._known[name] = known
        return known[2]

    def keep(self) -> None:
        """Save the keys of all files that were asked for."""
        if self._file:
            write_checked(self._file, VERSION, self._used)
