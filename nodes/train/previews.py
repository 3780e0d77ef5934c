"""Draws previews with the host's sampler while a network is being trained.

Drawing does not affect training, because training's random numbers follow from seed and step. The
network is the one that learns, in eval mode. The file contains A1111's `parameters` text, which
other programs read, and the graph as in ComfyUI's own pictures: a preview that is dropped on the
canvas opens it.
"""

import json
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from hypernet.apply.prompt_tags import take_out_tags
from hypernet.network.hypernetwork import Hypernetwork

from ... import compat
from ...compat import Conditioning, Model, Vae
from .encoders import leave
from .material import EncodedPrompt

MULTIPLE = 8  # pixels


@dataclass(frozen=True, kw_only=True)
class PreviewSettings:
    """How to draw previews.

    every: updates between previews; 0 for only one at the end. prompt: "" for the caption that is
    being learnt. Tags such as <hypernet:…> are taken out of prompts, as A1111 does for previews.
    seed: −1 for the training's. width, height: 0 for the training's.

    Raises ValueError with all faults in one message.
    """

    every: int = 0
    prompt: str = ""
    negative: str = ""
    seed: int = -1
    steps: int = 20
    cfg: float = 7.0
    width: int = 0
    height: int = 0
    taken_out: tuple[str, ...] = field(default=(), init=False)  # tags that were in the prompts

    def __post_init__(self) -> None:
        faults = [
            f"preview_{name} {getattr(self, name)}: give a multiple of {MULTIPLE} pixels, or 0 "
            "for the training size."
            for name in ("width", "height")
            if getattr(self, name) % MULTIPLE or getattr(self, name) < 0
        ]
        if self.every < 0:
            faults.append(f"preview_every {self.every}: give 0 (at the end alone) or more.")
        for name in ("prompt", "negative"):
            try:
                clean, tags = take_out_tags(getattr(self, name))
            except ValueError as fault:
                faults.append(f"preview_{name}: {fault}")
            else:
                object.__setattr__(self, name, clean)
                object.__setattr__(self, "taken_out", (*self.taken_out, *tags))
        if faults:
            raise ValueError(" ".join(faults))

    def is_due(self, done: int) -> bool:
        return self.every > 0 and done % self.every == 0


@dataclass(frozen=True, kw_only=True)
class Previewer:
    """Draws previews. words and negative were encoded before CLIP left the device.

    steps: those that may have a preview, ascending. words: a prompt for each, or one for all.
    """

    settings: PreviewSettings
    model: Model
    vae: Vae
    encoders: str  # where the VAE goes after each picture, see encoders.py
    steps: list[int]
    words: list[EncodedPrompt]
    negative: Conditioning
    size: tuple[int, int]
    seed: int
    graph: Mapping[str, object] = field(default_factory=dict)  # "prompt", "workflow"

    def words_after(self, step: int) -> EncodedPrompt:
        """The prompt of this step, or of the next that has one: a schedule may end early."""
        place = bisect_left(self.steps, step)
        return self.words[min(place, len(self.words) - 1)]

    def draw(self, network: Hypernetwork, words: EncodedPrompt) -> Tensor:
        """An IMAGE (1, H, W, 3). The VAE is loaded for it."""
        wanted = self.settings
        width, height = self.size
        try:
            return compat.generate(
                with_network(self.model, network), self.vae, words.conditioning, self.negative,
                width=wanted.width or width, height=wanted.height or height,
                seed=self.seed, steps=wanted.steps, cfg=wanted.cfg,
            )  # fmt: skip
        finally:
            leave(self.encoders, self.vae)

    def texts(self, network: Hypernetwork, words: EncodedPrompt, picture: Tensor) -> dict[str, str]:
        """The PNG's texts: `parameters` as A1111 writes it, `hypernet` as JSON, and the graph."""
        wanted, step, name = self.settings, network.record.step, network.record.name
        _, height, width, _ = picture.shape
        lines = [words.text]
        if wanted.negative:
            lines.append(f"Negative prompt: {wanted.negative}")
        lines.append(
            f"Steps: {wanted.steps}, Sampler: Euler, CFG scale: {wanted.cfg:g}, Seed: {self.seed}, "
            f"Size: {width}x{height}, Hypernet: {name}, Hypernet step: {step}"
        )
        about = {
            "name": name, "step": step, "prompt": words.text, "negative": wanted.negative,
            "seed": self.seed, "steps": wanted.steps, "cfg": wanted.cfg,
        }  # fmt: skip
        graph = {name: json.dumps(part) for name, part in self.graph.items()}
        texts = {"parameters": "\n".join(lines), "hypernet": json.dumps(about, ensure_ascii=False)}
        return graph | texts


def with_network(model, network: Hypernetwork):
    """The model with the network applied at strength 1."""
    from ..use.apply import ApplyHypernet

    return ApplyHypernet.execute(model, network, 1.0)[0]


def as_pixels(picture: Tensor) -> np.ndarray:
    """The first picture of an IMAGE as (H, W, 3) uint8."""
    return (picture[0].clamp(0, 1) * 255).round().byte().cpu().numpy()
