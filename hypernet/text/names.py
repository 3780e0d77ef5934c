"""Finds the file that a name means: a network, checkpoint, LoRA, VAE, tag or folder.

An exact match wins. Otherwise differences are ignored, one kind after the other: how accents are
stored (macOS stores é as two characters, Windows as one), "/" or "\\", capitals, blanks (no-break
spaces, trailing ones, invisible characters), full-width letters. The user is told which difference
was ignored. Two names that match equally well are refused, because either could be meant.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .links import is_inside

SELECTORS = "\ufe0e\ufe0f"  # variation selectors: an emoji as text or as a picture

Reading = Callable[[str], str]


@dataclass(frozen=True)
class Match:
    """A name that was found. differs: how it differs from the wanted one, "" if it doesn't."""

    wanted: str
    name: str
    differs: str = ""

    @property
    def note(self) -> str:
        """A sentence for the user, "" for an exact match."""
        if not self.differs:
            return ""
        return f'There is no "{self.wanted}"; "{self.name}" is used, {self.differs}.'


def composed(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def with_slashes(name: str) -> str:
    return composed(name).replace("\\", "/")


def without_case(name: str) -> str:
    return composed(with_slashes(name).casefold())


def without_blanks(name: str) -> str:
    """Every kind of space becomes one blank; blanks at the ends of a part are dropped."""
    visible = without_case(name)
    if not visible.isascii():
        visible = "".join(sign for sign in visible if not is_invisible(sign))
    return "/".join(" ".join(part.split()) for part in visible.split("/"))


def is_invisible(sign: str) -> bool:
    return unicodedata.category(sign) == "Cf" or sign in SELECTORS


def without_width(name: str) -> str:
    return without_blanks(unicodedata.normalize("NFKC", name))


SLASHES = "which has other slashes"
BLANKS = "which differs in blanks or invisible signs"
READINGS: tuple[tuple[Reading, str], ...] = (
    (str, ""),
    (composed, "whose accents are stored in another way"),
    (with_slashes, SLASHES),
    (without_case, "which differs in capital letters"),
    (without_blanks, BLANKS),
    (without_width, "which differs in full-width letters"),
)


def find_name(
    wanted: str, names: Iterable[str], known_as: Sequence[Reading] = (str,)
) -> Match | None:
    """The name that is meant, or None.

    known_as: short forms that may stand for a name, such as the part behind the last "/". If two
    match exactly, the earlier form wins. Raises ValueError quoting the names if several match
    equally well.
    """
    names = list(dict.fromkeys(names))
    for read, differs in READINGS:
        meant = read(wanted)
        tried = [known_as] if differs else [[part] for part in known_as]
        for parts in tried if meant else ():
            found = [name for name in names if meant in {read(part(name)) for part in parts}]
            if len(found) > 1:
                raise ValueError(
                    f'"{wanted}" may be any of {quoted(found)}. Write the name of one exactly.'
                )
            if found:
                return Match(wanted, found[0], differs)
    return None


def quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def find_below(folder: str | os.PathLike, wanted: str) -> Match | None:
    """The file or folder that a path below `folder` means, matched part by part.

    A path that leads out of the folder gives None. Raises ValueError quoting the names if several
    match equally well.
    """
    parts = [part for part in re.split(r"[/\\]", wanted) if part not in ("", ".")]
    if ".." in parts or not parts or not is_inside(Path(folder, wanted), folder):
        return None
    if exists(Path(folder, wanted)):
        return Match(wanted, wanted)
    place, ways = Path(folder), set()
    for part in parts:
        match = find_name(part, entries(place))
        if match is None:
            return None
        place /= match.name
        ways.add(match.differs)
    last = [differs for _, differs in READINGS if differs in ways][-1] or SLASHES
    return Match(wanted, place.relative_to(folder).as_posix(), last)


def entries(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # the name is too long or contains a NUL
        return False
