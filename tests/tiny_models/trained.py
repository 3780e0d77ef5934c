"""What a tiny transformer is trained with: a batch, and a network for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

import hypernet.diffusers
from hypernet import HypernetSpec
from hypernet.diffusers.velocities import LLAMA, inputs_of

from . import build

FAMILIES = (
    "flux", "chroma", "flux2", "sd3", "lumina2", "z_image", "qwen_image", "wan",
    "cosmos_predict2", "hidream", "krea2", "ernie",
)  # fmt: skip


def batch_for(
    name: str, samples: int = 1, tokens: int = 7
) -> tuple[nn.Module, tuple[Tensor, dict[str, Tensor]]]:
    """The model, and latents and texts for it, as its own class takes them."""
    model = build(name)[0]
    inputs, chance = inputs_of(model), torch.Generator().manual_seed(1)

    def random(*shape: int) -> Tensor:
        return torch.randn(samples, *shape, generator=chance)

    side = 4 * inputs.patch(model.config)
    frames = (1,) if inputs.has_frames else ()
    condition = {"context": random(tokens, inputs.context(model.config))}
    if inputs.pooled:
        condition["pooled"] = random(inputs.pooled(model.config))
    if name == "hidream":
        condition[LLAMA] = random(2, tokens, 24)
    return model, (random(inputs.channels(model.config), *frames, side, side), condition)


def spec_for(model: nn.Module, **changes: Any) -> HypernetSpec:
    given = {"activation": "relu", "weight_initialization": "XavierNormal", "seed": 1} | changes
    return replace(hypernet.diffusers.spec_for(model, **given), arithmetic="float32")
