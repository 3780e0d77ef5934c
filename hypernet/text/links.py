"""Folders with symbolic links: a walk that follows them, and a test of what is inside a folder.

The owner of the machine made the links: to models on another disk, to an input folder on a share.
They are trusted, so a path is inside a folder if it says so as written, wherever links lead. What a
stranger can write are ".." and absolute paths, and those lead out. A link back to a folder that the
walk is in would never end, so it is not followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Visit:
    """One folder of the walk. Names removed from `folders` are not entered."""

    name: str  # relative to the top, "/" between its parts; "" for the top itself
    folders: list[str] = field(default_factory=list)
    files: list[os.DirEntry] = field(default_factory=list)  # broken links too
    fault: str = ""  # why it could not be opened
    again: bool = False  # a link to a folder that was already entered

    @property
    def names(self) -> list[str]:
        """Names of all folders and files, without broken links."""
        return self.folders + [e.name for e in self.files if os.path.exists(e.path)]

    def inside(self, name: str) -> str:
        return f"{self.name}/{name}" if self.name else name


def walk(top: str | os.PathLike, once: bool = False) -> Iterator[Visit]:
    """Every folder from the top down, sorted by name.

    once: enter a folder that two links lead to only once. By default it is entered by both and has
    two names, as in the model lists of hosts.
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
    except OSError:  # a link that leads to itself
        return False


def files_below(top: str | os.PathLike, endings: Sequence[str] = ("",)) -> list[str]:
    """Sorted paths, "/"-separated, of all files with one of these endings (given in lower case)."""
    return sorted(
        visit.inside(entry.name)
        for visit in walk(top)
        for entry in visit.files
        if entry.name.lower().endswith(tuple(endings)) and os.path.isfile(entry.path)
    )


def is_inside(path: str | os.PathLike, folder: str | os.PathLike) -> bool:
    """Is the path, as written, inside the folder? Links are not resolved."""
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))
