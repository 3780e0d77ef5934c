"""Lists of names in a sentence: the first ten, then "and 5 more"."""

from __future__ import annotations

from collections.abc import Sequence

NAMED = 10


def some(names: Sequence[str]) -> str:
    return listed([f'"{name}"' for name in names])


def listed(parts: Sequence[str], between: str = ", ") -> str:
    named = between.join(parts[:NAMED])
    return f"{named} and {len(parts) - NAMED} more" if len(parts) > NAMED else named
