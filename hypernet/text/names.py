"""One rule by which a name finds a file: networks, checkpoints, LoRAs, VAEs, tags, folders.

A name that is exact wins. Else a difference is passed over, one kind after the other: how accents
are stored (macOS takes é apart, Windows doesn't), "/" or "\\", capitals, blanks (a no-break space,
one at the end, invisible signs), full-width letters. What was passed over is said, and two names
that fit equally are refused, because nobody can tell which is meant.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .links import is_inside

SELECTORS = "\ufe0e\ufe0f"  # of an emoji's look

Reading = Callable[[str], str]


@dataclass(frozen=True)
class Match:
    """differs: how the name differs from what was asked for, "" if it does not."""

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
    """No-break and ideographic spaces are blanks, and those at the ends of a part do not count."""
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
    """The name that is meant, None if there is none.

    known_as: what of a name may stand for it, such as the part behind the last "/"; of two that are
    exact, the one that fits by an earlier of these counts. Raises ValueError quoting names that fit
    equally.
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
    """The file or folder that is meant by a path below `folder`, part by part, "/" between them.

    What leads out of the folder finds nothing. Raises ValueError quoting names that fit equally.
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
    except (OSError, ValueError):  # a name that is too long, or holds a NUL
        return False
