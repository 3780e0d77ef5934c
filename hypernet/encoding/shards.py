"""Tensors by key, kept between runs in a folder of safetensors files.

New tensors are written some megabytes at a time, each time to a new file (a shard), completely or
not at all. A shard is never changed. One that is damaged or was deleted counts as never written.
Memory holds only the position of each tensor. The system caches what is used often, so a lookup
costs far less than a training step.

If the disk is full, new tensors stay in memory. `forget_old` deletes shards that no run has used
for LIFETIME days.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor

from ..atomic_files import write_whole

SUFFIX = ".safetensors"
WRITE_AT = 32 * 2**20  # bytes that wait in memory to be written
LIFETIME = 30  # days
TYPES = {
    "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
}  # fmt: skip

Tensors = Mapping[str, Tensor]


class Place(NamedTuple):
    shard: Path
    offset: int  # bytes from the beginning of the file
    length: int  # bytes
    shape: tuple[int, ...]
    dtype: torch.dtype


class Shards:
    """A mapping from keys to tensors by name. Keys must not contain "/"."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._places: dict[str, dict[str, Place]] = {}
        self._waiting: dict[str, dict[str, Tensor]] = {}
        self._size = 0  # bytes waiting to be written
        self._full = False  # is the disk full?
        self._turn = threading.Lock()
        for shard in sorted(folder.glob(f"*{SUFFIX}")):
            self._places |= read_places(shard)

    def add(self, key: str, tensors: Tensors) -> None:
        """Add a copy of the tensors, on the CPU."""
        kept = {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
        with self._turn:
            self._waiting[key] = {name: each.contiguous() for name, each in kept.items()}
            self._size += sum(each.nbytes for each in kept.values())
        if self._size >= WRITE_AT and not self._full:
            self.write()

    def write(self) -> None:
        """Write the waiting tensors to the disk, if there is room."""
        with self._turn:
            if not self._waiting:
                return
            shard = self.folder / f"{uuid.uuid4().hex[:16]}{SUFFIX}"
            named = {f"{k}/{n}": t for k, each in self._waiting.items() for n, t in each.items()}
            content = save(named)
            try:
                write_whole(shard, lambda file: file.write(content), overwrite=False)
            except OSError:
                self._full = True
                return
            self._full = False
            self._places |= read_places(shard)
            self._waiting.clear()
            self._size = 0

    @property
    def in_memory(self) -> int:
        """The number of keys that stay in memory because the disk is full."""
        return len(self._waiting) if self._full else 0

    def missing(self, keys: Iterable[str]) -> list[str]:
        """The keys that are not here, each once, in order. Shards of the others are marked as used
        today."""
        keys = list(dict.fromkeys(keys))
        found = [self._places[key] for key in keys if key in self._places]
        for shard in {place.shard for places in found for place in places.values()}:
            with contextlib.suppress(OSError):
                os.utime(shard)
        return [key for key in keys if key not in self]

    def shape(self, key: str, name: str) -> tuple[int, ...]:
        """The shape of a tensor, without reading it."""
        with self._turn:
            here = self._waiting if key in self._waiting else self._places
            return tuple(here[key][name].shape)

    def __contains__(self, key: str) -> bool:
        return key in self._places or key in self._waiting

    def __len__(self) -> int:
        return len(self._places.keys() | self._waiting.keys())

    def __getitem__(self, key: str) -> dict[str, Tensor]:
        """Raises KeyError if it is not here, OSError if its shard has vanished."""
        with self._turn:
            if key in self._waiting:
                return dict(self._waiting[key])
            return {name: read(place) for name, place in self._places[key].items()}


def read(place: Place) -> Tensor:
    numbers = bytearray(place.length)
    if not numbers:
        return torch.empty(place.shape, dtype=place.dtype)
    with open(place.shard, "rb") as file:
        file.seek(place.offset)
        if file.readinto(numbers) != place.length:
            raise OSError(f'"{place.shard}" was cut off while it was in use. Queue the run again.')
    return torch.frombuffer(numbers, dtype=place.dtype).view(place.shape)


def read_places(shard: Path) -> dict[str, dict[str, Place]]:
    """The positions of all tensors, from the header; {} if the file is no complete shard."""
    places: dict[str, dict[str, Place]] = {}
    try:
        size = shard.stat().st_size
        with open(shard, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length)) if length <= size else {}
        for whole, about in header.items():
            if whole == "__metadata__":
                continue
            key, name = whole.split("/")
            begin, end = (8 + length + offset for offset in about["data_offsets"])
            shape, dtype = tuple(about["shape"]), TYPES[about["dtype"]]
            if end > size or end - begin != torch.Size(shape).numel() * dtype.itemsize:
                return {}
            places.setdefault(key, {})[name] = Place(shard, begin, end - begin, shape, dtype)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error):
        return {}
    return places


def forget_old(folder: Path, days: float = LIFETIME) -> None:
    """Delete the shards below `folder` that no run has used for so many days."""
    oldest = time.time() - days * 86_400
    for shard in folder.rglob(f"*{SUFFIX}"):
        with contextlib.suppress(OSError):
            if shard.stat().st_mtime < oldest:
                shard.unlink()
