"""Repeats by folder name, as in kohya's trainers: a pass shows the pictures of `10_fox` ten times.

Those of `0_off` are never shown. A number above MOST_REPEATS is no count but part of the name, such
as a date or a size.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..text.lists_of_names import listed, some

MOST_REPEATS = 500
REPEATS = re.compile(r"(\d+)_")


def repeats_of(name: str) -> int:
    """The count of the innermost folder that has one, 10 for 10_fox/a.png; 0 inside a 0_ folder."""
    folders = name.split("/")[:-1]
    if any(part.startswith("0_") for part in folders):
        return 0
    return next((count for part in reversed(folders) if (count := count_of(part))), 1)


def repeats_in_words(names: Iterable[str]) -> Iterator[str]:
    """Sentences about the numbers in folder names: which are repeats, and which have no effect."""
    folders = {part: None for name in names for part in name.split("/")[:-1]}
    numbered = [part for part in folders if REPEATS.match(part)]
    shown = [f'"{part}" {count} times' for part in numbered if (count := count_of(part))]
    if shown:
        yield f"Shown in a pass, by folders' names: {listed(shown)}."
    if mere := [part for part in numbered if not count_of(part) and not part.startswith("0_")]:
        yield (
            f"{len(mere)} folders begin with a number that is no count of repeats (1 to "
            f"{MOST_REPEATS}), taken for a part of the name: {some(mere)}."
        )


def count_of(folder: str) -> int:
    """The repeats in a folder's name; 0 if it has no number, or one above MOST_REPEATS."""
    match = REPEATS.match(folder)
    number = int(match[1]) if match else 0
    return number if number <= MOST_REPEATS else 0
