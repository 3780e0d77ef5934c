"""A small JSON file that says by itself whether it is whole: a line with the SHA-256 of the rest.

It is a memory, not a document: whatever is wrong with it, it is as if it were empty.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from .atomic_files import write_whole


def read_checked(file: Path, version: int) -> dict[str, Any]:
    """{} for a file that is missing, damaged or of another version."""
    try:
        digest, _, content = file.read_bytes().partition(b"\n")
        if hashlib.sha256(content).hexdigest().encode() != digest:
            return {}
        stored = json.loads(content)
        return stored["files"] if stored["version"] == version else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write_checked(file: Path, version: int, files: dict[str, Any]) -> None:
    """Where the disk is full or read-only nothing happens: the next time takes longer."""
    content = json.dumps({"version": version, "files": files}).encode()
    digest = hashlib.sha256(content).hexdigest().encode()
    with contextlib.suppress(OSError):
        write_whole(file, lambda f: f.write(digest + b"\n" + content))
