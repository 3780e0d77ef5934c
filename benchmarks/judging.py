"""Draws with a trained model and lets the demo's judges look at the pictures.

style: how much a picture looks like the style, 0 to 1. content: how often it shows what was asked
for. Both on names that training never saw. drift: how far pictures of other kinds of things moved,
in the features of the content judge. 1 is as far as from one thing to another. content_others: how
often those still show what was asked for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from hypernet_pack.compat.standalone.model.patched_model import Model
from torch import Tensor

from demo.drawing import draw
from demo.judges import Judges, seen

HERE = Path(__file__).resolve().parent
NAMES = {
    "held out": HERE.parent / "demo" / "held_out" / "names.json",
    "others": HERE / "others.json",
}


@dataclass(frozen=True, kw_only=True)
class Look:
    model: Model
    clip: object
    vae: object
    cfg: float = 3.0
    steps: int = 12
    sampler: str = "dpmpp_2m"
    seed: int = 1

    @cached_property
    def asked(self) -> list[dict]:
        return [each for part in NAMES for each in read(part)]

    def draw(self, model: Model) -> Tensor:
        prompts = [each["caption"] for each in self.asked]
        return draw(
            model,
            self.clip,
            self.vae,
            prompts,
            seed=self.seed,
            cfg=self.cfg,
            steps=self.steps,
            sampler=self.sampler,
            batch=64,
        )

    @cached_property
    def plain(self) -> Tensor:
        """The pictures of the bare model."""
        return self.draw(self.model)


def read(part: str) -> list[dict]:
    return json.loads(NAMES[part].read_text("utf-8"))


def held_out() -> list[dict]:
    return read("held out")


@torch.no_grad()
def features(judges: Judges, pictures: Tensor) -> Tensor:
    small = seen(pictures)
    judge = judges.content_judge
    return (judge.features(small) + judge.features(small.flip(-1))) / 2


def scores(judges: Judges, look: Look, pictures: Tensor) -> dict[str, float]:
    ours = len(held_out())
    wanted = [each["subcategory"] for each in look.asked]
    right = [f == a for f, a in zip(judges.subcategory(pictures), wanted, strict=True)]
    now, before = (features(judges, p[ours:]) for p in (pictures, look.plain))
    apart = torch.pdist(before).mean()
    return {
        "style": float(judges.style(pictures[:ours]).mean()),
        "content": sum(right[:ours]) / ours,
        "drift": float((now - before).norm(dim=1).mean() / apart),
        "content_others": sum(right[ours:]) / len(right[ours:]),
        "pixels": float((pictures[ours:] - look.plain[ours:]).abs().mean()),
    }
