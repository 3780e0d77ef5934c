"""Opens and saves network files. Nothing is executed, overwritten or half written.

The suffix decides the format: `.pt` (a1111.py), `.safetensors` (safetensors_file.py; networks for
transformers also placed.py), or `.hns`, a tree of other files (hns.py, read only). The sizes that a
file claims are checked before any memory is allocated, and torch's weights-only reader refuses
code. A new file is written under a temporary name, flushed to disk and then renamed. So even after
a power cut there is either the old file or the complete new one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..atomic_files import write_whole
from ..network.hypernetwork import Hypernetwork
from ..network.spec import HypernetSpec
from .a1111 import from_payload, to_payload
from .file_kinds import kind_of
from .hns import Network, read_tree
from .pickle_check import check_pt
from .placed import from_placed, is_placed, to_placed
from .safetensors_file import read_safetensors, to_bytes

SAFETENSORS = ".safetensors"
SUFFIXES = (".pt", SAFETENSORS)  # formats that can be written
TREE_SUFFIX = ".hns"


def suffix_for(spec: HypernetSpec) -> str:
    """The suffix of the files that training writes."""
    return SAFETENSORS if spec.places else SUFFIXES[0]


def open_network(path: str | os.PathLike, folders: Sequence[str | os.PathLike] = ()) -> Network:
    """The network in a file, or the tree of networks in a `.hns`, in eval mode on the CPU.

    folders: where a `.hns` looks for the files it names, subfolders included, besides its own
    folder. Raises FileNotFoundError, or ValueError naming the file and the reason.
    """
    path = Path(path)
    if path.suffix.lower() == TREE_SUFFIX and path.is_file():
        return read_tree(path, [Path(folder) for folder in folders], open_single)
    return open_single(path)


def open_single(path: Path) -> Hypernetwork:
    """The network in a file that is no tree. Raises as open_network does."""
    if not path.is_file():
        raise FileNotFoundError(f'There is no hypernetwork file "{path}".')
    try:
        with torch.inference_mode(False):
            if path.suffix.lower() != SAFETENSORS:
                return from_payload(read_payload(path), path.name)
            payload = read_safetensors(path)
            return (from_placed if is_placed(payload) else from_payload)(payload, path.name)
    except ValueError as fault:
        if kind := kind_of(path):
            raise ValueError(
                f'"{path}" cannot be read as a hypernetwork: it is {kind.name}. {kind.advice}'
            ) from fault
        raise


def read_payload(path: Path) -> Any:
    """The content of a torch.save file, which must consist of plain types and tensors.

    Raises ValueError with the file and the reason, OSError if it cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            check_pt(file)
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as fault:  # torch raises half a dozen types for damaged or hostile files
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
    """Write the network in the format of the path's suffix, and return the path.

    Raises FileExistsError if the file exists and overwrite is False, and ValueError for an unknown
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
    if network.spec.places and path.suffix != SAFETENSORS:
        kind = network.record.architecture or "a transformer"
        raise ValueError(
            f'"{path.name}": a network for {kind} is saved as "{SAFETENSORS}" only. A '
            f'"{path.suffix}" of it would act on models that it was not made for.'
        )
    payload = to_placed(network, dtype) if network.spec.places else to_payload(network, dtype)
    payload["name"] = payload["name"] or path.stem
    if path.suffix == SAFETENSORS:
        content = to_bytes(payload)
        write_whole(path, lambda file: file.write(content), overwrite=overwrite)
    else:
        write_whole(path, lambda file: torch.save(payload, file), overwrite=overwrite)
    return path
