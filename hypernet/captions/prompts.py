"""Makes the prompt of every training sample: templates, shuffled tags, dropped tags.

In a template such as "a picture of [filewords], art by [name]", [filewords] is replaced first, then
[name], as in A1111. The template, the order of tags and the dropped tags depend only on
(seed, sample), so a resumed run sees the same prompts as an uninterrupted one.

Free shuffling would give an unlimited number of prompts, and each costs a run of the text encoder
and a few hundred kilobytes. Instead every caption has `variants` fixed forms, and each sample uses
one of them. So all prompts are known, and encoded, before training begins.
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
    """How captions become prompts. The node shows these as widgets; they are saved with the run.

    keep_first: number of tags at the front that are neither moved nor dropped (kohya's
    keep_tokens). tag_dropout: chance that each other tag is dropped. caption_dropout: chance that
    the whole prompt is empty. variants: number of forms of each caption.
    Raises ValueError with all faults in one message.
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
        """The number of forms that a caption actually has: 1 if nothing is shuffled or dropped."""
        return self.variants if self.shuffle or self.tag_dropout else 1


AS_CAPTIONED = Words()


def prompt_at(words: Words, caption: str, name: str, seed: int, sample: int) -> str:
    """The prompt for a sample. sample: how many pictures were shown before it in the whole run."""
    if is_drawn(words.caption_dropout, seed, "caption dropout", sample):
        return ""
    template = template_at(words.templates, seed, sample)
    variant = seed_for(seed, "variant", sample) % words.pool
    return prompt_of(template, variant_of(words, caption, seed, variant), name)


def every_prompt(words: Words, caption: str, name: str, seed: int) -> Iterator[str]:
    """All prompts that `prompt_at` can give for this caption; some may repeat."""
    if words.caption_dropout:
        yield ""
    for variant in range(words.pool):
        text = variant_of(words, caption, seed, variant)
        for template in words.templates:
            yield prompt_of(template, text, name)


def variant_of(words: Words, caption: str, seed: int, variant: int) -> str:
    """One form of the caption. It depends on the text, not on the picture's place in the folder."""
    if words.pool == 1:
        return caption
    tags = split_tags(caption)
    first, rest = tags[: words.keep_first], tags[words.keep_first :]
    chance = random.Random(seed_for(seed, f"tags of {caption}", variant))
    rest = [tag for tag in rest if chance.random() >= words.tag_dropout]
    if words.shuffle:
        chance.shuffle(rest)
    return ", ".join([*first, *rest])


def is_drawn(rate: float, seed: int, purpose: str, sample: int) -> bool:
    return seed_for(seed, purpose, sample) < rate * 2**63


def prompt_of(template: str, caption: str, name: str) -> str:
    return template.replace("[filewords]", caption).replace("[name]", name)


def template_at(templates: tuple[str, ...], seed: int, sample: int) -> str:
    """The template for a sample, counted as in `prompt_at`."""
    return templates[seed_for(seed, "template", sample) % len(templates)]


def read_templates(text: str) -> tuple[str, ...]:
    """Read one template per line, as in A1111's files; [ FileWords ] and ［name］ are accepted too.

    Empty lines and lines that begin with # are skipped. Without any template, the prompt is the
    plain caption.
    """
    lines = [line.strip() for line in text.splitlines()]
    for place, pattern in PLACES.items():
        lines = [pattern.sub(place, line) for line in lines]
    return tuple(line for line in lines if line and not line.startswith("#")) or (TEMPLATE,)


def open_templates(file: Path) -> tuple[str, ...]:
    """Read a template file. Raises ValueError with the path if it is missing or no text."""
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
