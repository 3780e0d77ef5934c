"""Reads tables: one file with the captions of many pictures.

Hugging Face's metadata.jsonl and metadata.csv have one row per picture, {"file_name": …, "text":
…}. kohya's JSON has {path: {"caption": …, "tags": …}}; caption and tags are joined. Paths are
relative to the table. A path from another machine is matched by its file name alone, if only one
picture has that name.
"""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ..text.encodings import recognise
from ..text.stems import Stems, stem_of

SUFFIXES = (".jsonl", ".csv", ".tsv", ".json")
LARGEST = 64 * 2**20  # bytes
NAMES = ("file_name", "filename", "image", "image_path", "file", "path", "image_file")
WORDS = ("text", "caption", "prompt", "captions", "description")

Rows = dict[str, str]  # captions by picture, named as in the file


def read_table(file: Path) -> Rows:
    """The rows of a table; {} for a file of another kind.

    Raises ValueError with the reason if a table cannot be read.
    """
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST >> 20} MiB")
        text = recognise(file.read_bytes())
    except OSError as fault:
        raise ValueError(fault.strerror or str(fault)) from fault
    if text is None:
        raise ValueError("it is in no encoding that is known for sure; save it as UTF-8")
    suffix = file.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return rows_of(csv_rows(text.words))
    return rows_of(json_lines(text.words)) if suffix == ".jsonl" else json_rows(text.words)


def csv_rows(text: str) -> Iterator[Mapping]:
    head = (text.lstrip("\ufeff\n").splitlines() or [""])[0]
    separator = max(",;\t", key=head.count)
    return csv.DictReader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=separator)


def json_lines(text: str) -> Iterator[object]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as fault:
                raise ValueError(f"line {number} is no JSON") from fault


def json_rows(text: str) -> Rows:
    """The rows of kohya's JSON object, or of a JSON list."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise ValueError("it is no JSON") from fault
    if isinstance(found, list):
        return rows_of(found)
    if not isinstance(found, dict):
        return {}
    pairs = ((name, kohyas_words(about)) for name, about in found.items())
    return {name: words for name, words in pairs if words}


def kohyas_words(about: object) -> str:
    if isinstance(about, str):
        return about
    if not isinstance(about, dict):
        return ""
    parts = (as_caption(about.get(key)) for key in ("caption", "tags"))
    return ", ".join(part for part in parts if part) or first_of(about, WORDS)


def rows_of(rows: Iterable[object]) -> Rows:
    found = {}
    for row in rows:
        if isinstance(row, dict):
            plain = {str(key).strip().lower(): value for key, value in row.items() if key}
            name, words = first_of(plain, NAMES), first_of(plain, WORDS)
            if name and words:
                found.setdefault(name, words)
    return found


def first_of(row: Mapping, keys: Iterable[str]) -> str:
    return next((words for key in keys if (words := as_caption(row.get(key)))), "")


def as_caption(value: object) -> str:
    """The text of a value. A list gives its tags joined by commas, or its first sentence."""
    if isinstance(value, list):
        texts = [each for each in value if isinstance(each, str)]
        if any(" " in each.strip() for each in texts):
            return texts[0].strip()
        return ", ".join(each.strip() for each in texts)
    return value.strip() if isinstance(value, str) else ""


class Places:
    """Finds the pictures of a folder by the names that tables give them."""

    def __init__(self, pictures: list[str]):
        self._names = set(pictures)
        self._stems = Stems(pictures)
        self._bases = Stems(pictures, of=posixpath.basename)

    def find(self, table: str, entry: str) -> list[str]:
        """table: the table's name below the folder. entry: the picture's name in the table."""
        path = posixpath.normpath(entry.strip().replace("\\", "/"))
        beside = posixpath.normpath(posixpath.join(posixpath.dirname(table), path))
        if beside in self._names:
            return [beside]
        base = posixpath.basename(path)
        found = (
            self._stems.find(stem_of(beside))
            or self._stems.find(beside)
            or self._bases.find(stem_of(base))
            or self._bases.find(base)
        )
        return found if len(found) == 1 else []
