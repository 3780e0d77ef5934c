"""A1111's tags in a prompt: `<hypernet:name:0.8>` names a network and its strength, 1 if left out.

Only these tags are read and taken out; every other character stays, `<lora:…>` too, so that the
text encoder sees the prompt that A1111 would give it. A tag is read in any hand: with capitals and
blanks, the signs of a Chinese keyboard, the escapes of a web page. What looks like one and is none
is refused, or its letters would be drawn as words without anybody knowing.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePosixPath

from ..network.vocabulary import nearest_file
from ..text.names import Match, find_name
from ..text.parsing import folded, is_boundless, plain, single_number_in

LIMIT = 10.0
HYPERNET = ("hypernet", "hypernetwork", "hypernets", "hypernetworks", "超网络")
OTHERS = ("lora", "lyco", "locon", "loha")  # of A1111 and its extensions
LONGEST = 60  # letters of what is quoted

# Patterns for folded text (parsing.py), where ＜ and ： are < and :. What is between one kind of
# brackets may hold the other: <hypernet:《画》:1>.
BRACKETS = (
    (r"\\?<|&(?:amp;)*(?:lt|#60|#x3c);?|%3c", r"\\?>|&(?:amp;)*(?:gt|#62|#x3e);?|%3e"),
    ("[〈《‹⟨]", "[〉》›⟩]"),
)
TAGS = tuple(
    re.compile(
        rf"(?:{left})\s*"
        + r"(?P<kind>[^\W\d_][\w -]{0,30}?)\s*:"
        + rf"(?P<inside>(?:(?!{left}|{right}).)*?)(?:{right})",
        re.IGNORECASE | re.DOTALL,
    )
    for left, right in BRACKETS
)
# <hypernet without a colon or an end, and hypernet:one:1 without brackets
NEARLY = (
    r"(?:{left})\s*(?:{kinds})\b(?!\s*(?:{right}))[^,\n]*|\b(?:{kinds})\s*:[^\n:,]+:\s*[-+]?[\d.]+"
)


@dataclass(frozen=True)
class Tag:
    name: str
    strength: float
    text: str  # as it was written


def read_tags(prompt: str) -> tuple[str, list[Tag]]:
    """The prompt without its tags, and the tags in their order.

    Raises ValueError quoting every tag that is wrong, or looks like a tag and is none.
    """
    tags, faults, spans = [], [], []
    for match in matches(prompt):
        kind, text = kind_of(match), prompt[match.start() : match.end()]
        if kind in HYPERNET:
            spans.append(match.span())
            try:
                tags.append(read_tag(text, prompt[match.start("inside") : match.end("inside")]))
            except ValueError as fault:
                faults.append(str(fault))
        elif kind not in OTHERS and get_close_matches(kind, HYPERNET, cutoff=0.75):
            faults.append(no_tag(text))
    rest = without(prompt, spans)
    faults += map(no_tag, nearly(rest, HYPERNET))
    if faults:
        raise ValueError(" ".join(faults))
    return rest, tags


def take_out_tags(prompt: str) -> tuple[str, tuple[str, ...]]:
    """The prompt without any tag, of LoRAs too, and the tags that were in it.

    Raises ValueError quoting what looks like a tag and is none.
    """
    spans = [match.span() for match in matches(prompt) if is_tag_of_a1111(match)]
    rest = without(prompt, spans).strip() if spans else prompt
    if faults := [*map(no_tag, nearly(rest, (*HYPERNET, *OTHERS)))]:
        raise ValueError(" ".join(faults))
    return rest, tuple(prompt[start:end] for start, end in spans)


def matches(prompt: str) -> list[re.Match]:
    """Every <kind:…>, in order. Other brackets than < and > make a tag with known kinds only."""
    angles, others = (list(pattern.finditer(folded(prompt))) for pattern in TAGS)
    others = [
        match
        for match in others
        if kind_of(match) in (*HYPERNET, *OTHERS)
        and not any(each.start() < match.end() and match.start() < each.end() for each in angles)
    ]
    return sorted([*angles, *others], key=re.Match.start)


def kind_of(match: re.Match) -> str:
    return re.sub("[ _-]", "", match["kind"]).lower()


def is_tag_of_a1111(match: re.Match) -> bool:
    """It takes out <word:…>, whatever the word."""
    return kind_of(match) in (*HYPERNET, *OTHERS) or match["kind"].isidentifier()


def without(prompt: str, spans: list[tuple[int, int]]) -> str:
    for start, end in reversed(spans):
        prompt = prompt[:start] + prompt[end:]
    return prompt


def nearly(prompt: str, kinds: Iterable[str]) -> Iterator[str]:
    """What looks like a tag of these kinds and is none."""
    names = "|".join(re.sub("(?<=hyper)(?=net)", "[ _-]?", kind) for kind in kinds)
    left, right = ("|".join(each) for each in zip(*BRACKETS, strict=True))
    pattern = re.compile(NEARLY.format(left=left, right=right, kinds=names), re.IGNORECASE)
    for match in pattern.finditer(folded(prompt)):
        yield prompt[match.start() : match.end()].strip()


def no_tag(text: str) -> str:
    """ "<hypernet:one:1" and what it should be."""
    inside = re.sub(r"^\W*", "", plain(text)).rstrip("<>〈《‹⟨〉》›⟩\\ ")
    kind, *rest = (part.strip() for part in re.split("[:;|=]", inside))
    name = rest[0] if rest and rest[0] else "name"
    kind = kind if kind in OTHERS else HYPERNET[0]
    strength = single_number_in(rest[1].split(" ")[0]) if len(rest) > 1 else None
    meant = f"<{kind}:{name[:LONGEST]}:{1 if strength is None else strength:g}>"
    return f'"{text[:LONGEST]}" looks like a tag and is none. Write it like {meant}.'


def read_tag(text: str, inside: str) -> Tag:
    name, *numbers = split_at_colons(inside)
    if not name:
        raise ValueError(f'"{text}" names no hypernetwork; write it like <hypernet:name:0.8>.')
    if len(numbers) > 1:
        raise ValueError(f'"{text}" has more than one strength; write it like <hypernet:{name}:1>.')
    strength = strength_in(numbers[0]) if numbers else 1.0
    if strength is None:
        raise ValueError(f'"{text}": the strength "{numbers[0]}" is not a number.')
    if not abs(strength) <= LIMIT:
        raise ValueError(f'"{text}": the strength must lie between {-LIMIT:g} and {LIMIT:g}.')
    return Tag(name, strength, text)


def split_at_colons(inside: str) -> list[str]:
    """The parts as they are written, where : and ： part them."""
    places = [place for place, sign in enumerate(folded(inside)) if sign == ":"]
    starts, ends = [0, *(place + 1 for place in places)], [*places, len(inside)]
    return [html.unescape(inside[a:b]).strip() for a, b in zip(starts, ends, strict=True)]


def strength_in(text: str) -> float | None:
    return math.nan if is_boundless(text) else single_number_in(text)


def find_files(tags: Iterable[Tag], files: Iterable[str]) -> list[str]:
    """The file each tag means, of files such as "styles/ink.pt"."""
    return [match.name for match in match_files(tags, files)]


def match_files(tags: Iterable[Tag], files: Iterable[str]) -> list[Match]:
    """A name is a path with or without its suffix, or the last part of one; names.py says what may
    differ. Raises ValueError for names that are unknown, with the nearest, or that several files
    have.
    """
    files = list(files)
    found, faults = [], []
    for tag in tags:
        try:
            match = find_name(tag.name, files, KNOWN_AS)
        except ValueError as fault:
            faults.append(f'"{tag.text}": several files have that name. {fault}')
            continue
        if match is not None:
            found.append(match)
        else:
            near = nearest_file(tag.name, sorted(set(map(stem, files))))
            faults.append(f'"{tag.text}": there is no hypernetwork "{tag.name}". {near}')
    if faults:
        raise ValueError(" ".join(faults))
    return found


def without_suffix(file: str) -> str:
    return str(PurePosixPath(file).with_suffix(""))


def last_part(file: str) -> str:
    return PurePosixPath(file).name


def stem(file: str) -> str:
    return PurePosixPath(file).stem


KNOWN_AS = (str, without_suffix, stem, last_part)
