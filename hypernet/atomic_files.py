"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

PASSING = re.compile(r"\..+\.[0-9a-f]{8}")


def write_whole(path: Path, write: Callable[[Any], object], *, overwrite: bool = True) -> None:
    """Call write(binary file) on a passing file beside `path`, then move it there in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    passing = path.with_name(f".{path.name[:80]}.{uuid.uuid4().hex[:8]}")
    try:
        with open(passing, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            os.replace(passing, path)
        else:
            claim(passing, path)
        settle(path.parent)
    except RuntimeError as fault:  # torch.save says "unexpected pos" of a full disk
        if isinstance(fault.__context__, OSError):
            raise fault.__context__ from None
        raise
    finally:
        passing.unlink(missing_ok=True)


def settle(folder: Path) -> None:
    """Names in the folder reach the disk as well as what they name."""
    if os.name != "posix":  # other systems do it by themselves
        return
    entry = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network drives cannot, and need not
            os.fsync(entry)
    finally:
        os.close(entry)


def remove_passing(folder: Path) -> None:
    """Remove what a killed process left half written in a folder that nobody else writes to."""
    if folder.is_dir():
        for path in folder.iterdir():
            if PASSING.fullmatch(path.name):
                path.unlink(missing_ok=True)


def claim(passing: Path, path: Path) -> None:
    """Move to `path` only if nothing is there, also if someone else writes it just now."""
    try:
        os.link(passing, path)
    except FileExistsError:
        raise FileExistsError(f'"{path}" exists and is kept. Choose another name.') from None
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(f'"{path}" exists and is kept. Choose another name.') from None
        os.replace(passing, path)
