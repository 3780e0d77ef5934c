"""Encodes pictures and texts with ComfyUI's VAE and CLIP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from comfy.ldm.models.autoencoder import DiagonalGaussianRegularizer
from torch import Tensor

from ..prompt_entries import entries
from ..sockets import Conditioning
from .ordinary_tensors import ordinary

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher
    from comfy.sd import CLIP, VAE


@torch.inference_mode()
def encode_pictures(vae: VAE, pictures: Tensor, model: ModelPatcher) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each latent, scaled as the UNet sees them.

    The scaling factor comes from the UNet's latent format. The VAE does not know it, because SD 1
    and SDXL have VAEs of the same architecture.
    """
    into = model.get_model_object("latent_format").process_in
    with _moments(vae) as moments:
        mean = vae.encode(pictures[..., :3]).float()
    spread = torch.cat(moments).float().cpu() if moments else mean[:, :0]
    std = torch.zeros_like(mean)
    if spread.shape == (len(mean), 2 * mean.shape[1], *mean.shape[2:]):  # else encoded in tiles
        std = spread.chunk(2, dim=1)[1].clamp(-30, 20).div(2).exp().to(mean.device)
    return ordinary(into(mean)), ordinary(into(std) - into(torch.zeros_like(std)))


@contextmanager
def _moments(vae: VAE) -> Iterator[list[Tensor]]:
    """Inside, the list collects the moments of every picture that a KL VAE encodes.

    Moments are (B, 2·c, h, w): means, then logarithms of variances. `VAE.encode` returns only the
    means.
    """
    found: list[Tensor] = []
    told = getattr(vae.first_stage_model, "regularization", None)
    if told is None or not isinstance(told, DiagonalGaussianRegularizer):
        yield found
        return
    hook = told.register_forward_pre_hook(lambda module, given: found.append(given[0]))
    try:
        yield found
    finally:
        hook.remove()


@torch.inference_mode()
def scale_latents(model: ModelPatcher, samples: Tensor) -> Tensor:
    latent_format = model.get_model_object("latent_format")
    channels = latent_format.latent_channels
    if samples.ndim != 4 or samples.shape[1] != channels:
        raise ValueError(
            f"a latent of shape {list(samples.shape)} is not of this model, which takes "
            f"[pictures, {channels}, rows, columns]. Encode with the VAE of the same checkpoint."
        )
    return ordinary(latent_format.process_in(samples.float()))


@torch.inference_mode()
def encode_texts(clip: CLIP, texts: list[str]) -> list[dict[str, Tensor]]:
    return [read_conditioning(conditioning(clip, text))[0] for text in texts]


@torch.inference_mode()
def conditioning(clip: CLIP, text: str) -> Conditioning:
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def read_conditioning(conditioning: Conditioning) -> list[dict[str, Tensor]]:
    return [
        {key: ordinary(value.float()) for key, value in entry.items()}
        for entry in entries(conditioning)
    ]
