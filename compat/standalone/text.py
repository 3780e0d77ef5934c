"""CLIP as Stable Diffusion 1.x uses it: a prompt becomes the last hidden state, (1, T, C).

As in ComfyUI, `(word)` weighs a word by 1.1, `(word:1.3)` by 1.3, brackets nest, `\\(` is a plain
bracket, and a prompt of more tokens than the model has places continues in a second chunk, which
makes T a multiple of the model's length. A weight w moves a token away from what the empty prompt
has in its place: empty + w · (token − empty). Embeddings (textual inversion) are left out.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

LONGEST_WORD = 8  # a segment of fewer tokens is not torn apart at the end of a chunk

Token = tuple[int, float]  # its number and its weight


class Clip:
    """A tokenizer and a CLIP text model of transformers."""

    def __init__(self, tokenizer: Any, text_model: nn.Module, device: torch.device) -> None:
        self.tokenizer = tokenizer
        self.module = text_model
        self.load_device = device
        self.length = text_model.config.max_position_embeddings

    @torch.inference_mode(False)
    @torch.no_grad()
    def encode(self, text: str) -> tuple[Tensor, Tensor]:
        """(last hidden state (1, T, C), pooled (1, C)), float32 on the CPU."""
        chunks = self._chunks(text)
        self.module.to(self.load_device)
        found = [self._encode_numbers([number for number, _ in chunk]) for chunk in chunks]
        hidden = torch.cat([hidden for hidden, _ in found], dim=1)
        weights = torch.tensor([weight for chunk in chunks for _, weight in chunk])
        if (weights != 1).any():
            empty, _ = self._encode_numbers([number for number, _ in self._padded([])])
            empty = empty.repeat(1, len(chunks), 1)
            hidden = torch.lerp(empty, hidden, weights.view(1, -1, 1))
        return hidden, found[0][1]

    def _encode_numbers(self, numbers: list[int]) -> tuple[Tensor, Tensor]:
        found = self.module(input_ids=torch.tensor([numbers], device=self.load_device))
        return found.last_hidden_state.float().cpu(), found.pooler_output.float().cpu()

    def _chunks(self, text: str) -> list[list[Token]]:
        """The prompt as one or more full chunks of tokens."""
        room = self.length - 2  # the first and the last place hold the start and the end
        chunks: list[list[Token]] = [[]]
        for segment, weight in weigh(text):
            numbers = self.tokenizer(segment, add_special_tokens=False, verbose=False).input_ids
            tokens = [(number, weight) for number in numbers]
            breaks = len(tokens) >= min(LONGEST_WORD, room)
            while len(tokens) > room - len(chunks[-1]):
                fitting = room - len(chunks[-1]) if breaks else 0
                chunks[-1] += tokens[:fitting]
                tokens = tokens[fitting:]
                chunks.append([])
            chunks[-1] += tokens
        return [self._padded(chunk) for chunk in chunks]

    def _padded(self, tokens: list[Token]) -> list[Token]:
        start, end, padding = (
            (number, 1.0)
            for number in (
                self.tokenizer.bos_token_id,
                self.tokenizer.eos_token_id,
                self.tokenizer.pad_token_id,
            )
        )
        return [start, *tokens, end] + [padding] * (self.length - 2 - len(tokens))


def weigh(text: str) -> list[tuple[str, float]]:
    """The segments of a prompt and their weights: "a (red:1.2) cat" -> a 1, red 1.2, cat 1."""
    hidden = text.replace("\\(", "\0<").replace("\\)", "\0>")
    segments = _weigh_brackets(hidden, 1.0)
    return [(s.replace("\0<", "(").replace("\0>", ")"), weight) for s, weight in segments if s]


def _weigh_brackets(text: str, weight: float) -> list[tuple[str, float]]:
    segments, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        if letter == "(":
            if depth == 0:
                segments.append((text[start:place], weight))
                start = place
            depth += 1
        elif letter == ")" and depth > 0:
            depth -= 1
            if depth == 0:
                segments += _weigh_inside(text[start + 1 : place], weight)
                start = place + 1
    return [*segments, (text[start:], weight)]  # a bracket that nobody closes is plain text


def _weigh_inside(inside: str, weight: float) -> list[tuple[str, float]]:
    words, colon, number = inside.rpartition(":")
    if words and colon:
        try:
            return _weigh_brackets(words, float(number))
        except ValueError:
            pass  # a colon that belongs to the text
    return _weigh_brackets(inside, weight * 1.1)
