"""Encodes prompts with CLIP as Stable Diffusion does: hidden states (1, T, C) and a pooled vector.

As in ComfyUI, `(word)` weights a word by 1.1 and `(word:1.3)` by 1.3, brackets nest, and `\\(` is a
plain bracket. A prompt longer than the model's length continues in a second chunk, so T is a
multiple of that length. A weight w moves a token away from the one at the same place of the empty
prompt: empty + w · (token − empty). `embedding:name` inserts vectors from a file; an embedding that
is missing or for another text model is left out and reported.

Stable Diffusion 1 uses the last layer of one text model, 2 the last but one. SDXL uses the last but
one of two text models, side by side and without the final norm, and the pooled vector of the
second.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from hypernet.text.names import Match

from .. import folders
from .embeddings import Mention, is_mention, mentions, read_embedding

log = logging.getLogger(__name__)

LONGEST_WORD = 8  # a segment of fewer tokens is never split between two chunks

PLACEHOLDER = 0  # the token that a vector replaces; any but the end token, at which CLIP pools

# (token, weight). The token is a number, or the vector (C,) of an embedding. None holds the place
# of a vector for another text model, so that all models split a prompt into the same chunks.
Token = tuple[int | Tensor | None, float]


@dataclass(frozen=True, kw_only=True)
class TextEncoder:
    """A CLIPTextModel of transformers, and which of its outputs are used."""

    # Any: releases of transformers differ in where its parts are, and give them no types
    module: Any
    padding: int  # the token that fills up a chunk
    layer: int = -1  # the layer whose output is used, counted from the end; −1 is the last
    final_norm: bool = True  # apply the final norm to that output
    projection: nn.Module | None = None  # applied to the pooled vector

    @property
    def width(self) -> int:
        return self.module.get_input_embeddings().weight.shape[1]

    def encode(self, tokens: list[Token], device: torch.device) -> tuple[Tensor, Tensor]:
        """Hidden states (1, T, C) and pooled vector (1, P) of one chunk, float32 on the CPU."""
        numbers = [each if isinstance(each, int) else PLACEHOLDER for each, _ in tokens]
        with self._vectors_of(tokens):
            found = self.module(
                input_ids=torch.tensor([numbers], device=device), output_hidden_states=True
            )
        text_model = getattr(self.module, "text_model", self.module)  # transformers before 5.6
        hidden = found.hidden_states[self._place(len(found.hidden_states))]
        hidden = text_model.final_layer_norm(hidden) if self.final_norm else hidden
        pooled = found.pooler_output
        pooled = pooled if self.projection is None else self.projection(pooled)
        return hidden.float().cpu(), pooled.float().cpu()

    @contextmanager
    def _vectors_of(self, tokens: list[Token]) -> Iterator[None]:
        """Inside the block, the model's token embedding returns the embeddings' vectors."""
        vectors = [(k, each) for k, (each, _) in enumerate(tokens) if isinstance(each, Tensor)]

        def put_in(module: nn.Module, given: tuple, looked_up: Tensor) -> Tensor:
            changed = looked_up.clone()
            for place, vector in vectors:
                changed[0, place] = vector.to(changed)
            return changed

        handle = self.module.get_input_embeddings().register_forward_hook(put_in)
        try:
            yield
        finally:
            handle.remove()

    def _place(self, states: int) -> int:
        """The index of the layer's output. As in ComfyUI, a layer too far back means the last."""
        return self.layer if -self.layer < states else -1


class Clip:
    """A tokenizer and the text models that read its tokens, ordered by width."""

    def __init__(
        self, tokenizer: Any, encoders: Sequence[TextEncoder], device: torch.device
    ) -> None:
        self.tokenizer = tokenizer
        self.encoders = tuple(encoders)
        self.load_device = device
        self._said: set[str] = set()
        self.length = self.encoders[0].module.config.max_position_embeddings
        parts = [part for each in encoders for part in (each.module, each.projection)]
        self.module = nn.ModuleList([part for part in parts if part is not None])

    def with_layer(self, layer: int) -> Clip:
        """The same models, read at this layer, counted from the end (clip skip)."""
        encoders = [replace(encoder, layer=layer) for encoder in self.encoders]
        return Clip(self.tokenizer, encoders, self.load_device)

    @torch.inference_mode(False)
    @torch.no_grad()
    def encode(self, text: str) -> tuple[Tensor, Tensor]:
        """Hidden states (1, T, C) of all models side by side, and the last one's pooled (1, P).

        Both are float32 on the CPU.
        """
        pieces = self._pieces(text)
        self.module.to(self.load_device)
        found = [self._encode(encoder, self._chunks(encoder, pieces)) for encoder in self.encoders]
        # an embedding may have more vectors for one of the models
        shortest = min(hidden.shape[1] for hidden, _ in found)
        return torch.cat([hidden[:, :shortest] for hidden, _ in found], dim=-1), found[-1][1]

    def _encode(self, encoder: TextEncoder, chunks: list[list[Token]]) -> tuple[Tensor, Tensor]:
        full = [self._filled(chunk, encoder.padding) for chunk in chunks]
        found = [encoder.encode(each, self.load_device) for each in full]
        hidden = torch.cat([hidden for hidden, _ in found], dim=1)
        weights = torch.tensor([weight for chunk in full for _, weight in chunk])
        if (weights != 1).any():
            empty, _ = encoder.encode(self._filled([], encoder.padding), self.load_device)
            hidden = torch.lerp(empty.repeat(1, len(full), 1), hidden, weights.view(1, -1, 1))
        return hidden, found[0][1]

    def _pieces(self, text: str) -> list[tuple[list[int] | list[Tensor], float]]:
        """The prompt in pieces, each with its weight.

        A piece is a list of token numbers, or an embedding's vectors: one tensor (n, C) for each
        text model that the embedding is for.
        """
        found: list[tuple[list[int] | list[Tensor], float]] = []
        for segment, weight in weigh(text):
            for piece in mentions(segment):
                if isinstance(piece, Mention):
                    found.append((self._vectors(piece), weight))
                else:
                    numbers = self.tokenizer(piece, add_special_tokens=False, verbose=False)
                    found.append((numbers.input_ids, weight))
        return found

    def _vectors(self, mention: Mention) -> list[Tensor]:
        """The vectors of an embedding for all text models; none, with a warning, if unusable."""
        if mention.path is None:
            near = difflib.get_close_matches(mention.name, folders.embedding_names(), 3, 0.4)
            hint = f" Near: {', '.join(near)}." if near else ""
            place = folders.models_folder() / "embeddings"
            self._say(f'"embedding:{mention.name}" is left out: no such file in {place}.{hint}')
            return []
        if mention.differs:
            self._say(Match(f"embedding:{mention.name}", mention.path.name, mention.differs).note)
        try:
            vectors = read_embedding(mention.path)
        except ValueError as fault:
            self._say(f'"embedding:{mention.name}" is left out: {fault}')
            return []
        widths = {each.shape[-1] for each in vectors}
        for missed in {encoder.width for encoder in self.encoders} - widths:
            self._say(
                f'"embedding:{mention.name}" is left out of the text model of width {missed}: '
                f"its vectors have the width {' and '.join(map(str, sorted(widths)))}."
            )
        return vectors

    def _say(self, sentence: str) -> None:
        """Log a warning only once, although there may be thousands of captions."""
        if sentence not in self._said:
            self._said.add(sentence)
            log.warning("%s", sentence)

    def _chunks(
        self, encoder: TextEncoder, pieces: list[tuple[list[int] | list[Tensor], float]]
    ) -> list[list[Token]]:
        """The prompt's tokens in one or more chunks, without start, end and padding."""
        room = self.length - 2  # without the start and end tokens
        chunks: list[list[Token]] = [[]]
        for piece, weight in pieces:
            tokens = [(each, weight) for each in _for_encoder(encoder, piece)]
            breaks = len(tokens) >= min(LONGEST_WORD, room)
            while len(tokens) > room - len(chunks[-1]):
                fitting = room - len(chunks[-1]) if breaks else 0
                chunks[-1] += tokens[:fitting]
                tokens = tokens[fitting:]
                chunks.append([])
            chunks[-1] += tokens
        return chunks

    def _filled(self, tokens: list[Token], padding: int) -> list[Token]:
        start, end = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        tokens = [each for each in tokens if each[0] is not None]
        filling = [(padding, 1.0)] * (self.length - 2 - len(tokens))
        return [(start, 1.0), *tokens, (end, 1.0), *filling]


def _for_encoder(
    encoder: TextEncoder, piece: list[int] | list[Tensor]
) -> list[int] | list[Tensor] | list[None]:
    """A piece of the prompt for one text model, which takes the vectors of its own width."""
    vectors = [each for each in piece if isinstance(each, Tensor)]
    if not vectors:
        return piece
    own = [each for each in vectors if each.shape[-1] == encoder.width]
    return list(own[0]) if own else [None] * max(len(each) for each in vectors)


def weigh(text: str) -> list[tuple[str, float]]:
    """The segments of a prompt with their weights: a 1, red 1.2, cat 1 for "a (red:1.2) cat"."""
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
    return [*segments, (text[start:], weight)]  # an unclosed bracket is plain text


def _weigh_inside(inside: str, weight: float) -> list[tuple[str, float]]:
    words, colon, number = inside.rpartition(":")
    if words and colon and not is_mention(words + colon):
        try:
            return _weigh_brackets(words, float(number))
        except ValueError:
            pass  # the colon belongs to the text
    return _weigh_brackets(inside, weight * 1.1)
