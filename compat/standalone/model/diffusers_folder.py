"""Reads a diffusers folder, as `save_pretrained` of a Stable Diffusion pipeline writes it.

    model_index.json · unet/ · vae/ · text_encoder/ · tokenizer/ · scheduler/

SDXL also has text_encoder_2/ and tokenizer_2/.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from hypernet.diffusers.denoiser import PREDICTIONS

from .parts import Parts, needs_diffusers
from .sampling import DiscreteSampling, linear, scaled_linear, with_zero_snr
from .text import TextEncoder

PARTS = {  # folder -> the file that it must contain
    "unet": "config.json",
    "vae": "config.json",
    "text_encoder": "config.json",
    "tokenizer": "tokenizer_config.json",
    "scheduler": "scheduler_config.json",
}
PARTS_OF_SDXL = {"text_encoder_2": "config.json", "tokenizer_2": "tokenizer_config.json"}
SCHEDULES = {"scaled_linear": scaled_linear, "linear": linear}


def read_folder(folder: Path, dtype: torch.dtype | None) -> Parts:
    """The parts of a checkpoint.

    Raises FileNotFoundError if the folder is incomplete, ValueError if it is of another kind.
    """
    _require_parts(folder, PARTS)
    is_sdxl = _is_sdxl(folder)
    with needs_diffusers(folder):
        from diffusers import (  # public names, which its types do not mark as exported
            AutoencoderKL,  # pyright: ignore[reportPrivateImportUsage]
            UNet2DConditionModel,  # pyright: ignore[reportPrivateImportUsage]
        )

    sampling = _model_sampling(read_json(folder / "scheduler" / "scheduler_config.json"), folder)
    local = {"local_files_only": True, "low_cpu_mem_usage": False}
    unet = UNet2DConditionModel.from_pretrained(
        folder / "unet", torch_dtype=dtype or torch.float16, **local
    )
    vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32, **local)
    tokenizer, encoders = read_text_models(folder, is_sdxl)
    return Parts(
        unet=unet,
        vae=vae,
        tokenizer=tokenizer,
        encoders=encoders,
        sampling=sampling,
        scaling_factor=vae.config["scaling_factor"],
    )


def read_text_models(folder: Path, is_sdxl: bool = False) -> tuple[Any, tuple[TextEncoder, ...]]:
    """The tokenizer and the CLIP models of Stable Diffusion in a folder."""
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    def tokenizer(part: str) -> Any:  # Any: by its types, a padding token may be a list
        return CLIPTokenizer.from_pretrained(folder / part, local_files_only=True)

    def model(kind: type, part: str) -> Any:
        return kind.from_pretrained(folder / part, dtype=torch.float32, local_files_only=True)

    first = tokenizer("tokenizer")
    with without_transformers_bars():
        if not is_sdxl:  # for Stable Diffusion 2, diffusers has already removed the last layer
            text_model = model(CLIPTextModel, "text_encoder")
            return first, (TextEncoder(module=text_model, padding=first.pad_token_id),)
        small = model(CLIPTextModel, "text_encoder")
        large = model(CLIPTextModelWithProjection, "text_encoder_2")
    raw = {"layer": -2, "final_norm": False}
    return first, (
        TextEncoder(module=small, padding=first.pad_token_id, **raw),
        TextEncoder(
            module=large.text_model,
            padding=tokenizer("tokenizer_2").pad_token_id,
            projection=large.text_projection,
            **raw,
        ),
    )


@contextmanager
def without_transformers_bars() -> Iterator[None]:
    """Hide transformers' progress bar for each model: progress bars are for nodes."""
    from transformers.utils import logging as their_logging

    shown = their_logging.is_progress_bar_enabled()
    their_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            their_logging.enable_progress_bar()


def _require_parts(folder: Path, parts: dict[str, str]) -> None:
    expected = ["model_index.json", *(f"{part}/{file}" for part, file in parts.items())]
    missing = [name for name in expected if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f'"{folder}" is not a complete diffusers folder: it lacks {", ".join(missing)}. '
            "Save the whole pipeline there with save_pretrained of its class."
        )


def _is_sdxl(folder: Path) -> bool:
    """Is it SDXL? Raises ValueError if it is no plain text-to-image model.

    Raises FileNotFoundError if a part of SDXL is missing.
    """
    unet = read_json(folder / "unet" / "config.json")
    taken = unet.get("in_channels", 4)
    given = read_json(folder / "vae" / "config.json").get("latent_channels", 4)
    if taken != given:
        raise ValueError(
            f'the UNet in "{folder}" takes {taken} channels, the VAE gives {given}: an inpainting '
            "or otherwise conditioned model. Give a plain text-to-image model."
        )
    added = unet.get("addition_embed_type")
    if not added:
        return False
    kind = read_json(folder / "model_index.json").get("_class_name", "")
    if added != "text_time" or unet.get("class_embed_type") or "Refiner" in kind:
        raise ValueError(
            f'"{folder}" holds a model ({kind}) that takes more than a text and the size of a '
            f"picture (addition_embed_type {added}). Give a plain text-to-image model."
        )
    _require_parts(folder, PARTS_OF_SDXL)
    return True


def _model_sampling(config: dict[str, Any], folder: Path) -> DiscreteSampling:
    where = f'"{folder / "scheduler" / "scheduler_config.json"}"'
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise ValueError(
            f'prediction_type "{prediction}" in {where} is not known; '
            f"it is {' or '.join(PREDICTIONS)}."
        )
    if config.get("trained_betas"):
        raise ValueError(f"{where} sets trained_betas; such a model runs only inside ComfyUI.")
    schedule = config.get("beta_schedule", "linear")
    if schedule not in SCHEDULES:
        raise ValueError(
            f'beta_schedule "{schedule}" in {where} is not known; it is {" or ".join(SCHEDULES)}.'
        )
    alphas_cumprod = SCHEDULES[schedule](
        config.get("beta_start", 0.0001),
        config.get("beta_end", 0.02),
        config.get("num_train_timesteps", 1000),
    )
    if config.get("rescale_betas_zero_snr"):
        alphas_cumprod = with_zero_snr(alphas_cumprod)
    return DiscreteSampling(alphas_cumprod, PREDICTIONS[prediction])


def read_json(file: Path) -> dict[str, Any]:
    """Raises ValueError if the file is no JSON."""
    try:
        return json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f'"{file}" is not JSON ({error}); copy the folder anew.') from error
