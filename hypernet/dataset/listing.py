"""Lists the files of a dataset's folder in one walk: pictures, masks, captions, the rest.

Every file is listed with its modification time and size, so that a change is noticed without
opening the file. A picture `fox_mask.png` beside `fox.png` or `fox.jpg` is that picture's mask and
not trained on (mask_names.py). What cannot be read is named, not dropped: broken links, and folders
that are forbidden or vanish during the walk.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from ..captions.sources import SIDECARS, sidecars_among
from ..network.vocabulary import close
from ..pictures.file_kinds import is_hidden, is_picture, may_be_picture, picture_suffixes
from ..pictures.reading import SUFFIXES
from ..text.links import walk
from ..text.names import entries, quoted
from ..text.stems import suffix_of
from .exclusion import matching
from .folder_repeats import repeats_of
from .mask_names import Masks, find_masks
from .unused_files import leftovers

DIGITS = re.compile(r"(\d+)")


class Stamp(NamedTuple):
    """Tells an unchanged file from a changed one without opening it."""

    changed: int  # modification time, nanoseconds
    length: int  # bytes


@dataclass(frozen=True)
class Listing:
    """The files of a folder in natural order.

    Names are strings relative to the folder, with "/". Sorting and splitting ten thousand strings
    takes a tenth of the time that Path objects take.
    """

    folder: Path
    stamps: dict[str, Stamp]  # of every file
    faults: tuple[tuple[str, str], ...]  # (name, reason) of what could not be read
    again: tuple[str, ...] = ()  # links to folders that were already entered
    unnamed: tuple[str, ...] = ()  # pictures recognised by content, whose names don't tell
    closed: tuple[str, ...] = ()  # subfolders not entered, because `recursive` is off
    excluded: tuple[str, ...] = ()  # pictures that the user leaves out
    unmatched: tuple[str, ...] = ()  # lines of what he excludes that name no picture

    @cached_property
    def images(self) -> list[str]:
        """Pictures and masks."""
        known, others = picture_suffixes(), set(self.unnamed)
        return [name for name in self.stamps if suffix_of(name) in known or name in others]

    @cached_property
    def mask_names(self) -> Masks:
        return find_masks(self.images)

    @cached_property
    def masks(self) -> dict[str, str]:
        """The mask of each picture that has one."""
        return self.mask_names.of

    @cached_property
    def off(self) -> list[str]:
        """Pictures in folders that are never shown."""
        masks = self.mask_names.no_pictures
        return [name for name in self.images if not repeats_of(name) and name not in masks]

    @cached_property
    def pictures(self) -> list[str]:
        """Pictures to train on. Raises ValueError quoting the folder if there are none."""
        left_out = self.mask_names.no_pictures.union(self.off, self.excluded)
        found = [name for name in self.images if name not in left_out]
        if not found:
            kinds = ", ".join(sorted(suffix[1:] for suffix in SUFFIXES))
            lack = f'Folder "{self.folder}" holds no pictures ({kinds}).'
            reasons = (f'"{name}": {reason}.' for name, reason in self.faults)
            raise ValueError(" ".join([lack, *reasons, *leftovers(self)]))
        return found

    @cached_property
    def sidecars(self) -> dict[str, list[str]]:
        """The caption files of each picture that has any, in order of precedence."""
        return sidecars_among(self.images, self._captions)

    @cached_property
    def _captions(self) -> list[str]:
        return [name for name in self.stamps if suffix_of(name) in SIDECARS]

    @cached_property
    def lonely_captions(self) -> list[str]:
        """Caption files without a picture."""
        taken = {name for names in self.sidecars.values() for name in names}
        return [name for name in self._captions if name not in taken]

    @cached_property
    def others(self) -> list[str]:
        """Files that are neither pictures nor captions."""
        known = {*self.images, *self._captions}
        return [name for name in self.stamps if name not in known]


def nearest_folders(folder: Path) -> list[str]:
    """A sentence on which folders are called much like one that doesn't exist, if there are any.

    Of a longer path, the first part that is missing is looked for.
    """
    place = next(filter(os.path.isdir, folder.parents), folder)
    wanted = folder.relative_to(place).parts
    near = close(wanted[0], folders_in(place)) if wanted else []
    return [f"Nearest: {quoted(near)}."] if near else []


def folders_in(place: Path) -> list[str]:
    # Of a folder that may not be entered, Path.is_dir raises.
    return [each for each in entries(place) if not is_hidden(each) and os.path.isdir(place / each)]


def list_folder(folder: Path, recursive: bool = True) -> Listing:
    """List a folder. Links are followed, each folder is entered once, hidden names are skipped.

    Raises FileNotFoundError quoting the folder if it doesn't exist, with similar ones beside it.
    """
    if not folder.is_dir():
        lack = (
            f'There is no folder "{folder}". Give a folder inside the input directory, '
            "or the full path of one."
        )
        raise FileNotFoundError(" ".join([lack, *nearest_folders(folder)]))
    found: dict[str, Stamp] = {}
    faults: list[tuple[str, str]] = []
    again: list[str] = []
    closed: list[str] = []
    for visit in walk(folder, once=True):
        if visit.again:
            again.append(printable(visit.name))
        if visit.fault:
            faults.append((printable(visit.name) or ".", visit.fault))
        inside = [name for name in visit.folders if not is_hidden(name)]
        if not recursive:
            closed += [printable(visit.inside(name)) for name in inside]
        visit.folders[:] = inside if recursive else ()
        for entry in visit.files:
            if is_hidden(entry.name):
                continue
            name = visit.inside(entry.name)
            try:
                is_file = entry.is_file()
                if reason := odd(entry):
                    faults.append((printable(name), reason))
                elif is_file:
                    stat = entry.stat()
                    found[name] = Stamp(stat.st_mtime_ns, stat.st_size)
            except OSError as fault:
                faults.append((printable(name), fault.strerror or str(fault)))
    stamps = {name: found[name] for name in sorted(found, key=natural)}
    known = picture_suffixes()
    unnamed = tuple(
        name
        for name in stamps
        if suffix_of(name) not in known
        and may_be_picture(name)
        and is_picture(os.path.join(folder, name))
    )
    return Listing(
        folder, stamps, tuple(sorted(faults)), tuple(sorted(again)), unnamed, tuple(sorted(closed))
    )


def odd(entry: os.DirEntry) -> str:
    """Why a picture can't be opened, as far as it shows without trying; "" if nothing shows."""
    if suffix_of(entry.name) not in picture_suffixes():
        return ""
    try:
        entry.path.encode()
    except UnicodeEncodeError:
        return "its name is no text in this system's encoding; rename it"
    if entry.is_symlink() and not os.path.exists(entry.path):
        return "a link that leads nowhere"
    if not entry.is_file():  # a pipe, a socket, a device: opening it could block forever
        return "no ordinary file"
    return ""


def printable(name: str) -> str:
    """The name with "?" for bytes that are no valid text."""
    return name.encode("utf-8", "replace").decode()


def excluding(listing: Listing, exclude: str) -> Listing:
    """The listing without the pictures that the text names; see exclusion.py."""
    if not exclude.strip():
        return listing  # with all that it has found out already
    masks = listing.mask_names.no_pictures
    images = [name for name in listing.images if name not in masks]
    found, lost = matching(exclude, [*images, *(name for name, _ in listing.faults)])
    return replace(
        listing,
        faults=tuple(fault for fault in listing.faults if fault[0] not in found),
        excluded=tuple(sorted(found, key=natural)),
        unmatched=tuple(lost),
    )


def find_pictures(folder: Path, recursive: bool = True, exclude: str = "") -> list[Path]:
    """Picture files in natural order.

    Raises FileNotFoundError or ValueError quoting the folder.
    """
    return [folder / name for name in excluding(list_folder(folder, recursive), exclude).pictures]


def natural(name: str) -> list:
    """Sort key: 2.png before 10.png."""
    parts = DIGITS.split(name.lower())
    parts[1::2] = map(int, parts[1::2])
    return parts
