"""A small JSON cache file whose first line is the SHA-256 of the rest, so damage is noticed.

It is only a cache: a file with anything wrong in it is read as an empty one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from .atomic_files import write_whole


def read_checked(file: Path, version: int) -> dict[str, Any]:
    """The stored entries; {} if the file is missing, damaged or of another version."""
    try:
        digest, _, content = file.read_bytes().partition(b"\n")
        if hashlib.sha256(content).hexdigest().encode() != digest:
            return {}
        stored = json.loads(content)
        return stored["files"] if stored["version"] == version else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write_checked(file: Path, version: int, files: dict[str, Any]) -> None:
    """Write the entries. A full or read-only disk is no error: the next run only takes longer."""
    content = json.dumps({"version": version, "files": files}).encode()
    digest = hashlib.sha256(content).hexdigest().encode()
    with contextlib.suppress(OSError):
        write_whole(file, lambda f: f.write(digest + b"\n" + content))
