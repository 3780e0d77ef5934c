"""Captions: where they come from, how they combine with existing ones, and how they are saved.

A caption comes from the first source that has one: the sidecar file (`name.txt`, `name.caption`),
the file name, the folder (kohya's `10_red_fox`), a fixed text, a tagger, or texts that another
program wrote. A caption is always one line, because it goes through prompts, workflows and log
files. Control characters, and broken
characters from file names in an unknown encoding, become blanks.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..atomic_files import write_whole
from ..text.encodings import decode, recognise
from ..text.parsing import visible_text
from ..text.stems import Stems, stem_of, suffix_of
from .tags import NO_EDITS, TagEdits, edit_caption, read_list, split_tags, with_commas, with_trigger

FILEWORDS = ("sidecar", "file name")
SOURCES = ("sidecar", "file name", "folder name", "fixed text", "tagger", "texts")
SIDECARS = (".txt", ".caption")  # the first that isn't empty counts
LONGEST_SIDECAR = 256 * 1024  # bytes; the longest captions of taggers have a few thousand

EXISTING = ("ignore", "keep", "replace", "prepend", "append")
LEADING_NUMBER = re.compile(r"^[-\d]+\s*")


@dataclass(frozen=True, kw_only=True)
class NameWords:
    """How a file name becomes words, as in A1111.

    The number in front is dropped. With a pattern, all its matches are joined by `joint`; without
    one, underscores become blanks. Raises ValueError if the pattern is no regular expression.
    """

    pattern: str = ""
    joint: str = " "

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as fault:
            raise ValueError(
                f'File name pattern "{self.pattern}" is no regular expression: {fault}. '
                r"An example is [a-z]+ for every run of small letters; empty takes the whole name."
            ) from None

    def __call__(self, path: Path) -> str:
        name = LEADING_NUMBER.sub("", path.stem)
        if not self.pattern:
            return name.replace("_", " ").strip()
        found = re.findall(self.pattern, name)
        return self.joint.join("".join(each) for each in found).strip()


WHOLE_NAME = NameWords()


def caption_of(
    path: Path,
    *,
    sources: tuple[str, ...],
    fixed: str = "",
    name_words: NameWords = WHOLE_NAME,
    tagged: str = "",
    written: str | None = None,
    given: str = "",
) -> str:
    """The caption of the first source that gives one; "" if none does.

    written: the content of the sidecar; None reads it. given: another program's text about it.
    Raises ValueError naming a sidecar that cannot be read.
    """
    for source in sources:
        text = {
            "sidecar": lambda: sidecar(path) if written is None else written,
            "file name": lambda: name_words(path),
            "folder name": lambda: words_of_folder(path),
            "fixed text": lambda: fixed,
            "tagger": lambda: tagged,
            "texts": lambda: given,
        }[source]()
        if line := one_line(text):
            return line
    return ""


@dataclass(frozen=True, kw_only=True)
class CaptionRules:
    """How captions are made. existing: how they combine with existing ones, see `combine`.

    Raises ValueError quoting unknown sources, or an unknown way to treat existing captions.
    """

    sources: tuple[str, ...] = FILEWORDS
    fixed: str = ""
    name_words: NameWords = WHOLE_NAME
    existing: str = "ignore"
    joint: str = ", "
    edits: TagEdits = NO_EDITS
    trigger: str = ""

    def __post_init__(self) -> None:
        read_sources(", ".join(self.sources))
        if self.existing not in EXISTING:
            raise ValueError(
                f'Existing captions "{self.existing}": give one of {", ".join(EXISTING)}.'
            )

    def wants_tagger(self, path: Path, existing: str, written: str | None = None) -> bool:
        """Can a tagger's answer change this picture's caption? written: as in `caption_of`."""
        return self._wants("tagger", path, existing, written)

    def wants_text(self, path: Path, existing: str, written: str | None = None) -> bool:
        """Can a text about this picture change its caption, if no tagger has words for it?"""
        return self._wants("texts", path, existing, written)

    def _wants(self, source: str, path: Path, existing: str, written: str | None) -> bool:
        if source not in self.sources or (self.existing == "keep" and existing):
            return False
        earlier = self.sources[: self.sources.index(source)]
        return not caption_of(
            path,
            sources=earlier,
            fixed=self.fixed,
            name_words=self.name_words,
            written=written,
        )

    def caption(
        self,
        path: Path,
        existing: str = "",
        tagged: str = "",
        written: str | None = None,
        given: str = "",
    ) -> str:
        new = caption_of(
            path,
            sources=self.sources,
            fixed=self.fixed,
            name_words=self.name_words,
            tagged=tagged,
            written=written,
            given=given,
        )
        words = combine(new, one_line(existing), self.existing, self.joint)
        return one_line(with_trigger(edit_caption(words, self.edits), self.trigger))


def read_sources(text: str) -> tuple[str, ...]:
    """The sources in a text such as "tagger, file name". Raises ValueError naming unknown ones."""
    names = tuple(" ".join(part.lower().split()) for part in read_list(visible_text(text)))
    unknown = [name for name in names if name not in SOURCES]
    if unknown or not names:
        listed = ", ".join(SOURCES)
        what = f'"{", ".join(unknown)}" is none' if unknown else "it is empty"
        raise ValueError(f'Order of sources "{text}": {what}. Sources are: {listed}.')
    return names


def one_line(text: str) -> str:
    """The text as one line: tags separated by commas (see tags.with_commas), words by single
    blanks, without control characters and broken characters."""
    text = with_commas(text)
    if not text.isprintable():
        text = "".join(
            " " if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") else letter
            for letter in text.replace("\ufeff", "")
        )
    return " ".join(text.split())


def sidecar(path: Path) -> str:
    """The text of the picture's sidecar; "" if it has none, or one in an unknown encoding.

    Raises ValueError if it cannot be read, or is too long for a caption.
    """
    try:
        names = [entry.name for entry in os.scandir(path.parent) if entry.is_file()]
    except OSError:
        return ""
    captions = [name for name in names if suffix_of(name) in SIDECARS]
    beside = sidecars_among([path.name], captions).get(path.name, [])
    texts = (recognise(read_sidecar(path.with_name(name))) for name in beside)
    return next((text.words for text in texts if text and text.words.strip()), "")


def sidecars_among(pictures: Iterable[str], captions: Iterable[str]) -> dict[str, list[str]]:
    """The caption files of each picture that has any, in order of precedence.

    The order is fox.txt, fox.TXT, fox.caption. Only if there are none of these, Fox.txt and then
    fox.png.txt, as downloaders write it, are looked for.
    """
    known = Stems(captions)
    found = {}
    for picture in pictures:
        if names := known.find(stem_of(picture)) or known.find(picture):
            found[picture] = sorted(names, key=rank) if len(names) > 1 else names
    return found


def rank(name: str) -> tuple[int, bool, str]:
    return SIDECARS.index(suffix_of(name)), not name.endswith(SIDECARS), name


def read_sidecar(file: Path) -> bytes:
    """The file's bytes. Raises ValueError if it cannot be read, or is too long for a caption."""
    try:
        size = file.stat().st_size
        written = file.read_bytes() if size <= LONGEST_SIDECAR else b""
    except OSError as fault:
        raise ValueError(
            f'Caption file "{file}" cannot be read: {fault.strerror or fault}. Make it '
            "readable, or move it away."
        ) from fault
    if size > LONGEST_SIDECAR:
        raise ValueError(
            f'Caption file "{file}" has {size} bytes, and a caption is a line of words. '
            "Shorten it, or move it away."
        )
    return written


def words_of_folder(path: Path) -> str:
    """The concept in a folder name of kohya's kind: "10_red_fox/1.png" gives "red fox"."""
    return re.sub(r"^\d+_", "", path.parent.name).replace("_", " ").strip()


def combine(new: str, existing: str, action: str, joint: str = ", ") -> str:
    """Combine a new caption with the existing one. The actions are A1111's.

    ignore: only the new one. keep: the existing one if there is one. replace: the new one if there
    is one. prepend: the existing one goes first. append: it goes last. Doing it twice changes
    nothing more, and joined by commas, tags in both appear once. A1111's joint is a blank.
    """
    if action == "ignore":
        return new
    if not (new and existing):
        return new or existing
    if action in ("keep", "replace"):
        return existing if action == "keep" else new
    if action == "prepend":
        first, second, done = existing, new, existing.endswith(joint + new)
    else:
        first, second, done = new, existing, existing.startswith(new + joint)
    if done:
        return existing
    if "," in joint:
        said = set(split_tags(first))
        second = ", ".join(tag for tag in split_tags(second) if tag not in said)
    return first + joint + second if second else first


def write_sidecar(picture: Path, caption: str) -> Path | None:
    """Write the caption to `name.txt` beside the picture.

    Returns the file, or None if it already says that. An earlier text is kept as `name.txt.bak`,
    `name.txt.bak2` and so on; a `name.caption` is not touched. Raises ValueError if the file cannot
    be written.
    """
    beside = picture.with_suffix(SIDECARS[0])
    try:
        if beside.is_file():
            before = beside.read_bytes()
            if one_line(decode(before)) == caption:
                return None
            keep_copy(beside, before)
        write_whole(beside, lambda file: file.write(f"{caption}\n".encode()))
    except OSError as fault:
        raise ValueError(
            f'Caption file "{beside}" cannot be written: {fault.strerror or fault}. Nothing in it '
            'was changed. Make room and permit it, or set write_sidecars to "never".'
        ) from fault
    return beside


def keep_copy(file: Path, content: bytes) -> None:
    """Keep the content as a backup of the file, unless a backup already has it."""
    number = 1
    while (kept := file.with_name(f"{file.name}.bak{number if number > 1 else ''}")).exists():
        if kept.read_bytes() == content:
            return
        number += 1
    write_whole(kept, lambda out: out.write(content), overwrite=False)
