"""Keeps unknown settings of a file: only what JSON could hold, and only so much of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def json_value(value: Any, room: list[int] | None = None, depth: int = 0) -> Any:
    """The value as it would come back from JSON: tuples become lists.

    Raises ValueError for other types, and for values that are endless or very large.
    """
    room = [10_000] if room is None else room
    room[0] -= 1
    if room[0] < 0 or depth > 20:
        raise ValueError("too large")
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float and math.isfinite(value):
        return value
    if isinstance(value, (list, tuple)):
        return [json_value(entry, room, depth + 1) for entry in value]
    if isinstance(value, Mapping) and all(type(key) is str for key in value):
        return {key: json_value(entry, room, depth + 1) for key, entry in value.items()}
    raise ValueError(f"{type(value).__name__} is not plain")
