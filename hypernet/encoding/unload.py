"""Moves weights that are not needed for a while out of RAM, without anybody having to reload them.

The weights are written to a file, and their tensors are then memory-mapped from it. They stay the
same objects with the same numbers, but the system may drop their pages when memory is short and
reads them again on use. A host that caches the model, or a graph that decodes with it later,
notices only a slower first use.

Where the system allows it, the file is deleted as soon as it is mapped, so nobody else finds it and
nothing is left behind.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

SUFFIX = ".unloaded"
ALIGNED = 64  # bytes, more than any dtype needs


def unload(module: nn.Module, folder: Path) -> int:
    """Move the module's weights from RAM to a file in the folder. Returns how many bytes.

    Skipped are weights on an accelerator, those already in a file, and those of more than one
    storage (quantized weights). If there is no room it raises OSError and changes no weight.
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
                size += file.write(_bytes(storage).numpy().data)
        mapped = torch.UntypedStorage.from_file(str(path), shared=True, nbytes=size)
        assert isinstance(mapped, torch.UntypedStorage)  # torch's types name a base of it
    finally:
        with contextlib.suppress(OSError):  # Windows can't delete a file that is in use
            path.unlink(missing_ok=True)
    with torch.inference_mode():  # weights made in inference mode can only be changed in it
        for tensor in _weights(module):
            place = places[tensor.untyped_storage().data_ptr()] // tensor.element_size()
            offset = place + tensor.storage_offset()
            tensor.set_(mapped, offset, tensor.shape, tensor.stride())
    return size


def remove_left(folder: Path) -> None:
    """Delete files left by earlier processes, on systems that can't delete a file in use."""
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
