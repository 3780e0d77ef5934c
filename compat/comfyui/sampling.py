"""Generates a picture with ComfyUI's own sampler."""

from __future__ import annotations

from typing import TYPE_CHECKING

import comfy.model_management as management
import comfy.sample
import torch
from torch import Tensor

from ..sockets import Conditioning
from .model import pixels_per_latent
from .ordinary_tensors import ordinary

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher
    from comfy.sd import VAE


@torch.inference_mode()
def generate(
    model: ModelPatcher,
    vae: VAE,
    positive: Conditioning,
    negative: Conditioning,
    *,
    width: int,
    height: int,
    seed: int,
    steps: int,
    cfg: float,
) -> Tensor:
    """One picture (1, height, width, 3), by the sampler euler on the normal schedule."""
    pixels = pixels_per_latent(model)
    rows, columns = height // pixels, width // pixels
    empty = torch.zeros(1, 4, rows, columns, device=management.intermediate_device())
    empty = comfy.sample.fix_empty_latent_channels(model, empty)
    latent = comfy.sample.sample(
        model,
        comfy.sample.prepare_noise(empty, seed),
        steps,
        cfg,
        "euler",
        "normal",
        positive,
        negative,
        empty,
        disable_pbar=True,
        seed=seed,
    )
    pictures = vae.decode(latent).float()
    if pictures.ndim == 5:  # of a video model: (1, frames, height, width, 3)
        pictures = pictures[:, 0]
    return ordinary(pictures)
