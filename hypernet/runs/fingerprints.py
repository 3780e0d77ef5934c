"""Fingerprints of ten digits, which show whether what a run was made from has changed.

A file's fingerprint is A1111's short hash (optim_file.py). That of a model's folder covers its
weights. That of a dataset covers all that training sees of it: captions, templates, sizes, and the
bytes of pictures and masks.
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

MODELS = ("unet", "transformer")  # a diffusers folder has one of them
WEIGHTS = (".safetensors", ".bin")
DIGITS = 10
VERSION = 1  # of the file of remembered hashes


def model_hash(path: Path | None, memory: Path | None = None) -> str | None:
    """The fingerprint of a model's file, or of the UNet or transformer in a diffusers folder.

    None without a path.

    memory: a file that keeps hashes for the next time, because hashing gigabytes is slow.
    """
    if path is None or not path.exists():
        return None
    if path.is_file():
        return remembered_hash(path, memory)
    digest = hashlib.sha256()
    part = next((path / name for name in MODELS if (path / name).is_dir()), path)
    for file in sorted(part.iterdir()):
        if file.suffix in WEIGHTS:
            digest.update(f"{file.name}/{remembered_hash(file, memory)}\n".encode())
    return digest.hexdigest()[:DIGITS]


def remembered_hash(path: Path, memory: Path | None) -> str:
    """The file's short_hash, computed again only when its time or size has changed."""
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
    """The fingerprint of a dataset. Calls each(done, total) before every picture.

    A picture that cannot be read counts as empty.
    """
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
    """The fingerprint of changes to a model beside its file's weights, such as LoRAs or CLIP skip.

    Hosts keep such changes in objects of their own, which are hashed by their attributes.
    """
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
