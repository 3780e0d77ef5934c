"""Weights that nobody needs for an hour leave RAM too, and are there the moment somebody does.

They are written to a file, and the tensors then lie in that file instead: the same objects with the
same numbers, but pages that the system drops when memory is short, and reads again when they are
looked at. Nobody has to load anything back, and a host that keeps the model in a cache, or a graph
that decodes with it later, notices nothing but a slower first use.

Where the system allows, the file has no name any more as soon as it is in use: nobody else finds
it, and nothing is left behind.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

SUFFIX = ".unloaded"
ALIGNED = 64  # bytes, more than any type wants


def unload(module: nn.Module, folder: Path) -> int:
    """Move the module's weights that are in RAM to a file in the folder; how many bytes that was.

    Left alone: what is on an accelerator, what lies in a file already, and what is more than one
    storage (quantized weights). Raises OSError, with every weight as it was, when there is no room.
    """
    storages = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in _weights(module)
    }  # several weights may share one
    if not storages:
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    remove_left(folder)
    path, places, size = folder / f"{uuid.uuid4().hex}{SUFFIX}", {}, 0
    try:
        with open(path, "xb") as file:
            for pointer, storage in storages.items():
                size += file.write(b"\0" * (-size % ALIGNED))
                places[pointer] = size
                size += file.write(memoryview(_bytes(storage).numpy()))
        lying = torch.UntypedStorage.from_file(str(path), shared=True, nbytes=size)
    finally:
        with contextlib.suppress(OSError):  # Windows keeps the name of a file that is in use
            path.unlink(missing_ok=True)
    with torch.inference_mode():  # where weights that were made in that mode may be changed
        for tensor in _weights(module):
            place = places[tensor.untyped_storage().data_ptr()] // tensor.element_size()
            offset = place + tensor.storage_offset()
            tensor.set_(lying, offset, tensor.shape, tensor.stride())
    return size


def remove_left(folder: Path) -> None:
    """Remove the files of processes that are gone, where a file in use keeps its name."""
    for path in folder.glob(f"*{SUFFIX}"):
        with contextlib.suppress(OSError):
            path.unlink()


def _weights(module: nn.Module) -> Iterable[Tensor]:
    for tensor in (*module.parameters(), *module.buffers()):
        plain = type(tensor.data) is Tensor and tensor.layout is torch.strided
        if plain and tensor.device.type == "cpu" and tensor.numel():
            if tensor.untyped_storage().filename is None:
                yield tensor


def _bytes(storage: torch.UntypedStorage) -> Tensor:
    with torch.inference_mode(False):
        return torch.empty(0, dtype=torch.uint8).set_(storage)
