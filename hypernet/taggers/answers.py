"""Caches a tagger's answers by the content of the pictures.

A file holds the answers of one tagger, one per line: the hash of the picture's bytes, a tab, and
the tags as JSON. Lines are only appended, a group in one write. A damaged line is ignored and its
picture is tagged again. Scores are stored, not finished captions, so changing thresholds needs no
tagging.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..captions.tags import Tag
from ..text.links import files_below

LINE = re.compile(rb"([0-9a-f]{32})\t(.+)\n")
FAINTEST = 0.05  # tags with lower scores are not stored

Tags = tuple[Tag, ...]


class TagCache:
    """The answers in one file. Only the positions of its lines are in memory."""

    def __init__(self, file: Path):
        self.file = file
        self._places: dict[str, tuple[int, int]] = {}
        if file.is_file():
            with open(file, "rb") as lines:
                offset = 0
                for line in lines:
                    if match := LINE.fullmatch(line):
                        self._places[match[1].decode()] = (offset, len(line))
                    offset += len(line)

    def get(self, key: str) -> Tags | None:
        """The tags of a picture; None if it was not tagged yet or its line is damaged."""
        if key not in self._places:
            return None
        offset, length = self._places[key]
        try:
            with open(self.file, "rb") as lines:
                lines.seek(offset)
                match = LINE.fullmatch(lines.read(length))
            tags = tuple(Tag(*row) for row in json.loads(match[2])) if match else None
        except (OSError, ValueError, TypeError):
            return None
        return tags if tags is not None and all(map(is_tag, tags)) else None

    def add(self, found: Mapping[str, Iterable[Tag]]) -> None:
        """Append the answers in one write, after ending a last line that was cut off."""
        lines = []
        for key, tags in found.items():
            rows = [[t.name, t.score, t.category] for t in tags if t.score >= FAINTEST]
            lines.append(f"{key}\t{json.dumps(rows)}\n".encode())
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with open(self.file, "a+b") as file:
            end = file.seek(0, os.SEEK_END)
            if end:
                file.seek(end - 1)
                if file.read(1) != b"\n":
                    lines.insert(0, b"\n")
            offset = end
            file.write(b"".join(lines))
        for line in lines:
            if match := LINE.fullmatch(line):
                self._places[match[1].decode()] = (offset, len(line))
            offset += len(line)


def is_tag(tag: Tag) -> bool:
    return (
        isinstance(tag.name, str)
        and isinstance(tag.category, str)
        and isinstance(tag.score, (int, float))
    )


def model_key(model: Path) -> str:
    """Identifies a model file or folder by names, sizes and times; hashing would take too long."""
    names = files_below(model) if model.is_dir() else []
    files = [model / name for name in names] or [model]
    stats = [(file.name, s.st_size, s.st_mtime_ns) for file in files if (s := file.stat())]
    return hashlib.blake2b(repr(stats).encode(), digest_size=8).hexdigest()
