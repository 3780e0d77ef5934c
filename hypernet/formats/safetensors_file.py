"""The `.safetensors` format of a network: the tensors of the `.pt`, and its settings as JSON.

    tensors     <pair>.<k or v>.<A1111's name>, such as 768.k.linear.0.weight, or in networks for
                transformers joint.3072.k.linear.0.weight (placed.py)
    metadata    "hypernetwork": all settings of the `.pt`, as JSON

A header that doesn't match the size of the file is refused before any tensor is read.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from .placed import NAME

RECORD = "hypernetwork"
MOST_HEADER = 4 * 2**20
MOST_RECORD = 2**20
MOST_TENSORS = 20_000

TENSOR_NAME = re.compile(rf"([0-9]{{1,9}}|{NAME.pattern})\.([kv])\.(.+)")
READABLE = {"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"}


def to_bytes(payload: Mapping[Any, Any]) -> bytes:
    """The bytes of a file with the content of a `.pt`, or of placed.to_placed."""
    pairs = {key: value for key, value in payload.items() if isinstance(value, tuple)}
    tensors = {
        f"{pair}.{side}.{name}": tensor
        for pair, sides in pairs.items()
        for side, state in zip("kv", sides, strict=True)
        for name, tensor in state.items()
    }
    settings = {key: value for key, value in payload.items() if key not in pairs}
    record = json.dumps(settings, ensure_ascii=False, allow_nan=False)
    return save(tensors, metadata={RECORD: record})


def read_safetensors(path: Path) -> dict[Any, Any]:
    """The payload, as in the `.pt` of the same network, or as placed.from_placed takes it.

    A file without our metadata is read like a `.pt` without settings. Raises ValueError with the
    file and the reason.
    """
    check_length(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            names = check_tensors(file, path.name)
            payload = read_record(file.metadata() or {}, path.name)
            for key, side, name, whole in names:
                pair = payload.setdefault(key, ({}, {}))
                pair["kv".index(side)][name] = file.get_tensor(whole)
    except SafetensorError as fault:
        raise ValueError(f'"{path.name}" is damaged: {str(fault)[:200]}.') from fault
    return payload


def check_length(path: Path) -> None:
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        start = file.read(8)
    header = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if not 2 <= header <= size - 8:
        raise ValueError(
            f'"{path.name}" is no safetensors file, or cut off: its header should take {header} '
            f"bytes, the file has {size}."
        )
    if header > MOST_HEADER:
        raise ValueError(f'"{path.name}": a header of {header} bytes is no hypernetwork\'s.')


def check_tensors(file: Any, file_name: str) -> list[tuple[int | str, str, str, str]]:
    """(width or pair, side, A1111's name, whole name) of every tensor; their data are not read."""
    names = list(file.keys())
    if not names or len(names) > MOST_TENSORS:
        raise ValueError(f'"{file_name}" is not a hypernetwork: it holds {len(names)} tensors.')
    found = []
    for whole in names:
        match = TENSOR_NAME.fullmatch(whole)
        if not match:
            raise ValueError(
                f'"{file_name}" is not a hypernetwork: it holds a tensor "{whole[:80]}", where '
                'names are like "768.k.linear.0.weight".'
            )
        if (kind := file.get_slice(whole).get_dtype()) not in READABLE:
            raise ValueError(f'"{file_name}": "{whole[:80]}" holds {kind}, which is no weight.')
        *_, side, name = match.groups()
        found.append((int(match[1]) if match[1].isdecimal() else match[1], side, name, whole))
    return found


def read_record(metadata: dict[str, str], file_name: str) -> dict[Any, Any]:
    text = metadata.get(RECORD, "{}")
    try:
        record = json.loads(text) if len(text) <= MOST_RECORD else None
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise ValueError(
            f'"{file_name}": its metadata "{RECORD}" should be the network\'s settings as JSON, '
            f'but begins "{text[:40]}".'
        )
    return record
