"""What is sent to the server: read in one place, and checked before anyone uses it.

A body is JSON as browsers write it. Whatever else came is refused with a sentence, as ValueError,
which the server answers with 400: NaN, numbers that float64 does not hold, and halves of surrogate
pairs, which cannot be written again, and nesting that would exhaust the stack of whoever copies it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

MOST_DEEP = 100  # levels
MOST_DIGITS = 400


@dataclass(frozen=True)
class Kind:
    words: str
    fits: Callable[[Any], bool]


OBJECT = Kind("an object", lambda value: isinstance(value, dict))
TEXT = Kind("a text", lambda value: isinstance(value, str))
TEXTS = Kind(
    "a list of texts",
    lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value),
)
NUMBER = Kind("a number", lambda value: type(value) in (int, float))


async def read_json(request: web.Request) -> Any:
    """The body's value. Raises ValueError for what is none."""
    return parse(await request.read(), request.path)


async def read_object(request: web.Request, kinds: Mapping[str, Kind] | None = None) -> dict:
    """The body's object, checked by check_object."""
    return check_object(await read_json(request), kinds or {}, request.path)


def check_object(found: Any, kinds: Mapping[str, Kind], what: str) -> dict:
    """found, an object. kinds: of members that may be left out or null, by name; "a.b" is b of a.

    Raises ValueError naming what is of another kind.
    """
    if not isinstance(found, dict):
        raise ValueError(f"{what} takes a JSON object, not {_quoted(found)}.")
    for name, kind in kinds.items():
        value = found
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None and not kind.fits(value):
            raise ValueError(f'{what}: "{name}" is {_quoted(value)}; give {kind.words}.')
    return found


def parse(content: bytes | str, what: str) -> Any:
    """The value. what: who takes it. Raises ValueError for what browsers do not write."""
    try:
        found = json.loads(content, parse_constant=_refuse_number, parse_int=_int_of)
    except RecursionError:
        raise ValueError(_too_deep(what)) from None
    except ValueError as fault:
        raise ValueError(f"{what} takes JSON, and this is none: {fault}.") from fault
    _check_values(found, what)
    return found


def _refuse_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def _int_of(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _check_values(found: Any, what: str) -> None:
    level = [found]
    for _ in range(MOST_DEEP):
        for value in level:
            _check_value(value, what)
        level = [each for value in level for each in _members(value)]
        if not level:
            return
    raise ValueError(_too_deep(what))


def _members(value: Any) -> list:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []


def _check_value(value: Any, what: str) -> None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as fault:
            raise ValueError(
                f"{what}: {_quoted(value)} holds half of a surrogate pair, which is no character."
            ) from fault
    elif isinstance(value, (int, float)) and not abs(value) <= sys.float_info.max:
        raise ValueError(f"{what}: a number is larger than any that a computer calculates with.")


def _too_deep(what: str) -> str:
    return f"{what}: the JSON is nested more than {MOST_DEEP} levels deep."


def _quoted(value: Any) -> str:
    """The beginning of it, as JSON."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]} …"
