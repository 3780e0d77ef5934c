"""Opening and saving networks: nothing executed, nothing overwritten, nothing half written.

The suffix says the format: `.pt` (a1111.py), `.safetensors` (safetensors_file.py), and `.hns`, a
tree of other files (hns.py, read only). What a file claims is checked before memory is taken for
it, and torch's weights-only reader builds plain types and tensors and refuses code. A file is
written under a passing name beside its place, flushed to the disk, and moved there in one step:
whoever looks sees the old file or the whole new one, after a power cut too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..atomic_files import write_whole
from ..network.hypernetwork import Hypernetwork
from .a1111 import from_payload, to_payload
from .file_kinds import kind_of
from .hns import NetworkTree, read_tree
from .pickle_check import check_pt
from .safetensors_file import read_safetensors, to_bytes

SUFFIXES = (".pt", ".safetensors")  # that can be written
TREE_SUFFIX = ".hns"


def open_network(
    path: str | os.PathLike, folders: Sequence[str | os.PathLike] = ()
) -> Hypernetwork | NetworkTree:
    """The network in a file, in eval mode on the CPU; of a `.hns`, the tree of its networks.

    folders: in and below which a `.hns` finds the files that it names, besides its own folder.
    Raises FileNotFoundError, or ValueError that names the file and the reason.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'There is no hypernetwork file "{path}".')
    if path.suffix.lower() == TREE_SUFFIX:
        return read_tree(path, [Path(folder) for folder in folders], open_network)
    try:
        with torch.inference_mode(False):
            safetensors = path.suffix.lower() == ".safetensors"
            payload = read_safetensors(path) if safetensors else read_payload(path)
            return from_payload(payload, path.name)
    except ValueError as fault:
        if kind := kind_of(path):
            raise ValueError(
                f'"{path}" cannot be read as a hypernetwork: it is {kind.name}. {kind.advice}'
            ) from fault
        raise


def read_payload(path: Path) -> Any:
    """What torch.save wrote, if it is plain types and tensors.

    Raises ValueError with the file and the reason, OSError when it cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            check_pt(file)
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as fault:  # torch raises half a dozen kinds for damaged or hostile files
            lines = str(fault).splitlines()
            reason = lines[0][:300] if lines else type(fault).__name__
            raise ValueError(
                f'"{path}" cannot be read as a hypernetwork, it is damaged or not a plain file of '
                f"weights: {reason.rstrip('.')}."
            ) from fault


def save_network(
    network: Hypernetwork,
    path: str | os.PathLike,
    *,
    overwrite: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Path:
    """Write the network, whole or not at all, as its suffix says, and give its path.

    Raises FileExistsError if the file is there and overwrite is False, and ValueError for another
    suffix or weights that are not finite.
    """
    path = Path(path)
    if not isinstance(network, Hypernetwork):
        raise ValueError(
            f'"{path.name}": a {type(network).__name__} is no single network. Save each of its '
            "networks, or merge them into one."
        )
    if path.suffix not in SUFFIXES:
        raise ValueError(f'"{path.name}": a hypernetwork file ends in {" or ".join(SUFFIXES)}.')
    if path.exists() and not overwrite:
        raise FileExistsError(
            f'"{path}" exists and is kept. Choose another name, or move that file away.'
        )
    payload = to_payload(network, dtype)
    payload["name"] = payload["name"] or path.stem
    if path.suffix == ".safetensors":
        content = to_bytes(payload)
        write_whole(path, lambda file: file.write(content), overwrite=overwrite)
    else:
        write_whole(path, lambda file: torch.save(payload, file), overwrite=overwrite)
    return path
