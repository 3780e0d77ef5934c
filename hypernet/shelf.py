"""Tensors by name, on the disk instead of in memory.

Encoded prompts take a few hundred kilobytes each and there may be ten thousands of them. They are
written one after another into a passing file that no one else sees and that is gone when nobody
holds it; what stays in memory is where each begins. What is used often the system keeps in its
own cache, so a look-up costs far less than a training step.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor


@dataclass(frozen=True)
class Place:
    offset: int  # bytes from the beginning of the file
    shape: torch.Size
    dtype: torch.dtype


class Shelf(Mapping[str, dict[str, Tensor]]):
    """A mapping of mappings of tensors; add() is the only way in."""

    def __init__(self, folder: Path | None = None):
        """The file lies in `folder`, by default where passing files lie."""
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)
        self._places: dict[str, dict[str, Place]] = {}
        self._turn = threading.Lock()

    def add(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep a copy of them. Raises OSError, with the numbers, when the disk is full."""
        places = {}
        with self._turn:
            for name, tensor in tensors.items():
                offset = self._file.seek(0, 2)
                plain = tensor.detach().cpu().contiguous()
                try:
                    self._file.write(plain.reshape(-1).view(torch.uint8).numpy())
                    self._file.flush()
                except OSError as fault:
                    raise OSError(
                        f"There is no room for the encoded prompts: {offset >> 20} MiB are "
                        f"written for {len(self)} of them ({fault.strerror}). Make room, or use "
                        "fewer variants of a caption."
                    ) from fault
                places[name] = Place(offset, plain.shape, plain.dtype)
            self._places[key] = places

    def __getitem__(self, key: str) -> dict[str, Tensor]:
        return {name: self._read(place) for name, place in self._places[key].items()}

    def _read(self, place: Place) -> Tensor:
        numbers = bytearray(place.shape.numel() * place.dtype.itemsize)
        if not numbers:
            return torch.empty(place.shape, dtype=place.dtype)
        with self._turn:
            self._file.seek(place.offset)
            self._file.readinto(numbers)
        return torch.frombuffer(numbers, dtype=place.dtype).view(place.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
