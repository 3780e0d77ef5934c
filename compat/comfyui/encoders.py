"""Encodes pictures and texts with ComfyUI's VAE and CLIP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import comfy.model_management as management
import torch
from comfy.ldm.models.autoencoder import DiagonalGaussianRegularizer
from torch import Tensor

from ..prompt_entries import entries
from ..sockets import Conditioning
from .model import uncompiled
from .ordinary_tensors import ordinary

if TYPE_CHECKING:
    from comfy.latent_formats import LatentFormat
    from comfy.model_patcher import ModelPatcher
    from comfy.sd import CLIP, VAE


@torch.inference_mode()
def encode_pictures(vae: VAE, pictures: Tensor, model: ModelPatcher) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each latent, scaled as the model sees them.

    The scaling factor comes from the model's latent format. The VAE does not know it, because SD 1
    and SDXL have VAEs of the same architecture.
    """
    latent_format = model.get_model_object("latent_format")
    into = latent_format.process_in
    with _moments(vae) as moments:
        # one by one: a VAE for videos takes several pictures for the frames of one
        latents = [vae.encode(picture[None, ..., :3]) for picture in pictures]
    mean = torch.cat([_with_frames(each, latent_format) for each in latents]).float()
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
    samples = _with_frames(samples, latent_format)
    dimensions = 2 + latent_format.latent_dimensions
    if samples.ndim != dimensions or samples.shape[1] != channels:
        raise ValueError(
            f"a latent of shape {list(samples.shape)} is not of this model, which takes "
            f"[pictures, {channels}, rows, columns]. Encode with the VAE of the same checkpoint."
        )
    return ordinary(latent_format.process_in(samples.float()))


def _with_frames(latents: Tensor, latent_format: LatentFormat) -> Tensor:
    """Latents (B, c, h, w) as (B, c, 1, h, w) for a video model, and the other way round."""
    if latent_format.latent_dimensions == 3 and latents.ndim == 4:
        return latents.unsqueeze(2)
    if latent_format.latent_dimensions == 2 and latents.ndim == 5 and latents.shape[2] == 1:
        return latents.squeeze(2)
    return latents


@torch.inference_mode()
def encode_texts(
    clip: CLIP, texts: list[str], model: ModelPatcher | None = None
) -> list[dict[str, Tensor]]:
    found = [_read(conditioning(clip, text))[0] for text in texts]
    return _adapted(found, model)


@torch.inference_mode()
def conditioning(clip: CLIP, text: str) -> Conditioning:
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def read_conditioning(
    conditioning: Conditioning, model: ModelPatcher | None = None
) -> list[dict[str, Tensor]]:
    return _adapted(_read(conditioning), model)


def _read(conditioning: Conditioning) -> list[dict[str, Tensor]]:
    return [
        {key: ordinary(_in_full(value)) for key, value in entry.items()}
        for entry in entries(conditioning)
    ]


def _in_full(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor.long()


@torch.inference_mode()
def _adapted(texts: list[dict[str, Tensor]], model: ModelPatcher | None) -> list[dict[str, Tensor]]:
    """The texts after the model's own adapter, which would otherwise run in every step."""
    if model is None or not any("t5xxl_ids" in text for text in texts):
        return texts
    management.load_models_gpu([model])
    device, dtype = model.load_device, model.model.get_dtype_inference()
    network: Any = uncompiled(model.model.diffusion_model)  # Any: Anima's class, which has it
    adapt = network.preprocess_text_embeds
    found = []
    for text in texts:
        tokens, weights = text["t5xxl_ids"], text.get("t5xxl_weights")
        if weights is not None:
            weights = weights[None, :, None].to(device, dtype)
        context = text["context"][None].to(device, dtype)
        context = adapt(context, tokens[None].to(device), t5xxl_weights=weights)
        others = {key: each for key, each in text.items() if not key.startswith("t5xxl_")}
        found.append({**others, "context": ordinary(context[0].float())})
    return found
