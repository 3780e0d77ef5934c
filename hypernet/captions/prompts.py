"""Prompts of training steps: templates, shuffled and dropped tags, all by counting.

A template such as "a picture of [filewords], art by [name]" makes the prompt: [filewords] is
replaced first, then [name], as A1111 does. Which template, which order of tags and which tags are
missing follows from (seed, sample) alone, so a resumed run sees what the unbroken one would have.

Shuffling could make any number of prompts, and each one costs a run of the text encoder and a few
hundred kilobytes. So every caption has a pool of `variants` forms, drawn once, and a sample shows
one of them: all prompts are known, and encoded, before training begins.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..seeding import seed_for
from ..text.encodings import recognise
from .tags import split_tags

TEMPLATE = "[filewords]"
PLACES = {
    "[filewords]": re.compile(r"[\[［【{(<（]\s*file[ _]?words?\s*[\]］】})>）]", re.IGNORECASE),
    "[name]": re.compile(r"[\[［【]\s*name\s*[\]］】]", re.IGNORECASE),
}
LONGEST_FILE = 256 * 1024  # bytes of templates


@dataclass(frozen=True, kw_only=True)
class Words:
    """How captions become prompts. Shown as widgets by the node, saved with the run.

    keep_first: tags at the front that are neither moved nor dropped (kohya's keep_tokens).
    tag_dropout: how likely every other tag is to be missing. caption_dropout: how likely the whole
    prompt is to be empty. variants: forms that one caption can take.
    Raises ValueError with every fault found, in one message.
    """

    templates: tuple[str, ...] = (TEMPLATE,)
    shuffle: bool = False
    keep_first: int = 0
    tag_dropout: float = 0.0
    caption_dropout: float = 0.0
    variants: int = 16

    def __post_init__(self) -> None:
        faults = [
            f"{name} {getattr(self, name)}: give 0 to 1."
            for name in ("tag_dropout", "caption_dropout")
            if not 0 <= getattr(self, name) <= 1
        ]
        if self.keep_first < 0:
            faults.append(f"keep_first {self.keep_first}: give 0 or more.")
        if self.variants < 1:
            faults.append(f"variants {self.variants}: give at least 1.")
        if not self.templates:
            faults.append("There are no templates: give at least one, such as [filewords].")
        if faults:
            raise ValueError(" ".join(faults))

    @property
    def pool(self) -> int:
        """Forms that a caption really takes."""
        return self.variants if self.shuffle or self.tag_dropout else 1


AS_CAPTIONED = Words()


def prompt_at(words: Words, caption: str, name: str, seed: int, sample: int) -> str:
    """The prompt of the sample-th picture shown since the beginning."""
    if happens(words.caption_dropout, seed, "caption dropout", sample):
        return ""
    template = template_at(words.templates, seed, sample)
    variant = seed_for(seed, "variant", sample) % words.pool
    return prompt_of(template, variant_of(words, caption, seed, variant), name)


def every_prompt(words: Words, caption: str, name: str, seed: int) -> Iterator[str]:
    """All that prompt_at can give for this caption, with repetitions."""
    if words.caption_dropout:
        yield ""
    for variant in range(words.pool):
        text = variant_of(words, caption, seed, variant)
        for template in words.templates:
            yield prompt_of(template, text, name)


def variant_of(words: Words, caption: str, seed: int, variant: int) -> str:
    """One form of the caption; it depends on its words, not on where its picture is."""
    if words.pool == 1:
        return caption
    tags = split_tags(caption)
    first, rest = tags[: words.keep_first], tags[words.keep_first :]
    chance = random.Random(seed_for(seed, f"tags of {caption}", variant))
    rest = [tag for tag in rest if chance.random() >= words.tag_dropout]
    if words.shuffle:
        chance.shuffle(rest)
    return ", ".join([*first, *rest])


def happens(rate: float, seed: int, purpose: str, sample: int) -> bool:
    return seed_for(seed, purpose, sample) < rate * 2**63


def prompt_of(template: str, caption: str, name: str) -> str:
    return template.replace("[filewords]", caption).replace("[name]", name)


def template_at(templates: tuple[str, ...], seed: int, sample: int) -> str:
    """The template of the sample-th picture shown since the beginning."""
    return templates[seed_for(seed, "template", sample) % len(templates)]


def read_templates(text: str) -> tuple[str, ...]:
    """One template per line, as in A1111's files; lines that begin with # and empty lines do not
    count. The plain caption if there are none. [ FileWords ] and ［name］ are read as meant."""
    lines = [line.strip() for line in text.splitlines()]
    for place, pattern in PLACES.items():
        lines = [pattern.sub(place, line) for line in lines]
    return tuple(line for line in lines if line and not line.startswith("#")) or (TEMPLATE,)


def open_templates(file: Path) -> tuple[str, ...]:
    """Raises ValueError, with the path, for a file that is not there, unreadable or no text."""
    try:
        if file.stat().st_size > LONGEST_FILE:
            raise ValueError(f'Template file "{file}" is too long: give a text, one prompt a line.')
        written = file.read_bytes()
    except OSError as fault:
        raise ValueError(
            f'Template file "{file}" cannot be read: {fault.strerror or fault}. Give a file inside '
            "the input directory, or the full path of one, such as A1111's "
            "textual_inversion_templates/style_filewords.txt."
        ) from fault
    text = recognise(written)
    if text is None:
        raise ValueError(
            f'Template file "{file}" is in no encoding that is known for sure. Save it as UTF-8.'
        )
    return read_templates(text.words)
