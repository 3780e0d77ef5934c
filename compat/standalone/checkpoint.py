"""A diffusers folder becomes MODEL, CLIP and VAE.

    model_index.json · unet/ · vae/ · text_encoder/ · tokenizer/ · scheduler/

as `StableDiffusionPipeline.save_pretrained` writes it, for models of Stable Diffusion 1.x's and
2.x's shape that predict the noise or v. Nothing is ever downloaded. What a folder lacks, or what
kind of model it holds instead, is said before any weight is read.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from .models import LatentDiffusion, Model, Vae
from .sampling import DiscreteSampling
from .text import Clip
from .unet import install_patched_attention

logger = logging.getLogger(__name__)

PARTS = {  # folder -> the file that must lie in it
    "unet": "config.json",
    "vae": "config.json",
    "text_encoder": "config.json",
    "tokenizer": "tokenizer_config.json",
    "scheduler": "scheduler_config.json",
}
PREDICTIONS = {"epsilon": "eps", "v_prediction": "v"}  # diffusers' word -> ours


def accelerator() -> tuple[torch.device, torch.dtype]:
    """Where models run and in what dtype the UNet does; the VAE and the text model use float32."""
    if torch.cuda.is_available():
        return torch.device("cuda"), torch.float16
    if torch.backends.mps.is_available():
        return torch.device("mps"), torch.float32
    return torch.device("cpu"), torch.float32


@torch.inference_mode(False)
def load_checkpoint(path: str | Path) -> tuple[Model, Clip, Vae]:
    """Raises FileNotFoundError for a folder that is incomplete, ValueError for another kind."""
    folder = Path(path)
    _require_parts(folder)
    _require_known_kind(folder)
    try:
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import CLIPTextModel, CLIPTokenizer
    except ImportError as missing:
        raise ImportError(
            f'loading "{folder}" without ComfyUI needs diffusers and transformers: '
            f"pip install 'hypernet[headless]' ({missing})"
        ) from missing

    device, dtype = accelerator()
    logger.info("%s: UNet in %s on %s", folder.name, dtype, device)
    local = {"local_files_only": True}
    sampling = _model_sampling(_read(folder / "scheduler" / "scheduler_config.json"), folder)
    unet = UNet2DConditionModel.from_pretrained(
        folder / "unet", torch_dtype=dtype, low_cpu_mem_usage=False, **local
    )
    vae = AutoencoderKL.from_pretrained(
        folder / "vae", torch_dtype=torch.float32, low_cpu_mem_usage=False, **local
    )
    with _without_transformers_bars():
        text_model = CLIPTextModel.from_pretrained(
            folder / "text_encoder", dtype=torch.float32, **local
        )
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", **local)
    for module in (unet, vae, text_model):
        module.eval().requires_grad_(False)
    install_patched_attention(unet)
    diffusion = LatentDiffusion(unet, sampling, vae.config.scaling_factor)
    return (
        Model(diffusion, device, folder.name, source=folder),
        Clip(tokenizer, text_model, device),
        Vae(vae, device),
    )


@contextmanager
def _without_transformers_bars() -> Iterator[None]:
    """transformers draws a bar per model; bars belong to nodes."""
    from transformers.utils import logging as their_logging

    shown = their_logging.is_progress_bar_enabled()
    their_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            their_logging.enable_progress_bar()


def _require_parts(folder: Path) -> None:
    if folder.is_file():
        raise ValueError(
            f'"{folder}" is a single file; without ComfyUI, give a diffusers folder '
            "(one with model_index.json in it)."
        )
    expected = ["model_index.json", *(f"{part}/{file}" for part, file in PARTS.items())]
    missing = [name for name in expected if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f'"{folder}" is not a complete diffusers folder: it lacks {", ".join(missing)}. '
            "Save the whole pipeline there with StableDiffusionPipeline.save_pretrained."
        )


def _require_known_kind(folder: Path) -> None:
    kind = _read(folder / "model_index.json").get("_class_name", "")
    unet = _read(folder / "unet" / "config.json")
    if "XL" in kind or unet.get("addition_embed_type") or (folder / "text_encoder_2").exists():
        raise ValueError(
            f'"{folder}" holds an SDXL model ({kind}); without ComfyUI only models of '
            "Stable Diffusion 1.x's and 2.x's shape are run so far. Use it inside ComfyUI."
        )
    taken = unet.get("in_channels", 4)
    given = _read(folder / "vae" / "config.json").get("latent_channels", 4)
    if taken != given:
        raise ValueError(
            f'the UNet in "{folder}" takes {taken} channels, the VAE gives {given}: an inpainting '
            "or otherwise conditioned model. Give a plain text-to-image model."
        )


def _model_sampling(config: dict[str, Any], folder: Path) -> DiscreteSampling:
    where = f'"{folder / "scheduler" / "scheduler_config.json"}"'
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise ValueError(
            f'prediction_type "{prediction}" in {where} is not known; '
            f"it is {' or '.join(PREDICTIONS)}."
        )
    if config.get("rescale_betas_zero_snr") or config.get("trained_betas"):
        raise ValueError(
            f"{where} sets rescale_betas_zero_snr or trained_betas; "
            "so far such a model runs only inside ComfyUI."
        )
    first, last = config.get("beta_start", 0.0001), config.get("beta_end", 0.02)
    steps = config.get("num_train_timesteps", 1000)
    schedule = config.get("beta_schedule", "linear")
    if schedule == "scaled_linear":
        betas = torch.linspace(first**0.5, last**0.5, steps, dtype=torch.float64) ** 2
    elif schedule == "linear":
        betas = torch.linspace(first, last, steps, dtype=torch.float64)
    else:
        raise ValueError(
            f'beta_schedule "{schedule}" in {where} is not known; it is scaled_linear or linear.'
        )
    return DiscreteSampling((1 - betas).cumprod(dim=0), PREDICTIONS[prediction])


def _read(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f'"{file}" is not JSON ({error}); copy the folder anew.') from error
