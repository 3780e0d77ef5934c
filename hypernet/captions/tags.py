"""Tags: short words separated by commas, as in danbooru and in prompts.

A tagger gives names such as `long_hair` and `smile_(expression)`, each with a score. A caption
writes them as `long hair, smile \\(expression\\)`, because brackets mean emphasis in a prompt. Tags
that a user lists match either form: case, underscores, escapes and emphasis are ignored.

In a list of tags, line ends and the commas of other keyboards are separators too. In prose they
are not: a line end is just a blank. Short parts are what shows that a caption is a list of tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

from ..text.parsing import COMMAS, visible_text

ORDERS = ("alphabet", "score")
OTHER_COMMAS = re.compile(rf"[{COMMAS}；\r\n\t]|(?<=\w)\s*\|\s*(?=\w)")
BULLET = re.compile(r"^\s*(?:[•·*-]|\d+[.)])\s+", re.MULTILINE)  # of a list, one entry per line
SEMICOLON = re.compile(r"(?<=\w);(?:\s|$)")  # a separator, unlike that of ;) and ;d
SMALL_WORDS = {
    "a",
    "an",
    "and",
    "at",
    "by",
    "in",
    "is",
    "of",
    "on",
    "the",
    "to",
    "with",
}  # of prose
LONGEST_TAG, MEAN_TAG = 6, 2.5  # words in a tag: at most, and at most on average
WORD_OR_SIGN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_]+")
SENTENCE_ENDS = ".!?。！？"
EMPHASIS = re.compile(r"^\((.+):[\d.]+\)$")
WORD = re.compile(r"[^\W_]{2}|[^\W_\x00-\x7f]")  # two letters in a row, or one beyond ASCII


@dataclass(frozen=True)
class Tag:
    """One answer of a tagger. Categories: general, character, rating, sentence (a captioner's)."""

    name: str
    score: float
    category: str = "general"


@dataclass(frozen=True, kw_only=True)
class TagRules:
    """Which tags go into a caption, and how they are written; the defaults are A1111's.

    A category without a threshold is left out. allow: if not empty, only these tags are used.
    Raises ValueError for an unknown order.
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
    """Tags to leave out of captions, and tags to replace: old -> new ones, or none."""

    block: tuple[str, ...] = ()
    replacements: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Normalise the keys, so that lookups ignore how a tag is written."""
        meant = {meaning(old): new for old, new in self.replacements.items()}
        object.__setattr__(self, "replacements", MappingProxyType(meant))
        object.__setattr__(self, "block", tuple(meaning(tag) for tag in self.block))


NO_EDITS = TagEdits()


def caption_of_tags(tags: Iterable[Tag], rules: TagRules, edits: TagEdits = NO_EDITS) -> str:
    """A caption such as "1girl, smile \\(expression\\)". Sentences go first, unchanged."""
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
    name = spaced(tag.name) if rules.underscores_to_spaces else tag.name
    if rules.escape:
        name = re.sub(r"([\\()])", r"\\\1", name)
    return f"({name}:{tag.score:.3f})" if rules.scores else name


def spaced(name: str) -> str:
    """ "long hair" for long_hair. Faces such as ^_^ stay: models trained on boorus know them.

    A name without a word in it counts as a face. That covers the 19 that kohya's trainers and the
    WD taggers list.
    """
    return name.replace("_", " ") if WORD.search(name) else name


def edit_caption(caption: str, edits: TagEdits) -> str:
    """The caption with blocked tags removed and others replaced; untouched if none occurs."""
    tags = split_tags(caption)
    kept = [name for tag in tags for name in edited(tag, edits)]
    return caption if kept == tags else ", ".join(dict.fromkeys(kept))


def edited(name: str, edits: TagEdits) -> list[str]:
    """The names that take the place of this one: none, one or several."""
    key = meaning(name)
    if key in edits.block:
        return []
    names = split_at_commas(edits.replacements[key]) if key in edits.replacements else [name]
    return [each for each in names if meaning(each) not in edits.block]


def with_trigger(caption: str, trigger: str) -> str:
    """The caption with the trigger word in front and nowhere else."""
    if not trigger.strip():
        return caption
    front = read_list(trigger)
    said = {meaning(tag) for tag in front}
    return ", ".join([*front, *(t for t in split_tags(caption) if meaning(t) not in said)])


def meaning(tag: str) -> str:
    """The normalised tag: `(Long_Hair:1.2)` and `long hair` mean the same."""
    bare = EMPHASIS.sub(r"\1", visible_text(tag))
    return " ".join(re.sub(r"\\(.)", r"\1", bare).replace("_", " ").split()).casefold()


def split_tags(text: str) -> list[str]:
    """The tags of a caption, split at commas outside brackets: `(red, blue:1.2)` is one tag.

    If brackets are unbalanced, as in `:(`, every comma counts. Empty tags are dropped.
    """
    return split_at_commas(with_commas(text))


def split_at_commas(text: str) -> list[str]:
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


def with_commas(text: str) -> str:
    """The text on one line, with tags separated by commas and lines of prose by blanks.

    A text that only uses commas stays as it is.
    """
    text = text.strip()
    if "," not in text and (tags := tags_without_commas(text)):
        return ", ".join(tags)
    if not OTHER_COMMAS.search(text):
        return text
    text = BULLET.sub("", text) if "\n" in text else text
    parts = split_at_commas(OTHER_COMMAS.sub(",", text))
    if are_tags(parts) and (len(parts) > 2 or re.search(f"[,；{COMMAS}]", text)):
        return ", ".join(parts)
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    joined = lines[0]
    for before, line in pairwise(lines):
        parted = any(are_tags(split_at_commas(each)) for each in (before, line))
        joined += (", " if parted and not before.endswith(",") else " ") + line
    return joined


def tags_without_commas(text: str) -> list[str]:
    """The tags of "1girl; solo; hat", or of "1girl solo red_hair blue_eyes" as boorus write it."""
    parts = [part.strip() for part in SEMICOLON.split(text) if part.strip()]
    if len(parts) > 2 and are_tags(parts):
        return parts
    words = text.split()
    joined = sum(bool(re.search(r"\w_\w", word)) for word in words)
    is_board = joined > 1 and len(words) > 2 and "\n" not in text
    return words if is_board and SMALL_WORDS.isdisjoint(words) else []


def are_tags(parts: list[str]) -> bool:
    """Is it a list of tags, rather than prose with commas in it?"""
    lengths = [words_in(part) for part in parts]
    if len(parts) < 2 or max(lengths) > LONGEST_TAG or sum(lengths) > MEAN_TAG * len(parts):
        return False
    return not any(
        length > 1 and part[-1] in SENTENCE_ENDS
        for part, length in zip(parts, lengths, strict=True)
    )


def words_in(text: str) -> float:
    """The number of words; two Chinese or Japanese characters count as one."""
    found = WORD_OR_SIGN.findall(text)
    return sum(0.5 if each > "\u3000" and len(each) == 1 else 1 for each in found)


def has_several(text: str) -> bool:
    """Does the text hold several captions, one per line? One list broken into lines doesn't."""
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    ended = all(line[-1] in f",;{COMMAS}；" for line in lines[:-1])
    single = (
        len(lines) > 2 and are_tags(lines) and all(len(split_tags(each)) == 1 for each in lines)
    )
    return len(lines) > 1 and not ended and not single


def read_list(text: str) -> tuple[str, ...]:
    """Tags separated by commas of any keyboard, semicolons or line ends.

    A semicolon without a letter before it belongs to a face, ;).
    """
    text = OTHER_COMMAS.sub(",", BULLET.sub("", text.strip()))
    parts = split_at_commas(re.sub(r"(?<=\w);", ",", text))
    return tuple(part.strip('“”"') if part[0] in '“"' else part for part in parts)


ARROW = re.compile(r"[-–—=－＝]{1,3}(?:>|＞|&gt;)|→|⇒|➜")


def read_replacements(text: str) -> dict[str, str]:
    """Read one replacement per line: `old -> new`, `old, older -> new, newer`, or `old ->`.

    Without a new tag, the old one is removed. Raises ValueError quoting the lines that are no
    replacement.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    pairs = [[part.strip() for part in ARROW.split(line)] for line in lines]
    wrong = [line for line, pair in zip(lines, pairs, strict=True) if len(pair) != 2 or not pair[0]]
    if wrong:
        quoted = "; ".join(f'"{line}"' for line in wrong)
        raise ValueError(f"Replacements {quoted}: write one a line, as in: gray hair -> grey hair.")
    return {old: ", ".join(read_list(new)) for olds, new in pairs for old in read_list(olds)}
