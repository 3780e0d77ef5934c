"""Reads request bodies and checks them before anything uses them.

A body must be JSON as browsers write it. Anything else raises ValueError, which the server answers
with 400. Refused are NaN, numbers beyond float64 and halves of surrogate pairs, because they can't
be written as JSON again, and deep nesting, because copying it would exhaust the stack.
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
    """The value in the body. Raises ValueError if it is no valid JSON."""
    return parse(await request.read(), request.path)


async def read_object(request: web.Request, kinds: Mapping[str, Kind] | None = None) -> dict:
    """The object in the body, checked by `check_object`."""
    return check_object(await read_json(request), kinds or {}, request.path)


def check_object(found: Any, kinds: Mapping[str, Kind], what: str) -> dict:
    """Returns `found` if it is an object and its members are of these kinds.

    kinds: by name; "a.b" is the member b of a. Members may be missing or null. Raises ValueError
    naming the member that is of another kind.
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
    """The parsed value. what: names the receiver in errors. Raises ValueError, see above."""
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
    """The value as JSON, shortened if it is long."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]} …"
