"""Finds the pictures that a text leaves out: one name or pattern a line.

A line that is a picture's name means that picture alone, so `a[1].png` needs no quoting. Every
other line is a pattern of * ? [ab]; one without "/" also fits the name without its folders. Case
counts. A line may name nothing: its picture may have been deleted since.
"""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase


def matching(text: str, names: Collection[str]) -> tuple[dict[str, list[str]], list[str]]:
    """({name: the lines of the text that mean it}, the lines that mean none of the names)."""
    known = set(names)
    found: dict[str, list[str]] = {}
    lost = []
    for line in filter(None, map(str.strip, text.split("\n"))):
        here = [line] if line in known else [name for name in known if fits(line, name)]
        for name in here:
            found.setdefault(name, []).append(line)
        lost += [] if here else [line]
    return found, lost


def fits(pattern: str, name: str) -> bool:
    base = name.rpartition("/")[2]
    return fnmatchcase(name, pattern) or ("/" not in pattern and fnmatchcase(base, pattern))
