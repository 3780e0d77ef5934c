"""Names of files without their suffixes, by which a picture, its caption and its mask find each
other: as written, else whatever the case and however accents are composed (macOS takes them apart).
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable


def stem_of(name: str) -> str:
    """Of a name with "/" between its parts; as os.path.splitext, in a third of its time."""
    stem, dot, end = name.rpartition(".")
    return stem if dot and "/" not in end else name


def suffix_of(name: str) -> str:
    """In small letters, with the dot; "" for none."""
    _, dot, end = name.rpartition(".")
    return f".{end.lower()}" if dot and "/" not in end else ""


def comparable(stem: str) -> str:
    whole = stem if stem.isascii() else unicodedata.normalize("NFC", stem)
    return whole.casefold()


class Stems:
    """Names to be found by their stems, or by those of a part of them."""

    def __init__(self, names: Iterable[str], of: Callable[[str], str] = str):
        self._exact: dict[str, list[str]] = defaultdict(list)
        self._alike: dict[str, list[str]] = defaultdict(list)
        for name in names:
            stem = stem_of(of(name))
            self._exact[stem].append(name)
            self._alike[comparable(stem)].append(name)

    def find(self, stem: str) -> list[str]:
        """Those of exactly this stem, else those of one like it."""
        return self._exact.get(stem) or self._alike.get(comparable(stem), [])
