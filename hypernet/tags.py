"""Tags: short words with commas between them, as danbooru has them and as prompts have them.

A tagger gives names such as `long_hair` and `smile_(expression)` with a score each; a caption has
them as `long hair, smile \\(expression\\)`, because brackets mean emphasis in a prompt. Lists that
a user gives compare either way: case, underscores, escapes and emphasis do not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

ORDERS = ("alphabet", "score")
EMPHASIS = re.compile(r"^\((.+):[\d.]+\)$")


@dataclass(frozen=True)
class Tag:
    """What a tagger sees. Categories: general, character, rating, and sentence (of a captioner)."""

    name: str
    score: float
    category: str = "general"


@dataclass(frozen=True, kw_only=True)
class TagRules:
    """Which tags come into a caption, and how they are written; the defaults are A1111's.

    A category without a threshold is left out. allow: if any, only these. Raises ValueError.
    """

    thresholds: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType({"general": 0.5})
    )
    order: str = "alphabet"
    underscores_to_spaces: bool = True
    escape: bool = True
    scores: bool = False
    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise ValueError(f'Order of tags "{self.order}": give {" or ".join(ORDERS)}.')


@dataclass(frozen=True, kw_only=True)
class TagEdits:
    """Tags to leave out of captions, and tags to say in other words: old -> new ones, or none."""

    block: tuple[str, ...] = ()
    replacements: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Keys are looked up by what they mean."""
        meant = {meaning(old): new for old, new in self.replacements.items()}
        object.__setattr__(self, "replacements", MappingProxyType(meant))
        object.__setattr__(self, "block", tuple(meaning(tag) for tag in self.block))


NO_EDITS = TagEdits()


def caption_of_tags(tags: Iterable[Tag], rules: TagRules, edits: TagEdits = NO_EDITS) -> str:
    """ "1girl, long hair, smile \\(expression\\)". Sentences stand as they are, before the tags."""
    tags = list(tags)
    sentences = [tag.name for tag in tags if tag.category == "sentence"]
    allowed = {meaning(name) for name in rules.allow}
    chosen = [
        tag
        for tag in tags
        if tag.score >= rules.thresholds.get(tag.category, float("inf"))
        and (not allowed or meaning(tag.name) in allowed)
    ]
    if rules.order == "score":
        chosen.sort(key=lambda tag: (-tag.score, tag.name))
    else:
        chosen.sort(key=lambda tag: tag.name)
    words = [
        written(Tag(name, tag.score), rules)
        for tag in chosen
        for name in edited(tag.name, edits)
    ]  # fmt: skip
    return ", ".join(dict.fromkeys([*sentences, *words]))


def written(tag: Tag, rules: TagRules) -> str:
    name = tag.name.replace("_", " ") if rules.underscores_to_spaces else tag.name
    if rules.escape:
        name = re.sub(r"([\\()])", r"\\\1", name)
    return f"({name}:{tag.score:.3f})" if rules.scores else name


def edit_caption(caption: str, edits: TagEdits) -> str:
    """The caption without blocked tags and with replaced ones; as it stands if nothing fits."""
    tags = split_tags(caption)
    kept = [name for tag in tags for name in edited(tag, edits)]
    return caption if kept == tags else ", ".join(dict.fromkeys(kept))


def edited(name: str, edits: TagEdits) -> list[str]:
    """None, one or several names in place of this one."""
    key = meaning(name)
    if key in edits.block:
        return []
    names = split_tags(edits.replacements[key]) if key in edits.replacements else [name]
    return [each for each in names if meaning(each) not in edits.block]


def with_trigger(caption: str, trigger: str) -> str:
    """The trigger word first, and only there."""
    if not trigger.strip():
        return caption
    front = split_tags(trigger)
    said = {meaning(tag) for tag in front}
    return ", ".join([*front, *(t for t in split_tags(caption) if meaning(t) not in said)])


def meaning(tag: str) -> str:
    """What lists compare: `(Long_Hair:1.2)` and `long hair` are one tag."""
    plain = EMPHASIS.sub(r"\1", tag.strip())
    return re.sub(r"\\(.)", r"\1", plain).replace("_", " ").strip().casefold()


def split_tags(text: str) -> list[str]:
    """At commas outside of brackets, so that `(red, blue:1.2)` stays whole; at every comma where
    brackets do not close, as in `:(`. Empty ones do not count."""
    if not re.search(r"[()\[\]\\]", text):  # most captions, and far quicker
        return [part.strip() for part in text.split(",") if part.strip()]
    parts, depth, word = [], 0, ""
    for piece in re.findall(r"\\.|[^\\]|\\$", text):
        depth += (piece in "([") - (piece in ")]")
        if depth < 0:
            break
        if piece == "," and not depth:
            parts.append(word)
            word = ""
        else:
            word += piece
    parts = text.split(",") if depth else [*parts, word]
    return [part.strip() for part in parts if part.strip()]


def read_list(text: str) -> tuple[str, ...]:
    """Tags with commas or line ends between them."""
    return tuple(tag for line in text.splitlines() for tag in split_tags(line))


def read_replacements(text: str) -> dict[str, str]:
    """One a line: `old -> new`, `old -> new, newer`, or `old ->` for nothing.

    Raises ValueError quoting the lines that are neither.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    wrong = [line for line in lines if not re.match(r".*\S.*->", line)]
    if wrong:
        quoted = "; ".join(f'"{line}"' for line in wrong)
        raise ValueError(f"Replacements {quoted}: write one a line, as in: gray hair -> grey hair.")
    pairs = (line.split("->", 1) for line in lines)
    return {old.strip(): new.strip() for old, new in pairs}
