"""Words for pictures, and the sentences made of them while training.

A caption comes from the first source that has one: the sidecar file (`name.txt`, `name.caption`),
the file name, or a fixed text. A template such as "a picture of [filewords], art by [name]" makes
the prompt of a training step: [filewords] is replaced first, then [name], as A1111 does.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from .chance import seed_for

TEMPLATE = "[filewords]"
FILEWORDS = ("sidecar", "file name")
SOURCES = ("sidecar", "file name", "fixed text")
SIDECARS = (".txt", ".caption")  # the first that is there counts


def caption_of(path: Path, *, sources: tuple[str, ...], fixed: str = "") -> str:
    """The caption by the first source that gives one, "" if none does."""
    for source in sources:
        text = {
            "sidecar": lambda: sidecar(path),
            "file name": lambda: words_of_name(path),
            "fixed text": lambda: fixed,
        }[source]()
        if text.strip():
            return " ".join(text.split())
    return ""


def sidecar(path: Path) -> str:
    for suffix in SIDECARS:
        beside = path.with_suffix(suffix)
        if beside.is_file():
            return decode(beside.read_bytes())
    return ""


def decode(written: bytes) -> str:
    """Text as the editors of this world save it: UTF-8 or UTF-16 with or without a mark, else
    Windows' western letters, in which every byte means something."""
    if written.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return written.decode("utf-16", "replace")
    if b"\0" in written:
        little = written[1::2].count(0) >= written[::2].count(0)
        return written.decode("utf-16-le" if little else "utf-16-be", "replace")
    try:
        return written.decode("utf-8-sig")
    except UnicodeDecodeError:
        return written.decode("cp1252", "replace")


def words_of_name(path: Path) -> str:
    """The file name without suffix, without the leading number that tools put there, and with
    blanks for underscores."""
    return re.sub(r"^[-\d]+\s*", "", path.stem).replace("_", " ").strip()


def read_templates(text: str) -> tuple[str, ...]:
    """One template per line; lines that begin with # and empty lines do not count."""
    lines = [line.strip() for line in text.splitlines()]
    return tuple(line for line in lines if line and not line.startswith("#")) or (TEMPLATE,)


def prompt_of(template: str, caption: str, name: str) -> str:
    return template.replace("[filewords]", caption).replace("[name]", name)


def template_at(templates: tuple[str, ...], seed: int, sample: int) -> str:
    """The template of the sample-th picture shown since the beginning."""
    return templates[seed_for(seed, "template", sample) % len(templates)]
