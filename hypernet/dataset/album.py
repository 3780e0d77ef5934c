"""A dataset's folder for browsing: its pictures with their captions, searched by text or by tag.

The folder is listed again on every request, but at most once in two seconds. Captions are read
again only if a file has changed. Ten thousand pictures therefore answer as fast as a user scrolls.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..captions.sources import WHOLE_NAME, one_line
from ..captions.tags import split_tags
from .listing import Listing, Stamp, list_folder
from .reading import measure_all
from .unused_files import notes_on
from .written_captions import Written, read_written

MOMENT = 2.0  # seconds for which a listing of the folder counts as fresh


@dataclass(frozen=True)
class Page:
    """A picture of the album, with the caption that Load Dataset gives it."""

    name: str
    stamp: Stamp
    words: str
    written: bool  # the words come from a sidecar or a table, not from the file's name
    fault: str  # why its sidecar cannot be read; "" if it can
    tags: tuple[str, ...]
    source: str = ""  # the file that its words are from
    mask: str = ""  # the name of its mask


class Album:
    """The album of one folder. Methods can be called from any thread."""

    def __init__(self, folder: Path, recursive: bool = True):
        self.folder = folder
        self.recursive = recursive
        self._turn = threading.Lock()
        self._due = 0.0
        self._pages: dict[str, Page] = {}
        self._notes: list[str] = []
        self._listing: Listing | None = None  # of the last look
        self._measuring = threading.Lock()
        self._unreadable: tuple[Listing | None, dict[str, str]] = (None, {})

    def pages(self, *, anew: bool = False) -> dict[str, Page]:
        """The pages by name, in natural order. anew: list the folder again in any case.

        Raises FileNotFoundError or ValueError quoting the folder if it doesn't exist or has no
        pictures.
        """
        with self._turn:
            if anew or time.monotonic() >= self._due:
                self._look(list_folder(self.folder, self.recursive))
                self._due = time.monotonic() + MOMENT
            return self._pages

    def notes(self) -> list[str]:
        """What Load Dataset will report about the folder, as far as no picture must be opened."""
        self.pages()
        return self._notes

    def unreadable(self, cache: Path, *, known: bool = False) -> dict[str, str]:
        """Why pictures cannot be opened, by name. Every new picture is opened for it once.

        known: only if that is known already, else {}. cache: as in `read_dataset`.
        """
        self.pages()
        listing = self._listing
        assert listing is not None
        if known or self._unreadable[0] is listing:
            return self._unreadable[1] if self._unreadable[0] is listing else {}
        with self._measuring:
            if self._unreadable[0] is not listing:
                _, faults = measure_all(listing, cache, False, lambda done, total: None)
                self._unreadable = listing, dict([*faults, *listing.faults])
            return self._unreadable[1]

    def mask(self, name: str) -> tuple[str, Stamp]:
        """The name of a picture's mask, and its stamp. Raises FileNotFoundError if it has none."""
        mask = page.mask if (page := self.pages().get(name)) else ""
        if not mask or self._listing is None:
            raise FileNotFoundError(f'The folder has no mask of "{name}".')
        return mask, self._listing.stamps[mask]

    def _look(self, listing: Listing) -> None:
        last = self._listing
        if last and (listing.stamps, listing.faults) == (last.stamps, last.faults):
            return
        written = read_written(listing)
        pages = {name: page_of(listing, name, written) for name in listing.pictures}
        same = {name: page for name, page in self._pages.items() if pages.get(name) == page}
        self._pages, self._listing = pages | same, listing
        self._notes = notes_on(listing, written)


def page_of(listing: Listing, name: str, written: Written) -> Page:
    said, fault = written.words.get(name, ""), written.faults.get(name, "")
    words = said or one_line(WHOLE_NAME(listing.folder / name))
    return Page(
        name,
        listing.stamps[name],
        words,
        bool(said),
        fault,
        tuple(split_tags(words)),
        source=written.sources.get(name, ""),
        mask=listing.masks.get(name, ""),
    )


def find_pages(
    pages: Mapping[str, Page],
    text: str = "",
    tag: str = "",
    edits: Mapping[str, str] | None = None,
    without: Collection[str] = (),
) -> list[Page]:
    """The pages that have the tag, and every word of the text in their name or caption.

    without: tags that they must not have. edits: captions by name that replace those of the pages.
    """
    wanted, unwanted = text.casefold().split(), set(without)
    edits = edits or {}
    found = []
    for page in pages.values():
        words = edits.get(page.name, page.words)
        tags = (split_tags(words) if page.name in edits else page.tags) if tag or without else ()
        if (tag and tag not in tags) or not unwanted.isdisjoint(tags):
            continue
        place = f"{page.name}\n{words}".casefold() if wanted else ""
        if all(word in place for word in wanted):
            found.append(page)
    return found


def count_tags(
    pages: Mapping[str, Page], edits: Mapping[str, str] | None = None, most: int = 200
) -> list[tuple[str, int]]:
    """The most frequent tags, each with the number of its pictures."""
    edits = edits or {}
    counts: Counter[str] = Counter()
    for page in pages.values():
        counts.update(set(split_tags(edits[page.name]) if page.name in edits else page.tags))
    return sorted(counts.most_common(most), key=lambda each: (-each[1], each[0]))
