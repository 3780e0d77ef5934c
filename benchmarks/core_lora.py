"""Core ComfyUI's Train LoRA as a way to teach a style, where COMFYUI_DIR names a ComfyUI.

It learns in ComfyUI's interpreter (lora_in_comfyui.py) from the same pictures and texts, but with
its own batches and noise. It has no schedule and no offset of the noise.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from hypernet_pack.compat.standalone.model.lora import with_lora
from hypernet_pack.compat.standalone.model.patched_model import UNET_PREFIX, Model
from safetensors.torch import load_file, save_file
from torch import Tensor

from . import in_comfyui
from .acting import switched_at

HERE = Path(__file__).resolve().parent


def learn(
    settings: Mapping[str, Any], latents: Tensor, texts: Tensor
) -> tuple[dict[str, Tensor], float]:
    """(the LoRA, seconds). settings: inputs of the node. latents (N, c, h, w), texts (N, T, C)."""
    with tempfile.TemporaryDirectory() as place:
        material, result = Path(place) / "material.pt", Path(place) / "lora.safetensors"
        torch.save({"latents": latents, "texts": texts, "settings": dict(settings)}, material)
        seconds = in_comfyui.result_of("lora_in_comfyui.py", HERE.parent, material, result)
        return load_file(result), seconds


@contextmanager
def applied(
    lora: Mapping[str, Tensor], strength: float, model: Model, start: float
) -> Iterator[Model]:
    """Inside the block, the model's weights have the LoRA from this part of sampling on."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "lora.safetensors"
        save_file(dict(lora), file)
        styled = with_lora(model, file, strength)
    names = [key.removeprefix(UNET_PREFIX) for key in styled.patches]
    weights = {name: model.module.get_parameter(name) for name in names}
    plain = {name: weight.data for name, weight in weights.items()}
    changed = {name: styled.changed_weight(name).to(plain[name].dtype) for name in names}

    def choose(acts: bool) -> None:
        for name, weight in weights.items():
            weight.data = (changed if acts else plain)[name]

    try:
        with switched_at(model, start, choose):
            yield model
    finally:
        choose(False)
