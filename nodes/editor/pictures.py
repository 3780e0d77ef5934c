"""Answers the editor about the pictures of a folder, and writes captions that were edited.

    POST /hypernet/pictures    a folder, a search in it, and which part of the result to send
    GET  /hypernet/thumbnail   ?folder=…&subfolders=…&name=…
    POST /hypernet/captions    {"edits": {name: words}}; writes sidecars, keeps old ones as .bak

Only folders that Load Dataset may read, and pictures that it finds there, are read or written to.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from hypernet.captions.sources import LONGEST_SIDECAR, CaptionRules, one_line, write_sidecar
from hypernet.dataset.album import Album, Page, count_tags, find_pages
from hypernet.dataset.thumbnails import thumbnail

from ..data.caption import IN_ORDER, ORDERS, rules_of
from ..data.load_dataset import resolve
from ..shared.cache import cache_folder
from ..shared.demo_model import refuse_demo
from .requests import values

MOST = 200  # pictures in one answer
RULES = (
    "source", "fixed_text", "existing", "trigger_word", "block_tags", "replace_tags",
    "source_order", "name_pattern", "name_joint", "joint",
)  # fmt: skip


def pictures(query: dict[str, str], body: object) -> dict:
    """A part of the pictures whose captions contain the text and the tag.

    edits: captions that are not saved yet, by picture. rules: Caption's widgets; if given, the
    answer also says what they make of each caption.
    """
    album = album_in(body)
    asked = values(body, {"text": str, "tag": str, "offset": int, "count": int, "edits": dict})
    edits = edits_of(asked["edits"])
    assert isinstance(body, dict)  # values has refused all else
    rules = rules_in(body.get("rules"))
    pages = album.pages()
    found = find_pages(pages, asked["text"], asked["tag"], edits)
    start = max(0, asked["offset"])
    part = found[start : start + min(asked["count"], MOST)]
    return {
        "total": len(pages),
        "found": len(found),
        "offset": start,
        "pictures": [about(page, album.folder, rules) for page in part],
        "tags": count_tags(pages, edits),
        "notes": album.notes(),
    }


def about(page: Page, folder: Path, rules: CaptionRules | None) -> dict:
    said = {
        "name": page.name, "words": page.words, "written": page.written, "fault": page.fault,
        "version": f"{page.stamp.changed:x}",
    }  # fmt: skip
    if rules and not page.fault:
        words = page.words if page.written else ""
        said["becomes"] = rules.caption(folder / page.name, words, written=words)
    return said


def picture(query: dict[str, str], body: object) -> Path:
    """The path of a picture's thumbnail."""
    given = {"folder": query.get("folder"), "subfolders": query.get("subfolders") == "true"}
    album, name = album_in(given), query.get("name", "")
    page = page_of(album.pages(), name)
    return thumbnail(album.folder / name, page.stamp, cache_folder() / "thumbnails")


def captions(query: dict[str, str], body: object) -> dict:
    """Write these captions. If one cannot be written, the others still are."""
    album = album_in(body)
    refuse_demo(album.folder)
    edits = edits_of(values(body, {"edits": dict})["edits"])
    pages = album.pages(anew=True)
    for name in edits:
        page_of(pages, name)
    faults = {}
    for name, words in edits.items():
        try:
            write_sidecar(album.folder / name, one_line(words))
        except ValueError as fault:
            faults[name] = str(fault)
    album.pages(anew=True)
    return {"saved": [name for name in edits if name not in faults], "faults": faults}


def album_in(body: object) -> Album:
    given = values(body, {"folder": str, "subfolders": bool})
    return album_of(resolve(given["folder"]), given["subfolders"])


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
    ("GET", "/hypernet/thumbnail"): picture,
    ("POST", "/hypernet/captions"): captions,
}
