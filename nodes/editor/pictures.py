"""Answers the editor about the pictures of a folder, and writes captions that were edited.

    POST /hypernet/pictures    a folder, a search in it, and which part of the result to send
    POST /hypernet/unreadable  opens every picture of a folder once
    POST /hypernet/review      the captions that Caption made of a folder when it last ran
    POST /hypernet/retag       changes the tags of all that a search finds; writes nothing
    GET  /hypernet/thumbnail   ?folder=…&subfolders=…&name=…&side=…&mask=true
    POST /hypernet/captions    {"edits": {name: words}}; writes sidecars, keeps old ones as .bak

Only folders that Load Dataset may read, and pictures that it finds there, are read or written to.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from hypernet.captions.bulk import retagged
from hypernet.captions.sources import (
    LONGEST_SIDECAR,
    SIDECARS,
    CaptionRules,
    one_line,
    write_sidecar,
)
from hypernet.dataset.album import Album, Page, count_tags, find_pages
from hypernet.dataset.exclusion import matching
from hypernet.dataset.thumbnails import SIDE, thumbnail

from ..data.caption import IN_ORDER, ORDERS, rules_of
from ..data.last_captions import recall
from ..data.load_dataset import resolve
from ..shared.cache import cache_folder
from ..shared.demo_model import refuse_demo
from .requests import values

MOST = 200  # pictures in one answer
FEW = 500  # pictures that are opened at once to see whether they can be
STATES = ("", "edited", "unwritten", "faulty", "excluded", "masked")
RULES = (
    "source", "fixed_text", "existing", "trigger_word", "block_tags", "replace_tags",
    "source_order", "name_pattern", "name_joint", "joint",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Search:
    """What of a folder is asked for, and what the editor knows of it that no file says."""

    album: Album
    text: str
    tag: str
    without: list[str]  # tags
    state: str  # one of STATES
    edits: dict[str, str]  # captions that are not saved yet, by picture
    exclude: str  # Load Dataset's

    @cached_property
    def pages(self) -> dict[str, Page]:
        return self.album.pages()

    @cached_property
    def unreadable(self) -> dict[str, str]:
        return self.album.unreadable(measurements(), known=len(self.pages) > FEW)

    @cached_property
    def excluded(self) -> dict[str, list[str]]:
        return self._matching[0]

    @cached_property
    def unmatched(self) -> list[str]:
        return self._matching[1]

    @cached_property
    def _matching(self) -> tuple[dict[str, list[str]], list[str]]:
        return matching(self.exclude, {**self.pages, **self.unreadable})

    def fault(self, page: Page) -> str:
        return self.unreadable.get(page.name, "") or page.fault

    def found(self) -> list[Page]:
        of_state = {
            "": lambda page: True,
            "edited": lambda page: page.name in self.edits,
            "unwritten": lambda page: not page.written and page.name not in self.edits,
            "faulty": self.fault,
            "excluded": lambda page: page.name in self.excluded,
            "masked": lambda page: page.mask,
        }[self.state]
        found = find_pages(self.pages, self.text, self.tag, self.edits, self.without)
        return [page for page in found if of_state(page)]


def search_in(body: object) -> Search:
    asked = values(body, {"text": str, "tag": str, "edits": dict})
    assert isinstance(body, dict)  # values has refused all else
    optional = {"without": [], "state": "", "exclude": ""}
    more = values(optional | body, {name: type(usual) for name, usual in optional.items()})
    if more["state"] not in STATES:
        raise ValueError(f'State "{more["state"]}": give one of {", ".join(STATES[1:])}.')
    return Search(
        album=album_in(body),
        text=asked["text"],
        tag=asked["tag"],
        without=[str(tag) for tag in more["without"]],
        state=more["state"],
        edits=edits_of(asked["edits"]),
        exclude=more["exclude"],
    )


def pictures(query: dict[str, str], body: object) -> dict:
    """A part of the pictures whose captions contain the text and the tag.

    edits: captions that are not saved yet, by picture. rules: Caption's widgets; if given, the
    answer also says what they make of each caption.
    """
    asked, search = values(body, {"offset": int, "count": int}), search_in(body)
    assert isinstance(body, dict)  # values has refused all else
    rules = rules_in(body.get("rules"))
    found = search.found()
    start = max(0, asked["offset"])
    part = found[start : start + max(0, min(asked["count"], MOST))]
    return {
        "total": len(search.pages),
        "found": len(found),
        "offset": start,
        "pictures": [about(page, search, rules) for page in part],
        "tags": count_tags(search.pages, search.edits),
        "notes": search.album.notes(),
    } | counts(search)


def counts(search: Search) -> dict:
    """Of the whole folder."""
    used = [page for page in search.pages.values() if page.name not in search.excluded]
    return {
        "captioned": sum(page.written or page.name in search.edits for page in used),
        "faults": sum(bool(search.fault(page)) for page in used),
        "excluded": len(search.pages.keys() & search.excluded.keys()),
        "unmatched": search.unmatched,
    }


def about(page: Page, search: Search, rules: CaptionRules | None) -> dict:
    said = {
        "name": page.name, "words": page.words, "written": page.written, "fault": page.fault,
        "version": f"{page.stamp.changed:x}", "source": page.source, "mask": page.mask,
        "unreadable": search.unreadable.get(page.name, ""),
        "excluded": search.excluded.get(page.name, []),
    }  # fmt: skip
    if rules and not page.fault:
        words = page.words if page.written else ""
        said["becomes"] = rules.caption(search.album.folder / page.name, words, written=words)
    return said


def unreadable(query: dict[str, str], body: object) -> dict:
    """Why pictures cannot be opened, by name."""
    return {"faults": album_in(body).unreadable(measurements())}


def review(query: dict[str, str], body: object) -> dict:
    """The captions of the last run of Caption that differ from those of the files.

    "made" is how many it made of these pictures.
    """
    album = album_in(body)
    pages, made = album.pages(), recall(album.folder)
    made = {name: words for name, words in made.items() if name in pages and isinstance(words, str)}
    different = {name: words for name, words in made.items() if words != pages[name].words}
    return {"captions": different, "made": len(made)}


def retag(query: dict[str, str], body: object) -> dict:
    """The unsaved captions after a change of the tags of all pictures that the search finds.

    "changed" is how many captions are others than before.
    """
    search, asked = search_in(body), values(body, {"way": str, "tags": str, "by": str})
    edits = dict(search.edits)
    changed = 0
    for page in search.found():
        before = edits.get(page.name, page.words)
        after = before if search.fault(page) else retagged(before, **asked)
        changed += after != before
        if after == page.words:
            edits.pop(page.name, None)
        elif after != before:
            edits[page.name] = after
    return {"edits": edits, "changed": changed}


def picture(query: dict[str, str], body: object) -> Path:
    """The path of a picture's thumbnail, or of its mask's."""
    given = {"folder": query.get("folder"), "subfolders": query.get("subfolders") == "true"}
    album, name = album_in(given), query.get("name", "")
    stamp = page_of(album.pages(), name).stamp
    if query.get("mask") == "true":
        name, stamp = album.mask(name)
    side = query.get("side", str(SIDE))
    if not re.fullmatch(r"[0-9]{1,5}", side):
        raise ValueError(f'Side "{side}": give a number of pixels.')
    folder = cache_folder() / "thumbnails"
    return thumbnail(album.folder / name, stamp, folder, side=int(side))


def captions(query: dict[str, str], body: object) -> dict:
    """Write these captions. If one cannot be written, the others still are.

    "kept" is how many files had another text before, of which there is a copy now.
    """
    album = album_in(body)
    refuse_demo(album.folder)
    edits = edits_of(values(body, {"edits": dict})["edits"])
    pages = album.pages(anew=True)
    for name in edits:
        page_of(pages, name)
    faults, kept = {}, 0
    for name, words in edits.items():
        path = album.folder / name
        try:
            had = path.with_suffix(SIDECARS[0]).is_file()
            kept += bool(write_sidecar(path, one_line(words))) and had
        except ValueError as fault:
            faults[name] = str(fault)
    album.pages(anew=True)
    saved = [name for name in edits if name not in faults]
    return {"saved": saved, "faults": faults, "kept": kept}


def measurements() -> Path:
    return cache_folder() / "measurements"


def album_in(body: object) -> Album:
    given = values(body, {"folder": str, "subfolders": bool})
    return album_of(resolve(given["folder"]), given["subfolders"])


def used_pictures(body: object) -> int:
    """How many pictures of a folder are not excluded."""
    pages = album_in(body).pages()
    assert isinstance(body, dict)  # values has refused all else
    exclude = values({"exclude": ""} | body, {"exclude": str})["exclude"]
    return len(pages.keys() - matching(exclude, pages)[0].keys())


@lru_cache(maxsize=8)
def album_of(folder: Path, recursive: bool) -> Album:
    return Album(folder, recursive)


def page_of(pages: Mapping[str, Page], name: str) -> Page:
    if name not in pages:
        raise FileNotFoundError(f'The folder has no picture "{name}".')
    return pages[name]


def edits_of(given: dict) -> dict[str, str]:
    for name, words in given.items():
        if not isinstance(words, str) or len(words.encode("utf-8", "replace")) > LONGEST_SIDECAR:
            raise ValueError(f'The words for "{name}" are no text, or more than a caption has.')
    return given


def rules_in(given: object) -> CaptionRules | None:
    if given is None:
        return None
    chosen = values(given, dict.fromkeys(RULES, str))
    if chosen["source"] not in (*ORDERS, IN_ORDER):
        raise ValueError(f'Source "{chosen["source"]}": give one of {", ".join(ORDERS)}.')
    return rules_of(**chosen)


ROUTES = {
    ("POST", "/hypernet/pictures"): pictures,
    ("POST", "/hypernet/unreadable"): unreadable,
    ("POST", "/hypernet/review"): review,
    ("POST", "/hypernet/retag"): retag,
    ("GET", "/hypernet/thumbnail"): picture,
    ("POST", "/hypernet/captions"): captions,
}
