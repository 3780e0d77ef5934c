"""Folders that hold links: one walk that follows them, and one answer to what is inside.

Whoever owns the machine made the links: models on another disk, an input folder on a share. So what
is inside a folder is told by the path as it is written, wherever its links lead; ".." and absolute
paths are what a stranger can write, and they lead out. A link to a folder that the walk is in, or
above it, would go on for ever: it ends there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Visit:
    """A folder on the way. Take names out of `folders`, and the walk does not enter them."""

    name: str  # below the top, "/" between its parts; "" of the top itself
    folders: list[str] = field(default_factory=list)
    files: list[os.DirEntry] = field(default_factory=list)  # and links that lead nowhere
    fault: str = ""  # why it could not be opened
    again: bool = False  # a link to a folder that was entered already

    @property
    def names(self) -> list[str]:
        """Of all that is there; a link that leads nowhere is nothing."""
        return self.folders + [e.name for e in self.files if os.path.exists(e.path)]

    def inside(self, name: str) -> str:
        return f"{self.name}/{name}" if self.name else name


def walk(top: str | os.PathLike, once: bool = False) -> Iterator[Visit]:
    """Every folder from the top down, in the order of names.

    once: a folder that two links lead to is entered by the first. Otherwise it is entered by both,
    and has two names, as for hosts that list models.
    """
    waiting: list[tuple[str, frozenset[str]]] = [("", frozenset())]
    entered: set[str] = set()
    while waiting:
        name, above = waiting.pop()
        place = os.path.join(top, name)
        real = os.path.realpath(place)
        if real in (entered if once else above):
            yield Visit(name, again=True)
            continue
        entered.add(real)
        visit = look_into(place, name)
        yield visit
        waiting += [(visit.inside(each), above | {real}) for each in reversed(visit.folders)]


def look_into(place: str, name: str) -> Visit:
    visit = Visit(name)
    try:
        with os.scandir(place) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as fault:
        visit.fault = fault.strerror or str(fault)
        return visit
    for entry in entries:
        if is_folder(entry):
            visit.folders.append(entry.name)
        else:
            visit.files.append(entry)
    return visit


def is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def files_below(top: str | os.PathLike, endings: Sequence[str] = ("",)) -> list[str]:
    """Names of the files with one of these endings, in small letters; sorted, "/"-separated."""
    return sorted(
        visit.inside(entry.name)
        for visit in walk(top)
        for entry in visit.files
        if entry.name.lower().endswith(tuple(endings)) and os.path.isfile(entry.path)
    )


def is_inside(path: str | os.PathLike, folder: str | os.PathLike) -> bool:
    """By the path as it is written: a link in the folder may lead where it likes."""
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))
