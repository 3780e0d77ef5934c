"""Captions from texts that another program wrote: one for each picture, as a chat model answers.

Chat models talk around a caption: "Sure! Here is a caption:", quotes, thoughts, end marks. What is
surely talk is taken away, and the report quotes it. A refusal counts as no words at all. What looks
like words about the picture stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..text.lists_of_names import some

THOUGHTS = re.compile(
    r"\A.*</think(?:ing)?>|<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE
)
MARKS = re.compile(r"<\|[^|<>\n]{1,40}\|>|</?s>|<(?:start_of_turn|end_of_turn|bos|eos|pad)>|\*\*")
TALK = (
    r"(?:sure(?:\sthing)?|certainly|of\scourse|absolutely|okay|ok)\s*[!,.](?:\s|\Z)",
    r"here(?:['’]s|\sis|\sare)\b[^\n:]{0,80}:",
    r"(?:caption|description|prompt|tags)\s*:",
    r"(?:好的|当然可以|当然)\s*[,，!！。]",
    r"(?:以下|下面|这)是[^\n:：]{0,40}[:：]",
    r"(?:描述|标签|提示词)\s*[:：]",
)
OPENING = re.compile(rf"\A\s*(?:{'|'.join(TALK)})\s*", re.IGNORECASE)
SORRY = (
    r"i(?:['’]?m|\sam)\s(?:very\s)?sorry\b",
    r"sorry,\s",
    r"i\scan(?:not|['’]t)\s",
    r"i(?:['’]m|\sam)\s(?:unable|not\sable)\b",
    r"as\san\sai\b",
    r"很?抱歉|对不起|我无法",
)
REFUSAL = re.compile(rf"\A\s*(?:{'|'.join(SORRY)})", re.IGNORECASE)
QUOTES = (("```", "```"), ('"', '"'), ("“", "”"), ("'", "'"), ("`", "`"))


class Answer(NamedTuple):
    """words: about the picture, "" if there are none. talk: what was taken away in front."""

    words: str
    talk: str = ""


def read_answer(text: str) -> Answer:
    """The words of one text. A refusal has none, and is the talk."""
    text = MARKS.sub("", THOUGHTS.sub("", text)).strip()
    talk = ""
    while match := OPENING.match(text):
        talk += match[0]
        text = text[match.end() :]
    if REFUSAL.match(text):
        return Answer("", talk + text)
    return Answer(unquoted(text), talk.strip())


def unquoted(text: str) -> str:
    """The text without one pair of quotes around all of it."""
    for first, last in QUOTES:
        inner = text.removeprefix(first).removesuffix(last)
        if len(inner) == len(text) - len(first + last) and last not in inner:
            return inner.strip()
    return text


def by_picture(pictures: Sequence[Path], texts: Sequence[str]) -> dict[Path, str]:
    """The text of each picture. Raises ValueError if there are not as many texts as pictures."""
    if len(texts) != len(pictures):
        raise ValueError(
            f"There are {len(texts)} texts for {len(pictures)} pictures. Ask for one text about "
            "each picture that Dataset Pictures gives, of the dataset that Caption gets."
        )
    return dict(zip(pictures, texts, strict=True))


def notes_on(answers: Mapping[Path, Answer]) -> list[str]:
    """Sentences about texts without words, and about what was taken away from others."""
    silent = [path.name for path, answer in answers.items() if not answer.words]
    cut = [answer.talk for answer in answers.values() if answer.words and answer.talk]
    notes = []
    if silent:
        notes.append(f"The texts say nothing about {len(silent)} pictures: {some(silent)}.")
    if cut:
        notes.append(f'{len(cut)} texts began with talk that was cut off, such as "{cut[0]}".')
    return notes
