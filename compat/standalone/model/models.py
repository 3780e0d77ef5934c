"""The contract's functions for the objects behind the sockets MODEL, CLIP and VAE.

Latents are unscaled in a LATENT socket and in `Vae`, as in ComfyUI. They are scaled by the model's
scaling factor for the UNet and in the contract's `encode_pictures`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hypernet.apply import patches
from hypernet.apply.effect import EXACT, Effect, arithmetic_on
from hypernet.apply.fold import AttentionWeights, attention_names
from hypernet.apply.fold_sites import SiteWeights, Target
from hypernet.apply.site_patches import SitePatch
from hypernet.apply.sites import Change
from hypernet.diffusers.denoiser import denoiser as unet_denoiser
from hypernet.diffusers.transformer import transformer_denoiser
from hypernet.encoding.unload import unload as unload_weights
from hypernet.families import take_census
from hypernet.formats.hns import Network
from hypernet.pictures.latent_size import PIXELS
from hypernet.training.diffusion import Denoiser

from ...prompt_entries import entries
from .flow import NAME, LatentFlow, patches_in
from .model_files.anima_text import TOKENS_OF_T5, AnimaText, adapted
from .patched_model import UNET_PREFIX, Model, RowChange
from .pipeline_text import PipelineText
from .sampling import Conditioning, DiscreteSampling, sample
from .text import Clip
from .vae import Vae


@torch.inference_mode(False)
@torch.no_grad()
def encode_pictures(vae: Vae, pictures: Tensor, model: Model) -> tuple[Tensor, Tensor]:
    mean, std = vae.encode_distribution(pictures)
    model.model.check_latents(mean)
    into = model.model.process_latent_in
    return into(mean), into(std) - into(torch.zeros_like(std))


def encode_texts(
    clip: Clip | PipelineText | AnimaText, texts: list[str], model: Model | None = None
) -> list[dict[str, Tensor]]:
    return [read_conditioning(conditioning(clip, text), model)[0] for text in texts]


@torch.inference_mode(False)
@torch.no_grad()
def scale_latents(model: Model, samples: Tensor) -> Tensor:
    model.model.check_latents(samples)
    return model.model.process_latent_in(samples.to("cpu", torch.float32, copy=True))


def conditioning(clip: Clip | PipelineText | AnimaText, text: str) -> Conditioning:
    if isinstance(clip, AnimaText):
        context, tokens = clip.encode(text)
        return [[context, {TOKENS_OF_T5: tokens}]]
    context, pooled = clip.encode(text)
    return [[context, {} if pooled is None else {"pooled_output": pooled}]]


@torch.inference_mode(False)
@torch.no_grad()
def read_conditioning(
    conditioning: Conditioning, model: Model | None = None
) -> list[dict[str, Tensor]]:
    if model is not None:
        conditioning = adapted(model, conditioning)
    return [
        {key: value.to("cpu", torch.float32, copy=True) for key, value in entry.items()}
        for entry in entries(conditioning)
    ]


@torch.inference_mode(False)
def release(*models: Model | Clip | PipelineText | AnimaText | Vae) -> None:
    for model in models:
        if isinstance(model, Model):
            model.move_to(torch.device("cpu"))
        else:
            model.module.to("cpu")
    free_memory()


def unload(folder: Path, *models: Clip | PipelineText | AnimaText | Vae) -> None:
    for model in models:
        unload_weights(model.module, folder)


def free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def attention_widths(model: Model) -> dict[str, tuple[int, ...]]:
    if isinstance(model.model, LatentFlow):
        return take_census(model.module).widths()
    return patches.attention_widths(model.module)


def architecture(model: Model) -> str:
    if isinstance(model.model, LatentFlow) and model.model.adapter is not None:
        return "anima"  # of the same class as Cosmos Predict2
    return take_census(model.module).architecture


def pixels_per_latent(model: Model) -> int:
    return model.model.form.pixels if isinstance(model.model, LatentFlow) else PIXELS


def with_network(model: Model, network: Network, effect: Effect, precision: str = EXACT) -> Model:
    patched = model.clone()
    dtype = arithmetic_on(model.model_dtype(), precision)
    if isinstance(model.model, LatentFlow):
        patched.set_model_patch(
            SitePatch(patches.PlacedWeights(network, dtype=dtype), effect), NAME
        )
        return patched
    attn1, attn2 = patches.make_patches(network, effect, dtype=dtype)
    patched.set_model_attn1_patch(attn1)
    patched.set_model_attn2_patch(attn2)
    return patched


def attention_weights(model: Model) -> Iterator[AttentionWeights | SiteWeights]:
    census = take_census(model.module)
    if census.architecture != "unet":
        known = dict(model.module.named_parameters())
        for site in census.sites:
            weight = model.changed_weight(f"{site.path}.weight")
            has_bias = f"{site.path}.bias" in known
            yield SiteWeights(site, weight, has_bias, model.model_dtype(), "transformer.")
        return
    for name in attention_names(dict(model.module.named_parameters())):
        yield AttentionWeights(
            name=name,
            keys=model.changed_weight(f"{name}.to_k.weight"),
            values=model.changed_weight(f"{name}.to_v.weight"),
            out=model.changed_weight(f"{name}.to_out.0.weight"),
            dtype=model.model_dtype(),
        )


def with_weight_changes(model: Model, changes: Mapping[Target, Tensor]) -> Model:
    patched = model.clone()
    of_rows = [target for target in changes if not isinstance(target, str)]
    for name, first in of_rows:  # a weight may have several, of different rows
        change = RowChange(changes[name, first], first)
        if not patched.add_patches({UNET_PREFIX + name: ("diff", (change,))}):
            raise ValueError(f"this model has no weight {name} to change.")
    patches = {
        UNET_PREFIX + name: ("diff", (change,))
        for name, change in changes.items()
        if isinstance(name, str)
    }
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
    swapped: int = 0,
    compiled: Callable[[str], object] | None = None,
) -> Iterator[Denoiser]:
    """Inside the block, inference mode is off, gradients are on and the UNet is frozen."""
    how = {
        "dtype": dtype, "swapped": swapped, "compiled": compiled, "loaded": model.loaded,
        "unpacked": model.changed_layers(),
    }  # fmt: skip
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        _staying_in_ram(model) if swapped else nullcontext(),
        (_flow if isinstance(model.model, LatentFlow) else _diffusion)(model, how) as opened,
    ):
        yield opened


def _diffusion(model: Model, how: dict[str, Any]) -> AbstractContextManager[Denoiser]:
    levels, unet = model.model.model_sampling, model.model.diffusion_model
    assert isinstance(levels, DiscreteSampling)
    where = model.load_device
    # there, because a number from elsewhere would wait for the card in every update
    sigmas = levels.sigma(torch.arange(len(levels.sigmas))).to(where)

    def options_at(timesteps: Tensor) -> dict[str, Any]:
        return _options(model, sigmas[timesteps])

    return unet_denoiser(
        unet, levels.alphas_cumprod, levels.prediction, where, options_at=options_at, **how
    )


def _flow(model: Model, how: dict[str, Any]) -> AbstractContextManager[Denoiser]:
    def changes_at(sigmas: Tensor) -> list[Change]:
        options = _options(model, sigmas)
        found = [patch.in_call(options) for patch in patches_in(options)]
        return [change for change in found if change is not None]

    transformer = model.model.diffusion_model
    return transformer_denoiser(transformer, model.load_device, changes_at=changes_at, **how)


def _options(model: Model, sigmas: Tensor) -> dict[str, Any]:
    """What patches are told in one call."""
    own = model.model_options["transformer_options"]
    return {**own, "sigmas": sigmas, "cond_or_uncond": [0]}


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
    empty = torch.zeros(1, *model.model.leading, height // vae.downscale, width // vae.downscale)
    latent = sample(model, positive, negative, empty, seed=seed, steps=steps, cfg=cfg, shown=False)
    return vae.decode(latent)
