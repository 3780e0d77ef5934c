"""What a run was made from, in ten digits each, so that one can see whether it changed.

A file has A1111's short hash (optim.py). A folder of a model is hashed by its weights, a dataset
by what training sees of it: captions, templates, size, and the bytes of pictures and masks.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from torch import Tensor

from .contents import Contents
from .dataset import Dataset
from .optim import short_hash

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


def dataset_hash(dataset: Dataset, contents: Contents) -> str:
    whole = (dataset.width, dataset.height, dataset.words, dataset.loss_mask)
    digest = hashlib.sha256(repr(whole).encode())
    for item in dataset.items:
        name = item.path.relative_to(dataset.folder).as_posix()
        mask = item.mask and contents.key(item.mask)
        seen = (name, item.caption, item.repeats, item.cut, contents.key(item.path), mask)
        digest.update(repr(seen).encode("utf-8", "replace"))
    return digest.hexdigest()[:DIGITS]


def tensors_hash(tensors: list[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(repr(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().cpu().contiguous().float().numpy().tobytes())
    return digest.hexdigest()[:DIGITS]
