"""What a run was made from, in ten digits each, so that one can see whether it changed.

A file has A1111's short hash (optim_file.py). A folder of a model is hashed by its weights, a
dataset by what training sees of it: captions, templates, size, and the bytes of pictures and masks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AnySet
from pathlib import Path
from typing import Any

from torch import Tensor

from ..checked_json import read_checked, write_checked
from ..dataset.content_keys import Contents
from ..dataset.items import Dataset
from ..formats.optim_file import short_hash

WEIGHTS = (".safetensors", ".bin")
DIGITS = 10
VERSION = 1  # of what is remembered


def model_hash(path: Path | None, memory: Path | None = None) -> str | None:
    """Of a checkpoint file, or a diffusers folder's UNet; None for a model from elsewhere.

    memory: a file where hashes are kept for the next time, for checkpoints are gigabytes.
    """
    if path is None or not path.exists():
        return None
    if path.is_file():
        return remembered_hash(path, memory)
    digest = hashlib.sha256()
    for file in sorted((path / "unet").iterdir()):
        if file.suffix in WEIGHTS:
            digest.update(f"{file.name}/{remembered_hash(file, memory)}\n".encode())
    return digest.hexdigest()[:DIGITS]


def remembered_hash(path: Path, memory: Path | None) -> str:
    """short_hash, anew only when the file's time or length is another."""
    status, key = path.stat(), str(path.resolve())
    stamp = [status.st_mtime_ns, status.st_size]
    known = read_checked(memory, VERSION) if memory else {}
    if known.get(key, [])[:2] != stamp:
        known[key] = [*stamp, short_hash(path)]
        if memory:
            write_checked(memory, VERSION, known)
    return known[key][2]


def dataset_hash(
    dataset: Dataset,
    contents: Contents,
    each: Callable[[int, int], object] = lambda done, total: None,
) -> str:
    """Calls each(done, total) before every picture. One that cannot be read is known by that."""
    whole = (dataset.width, dataset.height, dataset.words, dataset.loss_mask)
    digest = hashlib.sha256(repr(whole).encode())
    for done, item in enumerate(dataset.items):
        each(done, len(dataset.items))
        name = item.path.relative_to(dataset.folder).as_posix()
        mask = item.mask and key_or_nothing(contents, item.mask)
        picture = key_or_nothing(contents, item.path)
        seen = (name, item.caption, item.repeats, item.cut, picture, mask)
        digest.update(repr(seen).encode("utf-8", "replace"))
    return digest.hexdigest()[:DIGITS]


def key_or_nothing(contents: Contents, file: Path) -> str:
    try:
        return contents.key(file)
    except OSError:
        return ""


def tensors_hash(tensors: list[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(repr(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().cpu().contiguous().float().numpy().tobytes())
    return digest.hexdigest()[:DIGITS]


def changes_hash(changes: Sequence[Mapping[str, Any]]) -> str:
    """Of what models carry beside the weights of their files: LoRAs, a CLIP skip. Hosts keep such
    changes in objects of their own, which are known by what they hold."""
    digest = hashlib.sha256()
    for piece in pieces(changes):
        digest.update(piece)
    return digest.hexdigest()[:DIGITS]


def pieces(value: Any) -> Iterator[bytes]:
    if isinstance(value, Tensor):
        yield repr(tuple(value.shape)).encode()
        yield value.detach().cpu().contiguous().float().numpy().tobytes()
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield f"{key}:".encode("utf-8", "replace")
            yield from pieces(value[key])
    elif isinstance(value, (list, tuple)):
        yield b"["
        for each in value:
            yield from pieces(each)
        yield b"]"
    elif isinstance(value, AnySet):
        yield repr(sorted(map(str, value))).encode("utf-8", "replace")
    elif value is None or isinstance(value, (bool, int, float, str, bytes)):
        yield repr(value).encode("utf-8", "replace")
    elif callable(value) or not hasattr(value, "__dict__"):
        yield getattr(value, "__qualname__", type(value).__qualname__).encode()
    else:
        yield type(value).__qualname__.encode()
        yield from pieces(vars(value))
