"""A dataset's folder to leaf through: its pictures with their words, found by text or by tag.

The folder is walked again when somebody looks, but not twice within a moment, and captions are read
once as long as all files stay the same: ten thousand of them answer at the pace of scrolling.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..captions.sources import WHOLE_NAME, one_line
from ..captions.tags import split_tags
from .listing import Listing, Stamp, list_folder
from .unused_files import notes_on
from .written_captions import Written, read_written

MOMENT = 2.0  # seconds for which a walk is good


@dataclass(frozen=True)
class Page:
    """A picture of the album, and the words that Load Dataset gives it."""

    name: str
    stamp: Stamp
    words: str
    written: bool  # in a sidecar or a table; otherwise the words are those of the file's name
    fault: str  # why its sidecar cannot be read, "" if it can
    tags: tuple[str, ...]


class Album:
    """One folder. From any thread."""

    def __init__(self, folder: Path, recursive: bool = True):
        self.folder = folder
        self.recursive = recursive
        self._turn = threading.Lock()
        self._due = 0.0
        self._pages: dict[str, Page] = {}
        self._notes: list[str] = []
        self._stamps: dict[str, Stamp] = {}  # of all files when they were looked at

    def pages(self, *, anew: bool = False) -> dict[str, Page]:
        """By name, in natural order. anew: also if somebody looked a moment ago.

        Raises FileNotFoundError or ValueError quoting a folder that is none or has no pictures.
        """
        with self._turn:
            if anew or time.monotonic() >= self._due:
                self._look(list_folder(self.folder, self.recursive))
                self._due = time.monotonic() + MOMENT
            return self._pages

    def notes(self) -> list[str]:
        """What Load Dataset will report about the folder, without opening its pictures."""
        self.pages()
        return self._notes

    def _look(self, listing: Listing) -> None:
        if listing.stamps == self._stamps:
            return
        written = read_written(listing)
        pages = {name: page_of(listing, name, written) for name in listing.pictures}
        same = {name: page for name, page in self._pages.items() if pages.get(name) == page}
        self._pages, self._stamps = pages | same, listing.stamps
        self._notes = notes_on(listing, written)


def page_of(listing: Listing, name: str, written: Written) -> Page:
    said, fault = written.words.get(name, ""), written.faults.get(name, "")
    words = said or one_line(WHOLE_NAME(listing.folder / name))
    return Page(name, listing.stamps[name], words, bool(said), fault, tuple(split_tags(words)))


def find_pages(
    pages: Mapping[str, Page], text: str = "", tag: str = "", edits: Mapping[str, str] | None = None
) -> list[Page]:
    """Those with the tag, and with every word of the text in their name or words. edits: words in
    place of those of some pages."""
    wanted = text.casefold().split()
    edits = edits or {}
    found = []
    for page in pages.values():
        words = edits.get(page.name, page.words)
        if tag and tag not in (split_tags(words) if page.name in edits else page.tags):
            continue
        place = f"{page.name}\n{words}".casefold() if wanted else ""
        if all(word in place for word in wanted):
            found.append(page)
    return found


def count_tags(
    pages: Mapping[str, Page], edits: Mapping[str, str] | None = None, most: int = 200
) -> list[tuple[str, int]]:
    """The most frequent tags, each with the number of pictures that have it."""
    edits = edits or {}
    counts: Counter[str] = Counter()
    for page in pages.values():
        counts.update(set(split_tags(edits[page.name]) if page.name in edits else page.tags))
    return sorted(counts.most_common(most), key=lambda each: (-each[1], each[0]))
