"""Draws previews with the host's sampler while a network is being trained.

Drawing does not affect training, because training's random numbers follow from seed and step. The
network is the one that learns, in eval mode. The file contains A1111's `parameters` text, which
other programs read, and the graph as in ComfyUI's own pictures: a preview that is dropped on the
canvas opens it.
"""

import json
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
from torch import Tensor

from hypernet.network.hypernetwork import Hypernetwork
from hypernet.runs.preview_files import key_of

from .... import compat
from ....compat import Conditioning, Model, Vae
from ..encoders import leave
from ..material import EncodedPrompt
from .settings import PreviewPrompt, PreviewSettings


@dataclass(frozen=True, kw_only=True)
class Row:
    """A prompt of the previews, encoded. shown: without anything left open but the caption.

    words: one for each step that may have a preview, or one for all.
    """

    shown: PreviewPrompt
    words: list[EncodedPrompt]
    negative: Conditioning

    def key(self, model: str = "") -> str:
        """Identifies the prompt and how it is drawn. model: also with which model."""
        return key_of(asdict(self.shown) | {"control": None, "line": None, "model": model})


@dataclass(frozen=True, kw_only=True)
class Previewer:
    """Draws previews. All prompts were encoded before CLIP left the device.

    steps: those that may have a preview, ascending. rows: a grid's; the first is the preview.
    model_hash: identifies the model without the network.
    """

    settings: PreviewSettings
    model: Model
    vae: Vae
    encoders: str  # where the VAE goes after each picture, see encoders.py
    steps: list[int]
    rows: list[Row]
    model_hash: str = ""
    graph: Mapping[str, object] = field(default_factory=dict)  # "prompt", "workflow"

    @property
    def first(self) -> Row:
        return self.rows[0]

    def words_after(self, step: int, row: Row) -> EncodedPrompt:
        """The prompt of this step, or of the next that has one: a schedule may end early."""
        place = bisect_left(self.steps, step)
        return row.words[min(place, len(row.words) - 1)]

    def draw(self, network: Hypernetwork | None, row: Row, step: int) -> Tensor:
        """An IMAGE (1, H, W, 3), for None without a network. The VAE is loaded for it."""
        model = self.model if network is None else with_network(self.model, network)
        wanted = row.shown
        try:
            return compat.generate(
                model, self.vae, self.words_after(step, row).conditioning, row.negative,
                width=wanted.width, height=wanted.height,
                seed=wanted.seed, steps=wanted.steps, cfg=wanted.cfg,
            )  # fmt: skip
        finally:
            leave(self.encoders, self.vae)

    def texts(
        self, network: Hypernetwork | None, row: Row, step: int, picture: Tensor
    ) -> dict[str, str]:
        """The PNG's texts: `parameters` as A1111 writes it, `hypernet` as JSON, and the graph."""
        wanted, words = row.shown, self.words_after(step, row)
        _, height, width, _ = picture.shape
        lines = [words.text]
        if wanted.negative:
            lines.append(f"Negative prompt: {wanted.negative}")
        drawn = (
            f"Steps: {wanted.steps}, Sampler: Euler, CFG scale: {wanted.cfg:g}, "
            f"Seed: {wanted.seed}, Size: {width}x{height}"
        )
        about: dict[str, object] = {}
        if network is not None:
            about = {"name": network.record.name, "step": network.record.step}
            drawn += f", Hypernet: {about['name']}, Hypernet step: {about['step']}"
        about |= {
            "prompt": words.text, "negative": wanted.negative, "seed": wanted.seed,
            "steps": wanted.steps, "cfg": wanted.cfg,
        }  # fmt: skip
        texts = {
            "parameters": "\n".join([*lines, drawn]),
            "hypernet": json.dumps(about, ensure_ascii=False),
        }
        return self.graph_texts() | texts

    def graph_texts(self) -> dict[str, str]:
        return {name: json.dumps(part) for name, part in self.graph.items()}


def with_network(model, network: Hypernetwork):
    """The model with the network applied at strength 1."""
    from ...use.apply import ApplyHypernet

    return ApplyHypernet.execute(model, network, 1.0)[0]


def as_pixels(picture: Tensor) -> np.ndarray:
    """The first picture of an IMAGE as (H, W, 3) uint8."""
    return (picture[0].clamp(0, 1) * 255).round().byte().cpu().numpy()
