"""What a run was made from, in ten digits each, so that one can see whether it changed.

A file has A1111's short hash (optim.py). A folder of a model is hashed by its weights, a dataset
by what training sees of it: captions, templates, size, and of every picture its size in bytes and
both ends, for ten thousand photographs take minutes to read and are not edited in the middle.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from torch import Tensor

from .dataset import Dataset
from .optim import short_hash

END = 2**16  # bytes at either end of a picture
WEIGHTS = (".safetensors", ".bin")
DIGITS = 10


def model_hash(path: Path | None) -> str | None:
    """Of a checkpoint file, or a diffusers folder's UNet; None for a model from elsewhere."""
    if path is None or not path.exists():
        return None
    if path.is_file():
        return short_hash(path)
    digest = hashlib.sha256()
    for file in sorted((path / "unet").iterdir()):
        if file.suffix in WEIGHTS:
            digest.update(f"{file.name}/{short_hash(file)}\n".encode())
    return digest.hexdigest()[:DIGITS]


def dataset_hash(dataset: Dataset) -> str:
    whole = (dataset.width, dataset.height, dataset.words, dataset.loss_mask)
    digest = hashlib.sha256(repr(whole).encode())
    for item in dataset.items:
        name = item.path.relative_to(dataset.folder).as_posix()
        digest.update(repr((name, item.caption, item.repeats, item.cut)).encode())
        digest.update(both_ends(item.path))
    return digest.hexdigest()[:DIGITS]


def both_ends(path: Path) -> bytes:
    """The size of a file, its first and its last bytes."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        first = file.read(END)
        file.seek(max(len(first), size - END))
        return str(size).encode() + first + file.read(END)


def tensors_hash(tensors: list[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(repr(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().cpu().contiguous().float().numpy().tobytes())
    return digest.hexdigest()[:DIGITS]
