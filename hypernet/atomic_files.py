"""Files that are written completely or not at all.

The content goes into a temporary file beside the target and is moved there in one step, so a crash
or a full disk never leaves half a file under the real name.
"""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}")  # names of temporary files


def write_whole(path: Path, write: Callable[[Any], object], *, overwrite: bool = True) -> None:
    """Call write(binary file) on a temporary file beside `path`, then move it to `path`.

    overwrite: False keeps a file that exists and raises FileExistsError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:80]}.{uuid.uuid4().hex[:8]}")
    try:
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            os.replace(temporary, path)
        else:
            claim(temporary, path)
        settle(path.parent)
    except RuntimeError as fault:  # torch.save reports a full disk as "unexpected pos"
        if isinstance(fault.__context__, OSError):
            raise fault.__context__ from None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def settle(folder: Path) -> None:
    """Flush the folder itself to disk: fsync on a file doesn't save the file's name."""
    if os.name != "posix":  # Windows can't open a folder, and doesn't need this
        return
    entry = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network drives don't support it
            os.fsync(entry)
    finally:
        os.close(entry)


def remove_passing(folder: Path) -> None:
    """Delete temporary files of a killed process. Nobody else may be writing to the folder."""
    if folder.is_dir():
        for path in folder.iterdir():
            if TEMPORARY.fullmatch(path.name):
                path.unlink(missing_ok=True)


def claim(temporary: Path, path: Path) -> None:
    """Move to `path`. Raises FileExistsError if it exists, even if it was created just now."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise FileExistsError(f'"{path}" exists and is kept. Choose another name.') from None
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(f'"{path}" exists and is kept. Choose another name.') from None
        os.replace(temporary, path)
