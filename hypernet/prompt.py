"""A1111's tags in a prompt: `<hypernet:name:0.8>` names a network and its strength, 1 if left out.

Only these tags are read and taken out; every other character stays, `<lora:…>` too, so that the
text encoder sees the prompt that A1111 would give it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from .vocabulary import nearest_file

TAG = re.compile(r"<hypernet:([^>]+)>")
LIMIT = 10.0


@dataclass(frozen=True)
class Tag:
    name: str
    strength: float
    text: str  # as it was written


def read_tags(prompt: str) -> tuple[str, list[Tag]]:
    """The prompt without its tags, and the tags in their order.

    Raises ValueError quoting every tag that is wrong.
    """
    tags, faults = [], []
    for match in TAG.finditer(prompt):
        try:
            tags.append(read_tag(match[0], match[1]))
        except ValueError as fault:
            faults.append(str(fault))
    if faults:
        raise ValueError(" ".join(faults))
    return TAG.sub("", prompt), tags


def read_tag(text: str, inside: str) -> Tag:
    name, *numbers = (part.strip() for part in inside.split(":"))
    if not name:
        raise ValueError(f'"{text}" names no hypernetwork; write it like <hypernet:name:0.8>.')
    if len(numbers) > 1:
        raise ValueError(f'"{text}" has more than one strength; write it like <hypernet:{name}:1>.')
    try:
        strength = float(numbers[0]) if numbers else 1.0
    except ValueError:
        raise ValueError(f'"{text}": the strength "{numbers[0]}" is not a number.') from None
    if not math.isfinite(strength) or abs(strength) > LIMIT:
        raise ValueError(f'"{text}": the strength must lie between {-LIMIT:g} and {LIMIT:g}.')
    return Tag(name, strength, text)


def find_files(tags: Iterable[Tag], files: Iterable[str]) -> list[str]:
    """The file each tag means, of files such as "styles/ink.pt".

    A name is a path with or without its suffix, or the last part of one; capitals count only
    where names differ by nothing else. Raises ValueError for names that are unknown, with the
    nearest, or that several files have.
    """
    files = list(files)
    found, faults = [], []
    for tag in tags:
        matches = matching(tag.name, files)
        if len(matches) == 1:
            found.append(matches[0])
        elif matches:
            faults.append(f'"{tag.text}": several files have that name: {", ".join(matches)}.')
        else:
            stems = sorted({PurePosixPath(file).stem for file in files})
            near = nearest_file(tag.name, stems)
            faults.append(f'"{tag.text}": there is no hypernetwork "{tag.name}". {near}')
    if faults:
        raise ValueError(" ".join(faults))
    return found


def matching(name: str, files: list[str]) -> list[str]:
    """The files by the strictest reading of the name that any of them passes."""
    readings = (
        lambda file: file,
        lambda file: str(PurePosixPath(file).with_suffix("")),
        lambda file: PurePosixPath(file).stem,
        lambda file: PurePosixPath(file).stem.casefold(),
    )
    for number, reading in enumerate(readings):
        wanted = name.casefold() if number == len(readings) - 1 else name
        if matches := [file for file in files if reading(file) == wanted]:
            return matches
    return []
