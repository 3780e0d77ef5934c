"""How often the pictures of a folder are shown in a pass, by a number in front of its name, as in
kohya's trainers: ten times for `10_fox`, never for `0_off`. A number above MOST_REPEATS is a date,
a size, a part of the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..text.lists_of_names import listed, some

MOST_REPEATS = 500
REPEATS = re.compile(r"(\d+)_")


def repeats_of(name: str) -> int:
    """By the innermost folder that says a number: 10_fox/a.png has ten. 0 if one says never."""
    folders = name.split("/")[:-1]
    if any(part.startswith("0_") for part in folders):
        return 0
    return next((count for part in reversed(folders) if (count := count_of(part))), 1)


def repeats_in_words(names: Iterable[str]) -> Iterator[str]:
    """What numbers in front of folders' names do, and which of them do nothing."""
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
    """The repeats that a folder's name says; 0 if it says none that there can be."""
    match = REPEATS.match(folder)
    number = int(match[1]) if match else 0
    return number if number <= MOST_REPEATS else 0
