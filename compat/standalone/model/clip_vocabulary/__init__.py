"""CLIP's tokenizer, which all Stable Diffusion models share and checkpoint files don't contain.

The vocabulary of 49,408 tokens follows from the list of merged byte pairs: every byte as a letter,
every byte as the end of a word, every merged pair, then the start and end marks.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import Any

END_OF_WORD = "</w>"
MARKS = ("<|startoftext|>", "<|endoftext|>")
MOST_TOKENS = 77


@cache
def clip_tokenizer() -> Any:
    """A CLIPTokenizer of transformers, 77 tokens long."""
    from transformers import CLIPTokenizer

    merges = [tuple(line.split()) for line in _lines()]
    letters = _letters()
    words = [*letters, *(letter + END_OF_WORD for letter in letters), *map("".join, merges), *MARKS]
    return CLIPTokenizer(
        vocab={word: number for number, word in enumerate(words)},
        merges=merges,  # pyright: ignore[reportArgumentType]  it takes pairs as well as strings
        model_max_length=MOST_TOKENS,
    )


def _lines() -> list[str]:
    with gzip.open(Path(__file__).with_name("merges.txt.gz"), "rt", encoding="utf-8") as file:
        return file.read().split("\n")


def _letters() -> list[str]:
    """How CLIP writes each byte, in its order.

    Printable bytes come first and stand for themselves; the others are letters from U+0100 on.
    """
    printing = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = 256 - len(printing)
    return [*map(chr, printing), *(chr(0x100 + place) for place in range(rest))]
