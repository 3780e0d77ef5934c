"""Finds the written captions of a folder: caption files beside pictures, and tables for many.

A picture's own caption file wins over a table. If a file is not UTF-8 and too short to tell its
encoding, it is read in the encoding of the folder's other files, if they all share one. Every file
that is skipped, or read in an old encoding, is reported.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..captions.sources import one_line, read_sidecar
from ..captions.tables import SUFFIXES, Places, Rows, read_table
from ..captions.tags import has_several
from ..text.encodings import MOST, Text, recognise
from ..text.lists_of_names import some
from ..text.stems import Stems, stem_of, suffix_of
from .listing import Listing

Texts = Mapping[str, Text | None]  # by caption file; None if the encoding is uncertain


@dataclass(frozen=True)
class Written:
    """The written captions of a folder."""

    words: Mapping[str, str]  # by picture
    sources: Mapping[str, str]  # by picture, the file that its words are from
    faults: Mapping[str, str]  # by picture, why its caption file cannot be read
    tables: Sequence[str]  # files that gave captions
    notes: Sequence[str]  # sentences for the report


def read_written(listing: Listing) -> Written:
    beside = {name: listing.sidecars.get(name, []) for name in listing.pictures}
    texts, faulty = read_texts(listing, [file for files in beside.values() for file in files])
    said = {
        picture: [file for file in files if line_of(texts[file])]
        for picture, files in beside.items()
    }
    sources = {picture: files[0] for picture, files in said.items() if files}
    words = {picture: line_of(texts[file]) for picture, file in sources.items()}
    notes = [
        *notes_on_texts(texts),
        *notes_on_choice(beside, texts),
        *notes_on_lines(beside, texts),
    ]
    tables = {}
    for name in tables_in(listing):
        try:
            tables[name] = read_table(listing.folder / name)
        except ValueError as fault:
            if stem_of(name).rpartition("/")[2].startswith("metadata"):
                notes.append(f'"{name}" is not read: {fault}.')
    used = []
    for name, rows in tables.items():
        found, lost = by_picture([*listing.pictures, *listing.excluded], name, rows)
        found = {picture: said for picture, said in found.items() if picture in beside}
        if found:
            used.append(name)
            notes += notes_on_table(name, found, lost, words)
            sources |= {picture: name for picture in found if picture not in sources}
            words = found | words
    faults = {p: faulty[file] for p, files in beside.items() for file in files if file in faulty}
    return Written(words, sources, faults, used, notes)


def line_of(text: Text | None) -> str:
    return one_line(text.words) if text else ""


# --- caption files beside their pictures ---------------------------------------------------------


def read_texts(listing: Listing, files: Sequence[str]) -> tuple[Texts, dict[str, str]]:
    """Texts by file, and the faults of the files that cannot be read."""
    texts: dict[str, Text | None] = {}
    unsure: dict[str, bytes] = {}
    faults: dict[str, str] = {}
    for file in files:
        try:
            content = read_sidecar(listing.folder / file)
        except ValueError as fault:
            faults[file], content = str(fault), b""
        texts[file] = recognise(content)
        if texts[file] is None:
            unsure[file] = content
    if encoding := encoding_of_all(texts, unsure):
        texts |= {file: recognise(content, encoding) for file, content in unsure.items()}
    return texts, faults


def encoding_of_all(texts: Texts, unsure: Mapping[str, bytes]) -> str:
    """The encoding that all files share that are not UTF-8; "" if there is no such one.

    If every one of them is uncertain, they are recognised together, as one long text.
    """
    known = {text.encoding for text in texts.values() if text and text.encoding}
    if unsure and not known:
        together = recognise(b"\n".join(content[:MOST] for content in unsure.values()))
        known = {together.encoding} if together else known
    return known.pop() if len(known) == 1 else ""


def notes_on_texts(texts: Texts) -> Iterator[str]:
    encodings = defaultdict(list)
    for file, text in texts.items():
        encodings[text.encoding if text else None].append(file)
    unknown = encodings.pop(None, [])
    encodings.pop("", None)
    for encoding, files in sorted(encodings.items()):
        yield f"{len(files)} caption files are read as {encoding}: {some(files)}."
    if unknown:
        yield (
            f"{len(unknown)} caption files are in no encoding that is known for sure, and not "
            f"used: {some(unknown)}. Save them as UTF-8."
        )


def notes_on_choice(beside: Mapping[str, Sequence[str]], texts: Texts) -> Iterator[str]:
    """Notes on pictures with several caption files, or with one named slightly differently."""
    empty, differing, otherwise = [], [], []
    for picture, files in beside.items():
        if len(files) == 1 and stem_of(files[0]) == stem_of(picture):
            continue
        lines = {file: line_of(texts[file]) for file in files}
        first = next(filter(None, lines.values()), "")
        empty += [file for file in files if first and texts[file] and not lines[file]]
        differing += [file for file in files if lines[file] and lines[file] != first]
        stems = (stem_of(picture), picture)
        otherwise += [file for file in files if stem_of(file) not in stems]
    for files, text in (
        (empty, "{0} caption files are empty, and others beside them are used: {1}."),
        (differing, "{0} caption files are not used, because another is named first: {1}."),
        (otherwise, "{0} caption files are used whose names differ in case or accents: {1}."),
    ):
        if files:
            yield text.format(len(files), some(files))


def notes_on_lines(beside: Mapping[str, Sequence[str]], texts: Texts) -> Iterator[str]:
    chosen = {
        picture: next((text.words for file in files if (text := texts[file]) and line_of(text)), "")
        for picture, files in beside.items()
    }
    several = [picture.rpartition("/")[2] for picture, text in chosen.items() if has_several(text)]
    if several:
        yield (
            f"{len(several)} captions have several lines, which become one: {some(several)}. Write "
            "one caption a file."
        )


# --- captions of many pictures in one file -------------------------------------------------------


def tables_in(listing: Listing) -> list[str]:
    """Files that may be tables, metadata.jsonl first.

    A fox.json beside fox.png is about that picture only, so it is left out.
    """
    pictures = Stems(listing.images)
    names = [name for name in listing.others if suffix_of(name) in SUFFIXES]
    names = [name for name in names if not pictures.find(stem_of(name))]
    return sorted(names, key=lambda name: not stem_of(name).endswith("metadata"))


def by_picture(pictures: list[str], table: str, rows: Rows) -> tuple[dict[str, str], list[str]]:
    """Captions by picture, and the entries that name no picture."""
    places, found, lost = Places(pictures), {}, []
    for entry, words in rows.items():
        names = places.find(table, entry)
        found |= dict.fromkeys(names, one_line(words))
        lost += [] if names else [entry]
    return found, lost


def notes_on_table(
    name: str, found: Mapping[str, str], lost: Sequence[str], words: Mapping[str, str]
) -> Iterator[str]:
    """Notes on one table. words: captions that pictures already have."""
    yield f'"{name}" gives the words of {len(found.keys() - words.keys())} pictures.'
    second = [picture for picture, said in found.items() if words.get(picture, said) != said]
    if second:
        yield (
            f'{len(second)} pictures have other words than those in "{name}", which do not count: '
            f"{some(second)}."
        )
    if lost:
        yield f'{len(lost)} entries of "{name}" name no picture here: {some(lost)}.'
