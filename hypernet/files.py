"""Opening and saving networks: nothing executed, nothing overwritten, nothing half written.

A file is read by torch's weights-only unpickler, which builds plain types and tensors and refuses
code. It is written under a passing name beside its place, flushed to the disk, and moved there in
one step: whoever looks sees the old file or the whole new one.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .a1111 import from_payload, to_payload
from .network import Hypernetwork


def open_network(path: str | os.PathLike) -> Hypernetwork:
    """The network in a `.pt` file, in eval mode on the CPU.

    Raises FileNotFoundError, or ValueError that names the file and the reason.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'There is no hypernetwork file "{path}".')
    with torch.inference_mode(False):
        return from_payload(read_payload(path), path.name)


def read_payload(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as fault:  # torch raises half a dozen kinds for damaged or hostile files
        reason = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
        raise ValueError(
            f'"{path}" cannot be read as a hypernetwork: it is damaged, or not a plain file of '
            f"weights ({reason[:200]})."
        ) from fault


def save_network(
    network: Hypernetwork, path: str | os.PathLike, *, overwrite: bool = False
) -> Path:
    """Write A1111's `.pt`, whole or not at all, and give its path.

    Raises FileExistsError if the file is there and overwrite is False.
    """
    path = Path(path)
    if path.suffix != ".pt":
        raise ValueError(f'"{path.name}": a hypernetwork file ends in ".pt".')
    if path.exists() and not overwrite:
        raise FileExistsError(
            f'"{path}" exists and is kept. Choose another name, or move that file away.'
        )
    payload = to_payload(network)
    payload["name"] = payload["name"] or path.stem
    write_whole(path, lambda file: torch.save(payload, file), overwrite=overwrite)
    return path


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
    finally:
        passing.unlink(missing_ok=True)


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


def check_name(name: str) -> str:
    """The name, stripped, if it can be a file name here and on every other system.

    Raises ValueError quoting it.
    """
    stripped = name.strip()
    bad = sorted(set(re.findall(r'[\\/:*?"<>|\x00-\x1f]', stripped)))
    if bad:
        raise ValueError(
            f'Name "{name}": {" ".join(map(repr, bad))} cannot be part of a file name. '
            "Use letters, digits, dots, dashes and blanks."
        )
    if not stripped.strip(". "):
        raise ValueError(f'Name "{name}": give it at least one letter or digit.')
    if len(stripped.encode()) > 180:
        raise ValueError(f'Name "{name}" is too long: at most 180 bytes.')
    return stripped
