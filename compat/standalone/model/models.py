"""The contract's functions for the objects behind the sockets MODEL, CLIP and VAE.

Latents are unscaled in a LATENT socket and in `Vae`, as in ComfyUI. They are scaled by the model's
scaling factor for the UNet and in the contract's `encode_pictures`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hypernet.apply import patches
from hypernet.apply.effect import Effect
from hypernet.apply.fold import AttentionWeights, attention_names
from hypernet.diffusers.denoiser import denoiser as library_denoiser
from hypernet.encoding.unload import unload as unload_weights
from hypernet.families import take_census
from hypernet.formats.hns import Network
from hypernet.pictures.latent_size import PIXELS
from hypernet.training.diffusion import Denoiser

from ...prompt_entries import entries
from .patched_model import UNET_PREFIX, Model
from .sampling import Conditioning, sample
from .text import Clip
from .vae import Vae


@torch.inference_mode(False)
@torch.no_grad()
def encode_pictures(vae: Vae, pictures: Tensor, model: Model) -> tuple[Tensor, Tensor]:
    mean, std = vae.encode_distribution(pictures)
    into = model.model.process_latent_in
    return into(mean), into(std) - into(torch.zeros_like(std))


def encode_texts(
    clip: Clip, texts: list[str], model: Model | None = None
) -> list[dict[str, Tensor]]:
    return [read_conditioning(conditioning(clip, text), model)[0] for text in texts]


@torch.inference_mode(False)
@torch.no_grad()
def scale_latents(model: Model, samples: Tensor) -> Tensor:
    channels = model.module.config["in_channels"]
    if samples.ndim != 4 or samples.shape[1] != channels:
        raise ValueError(
            f"a latent of shape {list(samples.shape)} is not of this model, which takes "
            f"[pictures, {channels}, rows, columns]. Encode with the VAE of the same checkpoint."
        )
    return model.model.process_latent_in(samples.to("cpu", torch.float32, copy=True))


def conditioning(clip: Clip, text: str) -> Conditioning:
    context, pooled = clip.encode(text)
    return [[context, {"pooled_output": pooled}]]


@torch.inference_mode(False)
@torch.no_grad()
def read_conditioning(
    conditioning: Conditioning, model: Model | None = None
) -> list[dict[str, Tensor]]:
    return [
        {key: value.to("cpu", torch.float32, copy=True) for key, value in entry.items()}
        for entry in entries(conditioning)
    ]


@torch.inference_mode(False)
def release(*models: Model | Clip | Vae) -> None:
    for model in models:
        if isinstance(model, Model):
            model.move_to(torch.device("cpu"))
        else:
            model.module.to("cpu")
    free_memory()


def unload(folder: Path, *models: Clip | Vae) -> None:
    for model in models:
        unload_weights(model.module, folder)


def free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def attention_widths(model: Model) -> dict[str, tuple[int, ...]]:
    return patches.attention_widths(model.module)


def architecture(model: Model) -> str:
    return take_census(model.module).architecture


def pixels_per_latent(model: Model) -> int:
    return PIXELS


def with_network(model: Model, network: Network, effect: Effect) -> Model:
    patched = model.clone()
    attn1, attn2 = patches.make_patches(network, effect)
    patched.set_model_attn1_patch(attn1)
    patched.set_model_attn2_patch(attn2)
    return patched


def attention_weights(model: Model) -> Iterator[AttentionWeights]:
    for name in attention_names(dict(model.module.named_parameters())):
        yield AttentionWeights(
            name=name,
            keys=model.changed_weight(f"{name}.to_k.weight"),
            values=model.changed_weight(f"{name}.to_v.weight"),
            out=model.changed_weight(f"{name}.to_out.0.weight"),
            dtype=model.model_dtype(),
        )


def with_weight_changes(model: Model, changes: Mapping[str, Tensor]) -> Model:
    patches = {UNET_PREFIX + name: ("diff", (change,)) for name, change in changes.items()}
    patched = model.clone()
    missed = patches.keys() - set(patched.add_patches(patches))
    if missed:
        raise ValueError(f"this model has no weight {', '.join(sorted(missed))} to change.")
    return patched


def changes_of(model: Any) -> dict[str, Any]:
    """The changes of a Model's weights, and the layers at which a Clip is read."""
    layers = [encoder.layer for encoder in getattr(model, "encoders", ())]
    return {"patches": getattr(model, "patches", {}), "layers": layers}


def model_name(model: Model) -> str:
    return model.name


def model_file(model: Model) -> Path | None:
    return model.source


def prediction(model: Model) -> str:
    return model.model.model_sampling.prediction


@contextmanager
def denoiser(
    model: Model,
    *,
    dtype: torch.dtype | None = None,
    offload: bool = False,
    compiled: Callable[[str], object] | None = None,
) -> Iterator[Denoiser]:
    """Inside the block, inference mode is off, gradients are on and the UNet is frozen."""
    levels = model.model.model_sampling

    def options_at(timesteps: Tensor) -> dict[str, Any]:
        return {
            **model.model_options["transformer_options"],
            "sigmas": levels.sigma(timesteps),
            "cond_or_uncond": [0],
        }

    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        _staying_in_ram(model) if offload else nullcontext(),
        library_denoiser(
            model.module,
            levels.alphas_cumprod,
            levels.prediction,
            model.load_device,
            dtype=dtype,
            offload=offload,
            compiled=compiled,
            loaded=model.loaded,
            options_at=options_at,
        ) as opened,
    ):
        yield opened


@contextmanager
def _staying_in_ram(model: Model) -> Iterator[None]:
    """Inside the block, the model is in RAM and `loaded` leaves it there, for previews too."""
    model.move_to(torch.device("cpu"))
    model.model.stays_in_ram = True
    try:
        yield
    finally:
        model.model.stays_in_ram = False


def generate(
    model: Model,
    vae: Vae,
    positive: Conditioning,
    negative: Conditioning,
    *,
    width: int,
    height: int,
    seed: int,
    steps: int,
    cfg: float,
) -> Tensor:
    channels = vae.module.config.latent_channels
    empty = torch.zeros(1, channels, height // vae.downscale, width // vae.downscale)
    latent = sample(model, positive, negative, empty, seed=seed, steps=steps, cfg=cfg, shown=False)
    return vae.decode(latent)
