"""Changes the tags of a caption as an editor of many captions is told to.

A caption that already is as it shall be stays as it is written. Tags are compared by their meaning
(tags.py): removing `long hair` also removes `(long_hair:1.2)`.
"""

from __future__ import annotations

from .tags import (
    TagEdits,
    are_tags,
    edit_caption,
    meaning,
    read_list,
    split_tags,
    with_trigger,
)

WAYS = ("add first", "add last", "remove", "replace", "sort")


def retagged(caption: str, way: str, tags: str = "", by: str = "") -> str:
    """The caption after one of WAYS.

    tags: those to add, to remove or to replace, with commas between them. by: what takes the place
    of each of them. Raises ValueError for an unknown way, or if tags are missing.
    """
    if way not in WAYS:
        raise ValueError(f'Change "{way}": give one of {", ".join(WAYS)}.')
    if way == "sort":
        return in_order(caption)
    named = read_list(tags) if tags.strip() else ()
    if not named:
        raise ValueError("Name one tag at least.")
    if way == "add first":
        return with_trigger(caption, tags)
    if way == "add last":
        return with_more(caption, named)
    edits = (
        TagEdits(block=named)
        if way == "remove"
        else TagEdits(replacements=dict.fromkeys(named, by))
    )
    return edit_caption(caption, edits)


def with_more(caption: str, tags: tuple[str, ...]) -> str:
    """The caption with those of the tags behind it that it lacks."""
    said = split_tags(caption)
    known = {meaning(tag) for tag in said}
    lacking = [tag for tag in tags if meaning(tag) not in known]
    return ", ".join([*said, *lacking]) if lacking else caption


def in_order(caption: str) -> str:
    """The tags by the alphabet, each once. Prose stays as it is."""
    tags = split_tags(caption)
    if not are_tags(tags):
        return caption
    ordered = sorted(dict.fromkeys(tags), key=lambda tag: (meaning(tag), tag))
    return caption if ordered == tags else ", ".join(ordered)
