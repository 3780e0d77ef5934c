"""A1111's tags in a prompt: `<hypernet:name:0.8>` names a network and its strength (default 1).

Only these tags are read and removed. Everything else stays, including `<lora:…>`, so the text
encoder gets the same prompt as in A1111. Tags may contain capitals and blanks, the signs of a
Chinese keyboard, or HTML escapes. A misspelt tag is an error; otherwise its text would silently
become part of the prompt.
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
from ..text.parsing import folded, is_boundless, single_number_in, visible_text

LIMIT = 10.0
HYPERNET = ("hypernet", "hypernetwork", "hypernets", "hypernetworks", "超网络")
OTHER_KINDS = ("lora", "lyco", "locon", "loha")  # tags of A1111 and its extensions
LONGEST = 60  # letters that a message quotes

# Patterns for folded text (parsing.py), where ＜ and ： have become < and :. Brackets of one kind
# may contain those of the other: <hypernet:《画》:1>.
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
# Misspelt tags: <hypernet without a colon or an end, and hypernet:one:1 without brackets.
NEARLY = (
    r"(?:{left})\s*(?:{kinds})\b(?!\s*(?:{right}))[^,\n]*|\b(?:{kinds})\s*:[^\n:,]+:\s*[-+]?[\d.]+"
)


@dataclass(frozen=True)
class Tag:
    name: str
    strength: float
    text: str  # as it was written


def read_tags(prompt: str) -> tuple[str, list[Tag]]:
    """The prompt without its tags, and the tags in order.

    Raises ValueError quoting every tag that is wrong or misspelt.
    """
    tags, faults, spans = [], [], []
    for match in matches(prompt):
        kind, text = tag_kind(match), prompt[match.start() : match.end()]
        if kind in HYPERNET:
            spans.append(match.span())
            try:
                tags.append(read_tag(text, prompt[match.start("inside") : match.end("inside")]))
            except ValueError as fault:
                faults.append(str(fault))
        elif kind not in OTHER_KINDS and get_close_matches(kind, HYPERNET, cutoff=0.75):
            faults.append(misspelling(text))
    rest = without(prompt, spans)
    faults += map(misspelling, misspelt(rest, HYPERNET))
    if faults:
        raise ValueError(" ".join(faults))
    return rest, tags


def take_out_tags(prompt: str) -> tuple[str, tuple[str, ...]]:
    """The prompt without any tags, those of LoRAs included, and the removed tags.

    Raises ValueError quoting misspelt tags.
    """
    spans = [match.span() for match in matches(prompt) if is_tag_of_a1111(match)]
    rest = without(prompt, spans).strip() if spans else prompt
    if faults := [*map(misspelling, misspelt(rest, (*HYPERNET, *OTHER_KINDS)))]:
        raise ValueError(" ".join(faults))
    return rest, tuple(prompt[start:end] for start, end in spans)


def matches(prompt: str) -> list[re.Match]:
    """Every <kind:…>, in order. Brackets other than < and > count only with a known kind."""
    angles, others = (list(pattern.finditer(folded(prompt))) for pattern in TAGS)
    others = [
        match
        for match in others
        if tag_kind(match) in (*HYPERNET, *OTHER_KINDS)
        and not any(each.start() < match.end() and match.start() < each.end() for each in angles)
    ]
    return sorted([*angles, *others], key=re.Match.start)


def tag_kind(match: re.Match) -> str:
    return re.sub("[ _-]", "", match["kind"]).lower()


def is_tag_of_a1111(match: re.Match) -> bool:
    """Would A1111 remove it? It does so for every <word:…>, whatever the word."""
    return tag_kind(match) in (*HYPERNET, *OTHER_KINDS) or match["kind"].isidentifier()


def without(prompt: str, spans: list[tuple[int, int]]) -> str:
    for start, end in reversed(spans):
        prompt = prompt[:start] + prompt[end:]
    return prompt


def misspelt(prompt: str, kinds: Iterable[str]) -> Iterator[str]:
    """Misspelt tags of these kinds."""
    names = "|".join(re.sub("(?<=hyper)(?=net)", "[ _-]?", kind) for kind in kinds)
    left, right = ("|".join(each) for each in zip(*BRACKETS, strict=True))
    pattern = re.compile(NEARLY.format(left=left, right=right, kinds=names), re.IGNORECASE)
    for match in pattern.finditer(folded(prompt)):
        yield prompt[match.start() : match.end()].strip()


def misspelling(text: str) -> str:
    """The error message about a misspelt tag, with a guess at the right one."""
    inside = re.sub(r"^\W*", "", visible_text(text)).rstrip("<>〈《‹⟨〉》›⟩\\ ")
    kind, *rest = (part.strip() for part in re.split("[:;|=]", inside))
    name = rest[0] if rest and rest[0] else "name"
    kind = kind if kind in OTHER_KINDS else HYPERNET[0]
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
    """The parts between : or ：, with their original characters."""
    places = [place for place, sign in enumerate(folded(inside)) if sign == ":"]
    starts, ends = [0, *(place + 1 for place in places)], [*places, len(inside)]
    return [html.unescape(inside[a:b]).strip() for a, b in zip(starts, ends, strict=True)]


def strength_in(text: str) -> float | None:
    return math.nan if is_boundless(text) else single_number_in(text)


def find_files(tags: Iterable[Tag], files: Iterable[str]) -> list[str]:
    """The file that each tag means, out of files such as "styles/ink.pt"."""
    return [match.name for match in match_files(tags, files)]


def match_files(tags: Iterable[Tag], files: Iterable[str]) -> list[Match]:
    """The file that each tag means, by its path or the path's last part, with or without suffix.

    names.py says which differences are accepted. Raises ValueError for names that several files
    have, and for unknown ones, with the nearest.
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
