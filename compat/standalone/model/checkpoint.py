"""Loads a checkpoint, a .safetensors file or a diffusers folder, as MODEL, CLIP and VAE.

It takes models with the structure of Stable Diffusion 1.x, 2.x or SDXL that predict the noise or v,
and folders of transformers that learnt by flow matching (Lumina 2, Z-Image, Flux, Qwen-Image …).
Nothing is ever downloaded. A checkpoint that is incomplete or of another kind is refused before any
weight is read.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from hypernet.devices import as_tensors_name_it
from hypernet.diffusers.latents import latent_format
from hypernet.diffusers.unet import install_patched_attention

from .diffusers_folder import read_folder
from .flow import KINDS, FlowSampling, LatentFlow
from .model_files.families import read_transformer
from .model_files.text_models import Text, read_text
from .model_files.vaes import read_any_vae
from .patched_model import LatentDiffusion, Model
from .pipeline_text import PipelineText
from .single_file import read_file
from .text import Clip
from .transformer_folder import holds_transformer, read_transformer_folder
from .vae import Vae

logger = logging.getLogger(__name__)


def accelerator() -> tuple[torch.device, torch.dtype | None]:
    """The device of all models, and the UNet's dtype.

    None means the file's dtype if that has 16 bits, otherwise float16; for a transformer bfloat16.
    The VAE and the text models
    always use float32.
    """
    if torch.cuda.is_available():
        return as_tensors_name_it(torch.device("cuda")), None
    if torch.backends.mps.is_available():
        return as_tensors_name_it(torch.device("mps")), torch.float32
    return torch.device("cpu"), torch.float32


@torch.inference_mode(False)
def load_checkpoint(path: str | Path) -> tuple[Model, Clip | PipelineText, Vae]:
    """MODEL, CLIP and VAE of a checkpoint.

    Raises FileNotFoundError if a folder is incomplete, ValueError if the model is of another kind.
    """
    path = Path(path)
    device, dtype = accelerator()
    if path.is_dir() and holds_transformer(path):
        return load_transformer(path, device, dtype)
    parts = (read_file if path.is_file() else read_folder)(path, dtype)
    logger.info("%s: UNet in %s on %s", path.name, parts.unet.dtype, device)
    for module in (parts.unet, parts.vae):
        module.eval().requires_grad_(False)
    install_patched_attention(parts.unet)
    clip = Clip(parts.tokenizer, parts.encoders, device)
    clip.module.eval().requires_grad_(False)
    diffusion = LatentDiffusion(parts.unet, parts.sampling, parts.scaling_factor)
    return Model(diffusion, device, path.name, source=path), clip, Vae(parts.vae, device)


def load_transformer(
    folder: Path, device: torch.device, dtype: torch.dtype | None
) -> tuple[Model, Clip | PipelineText, Vae]:
    parts = read_transformer_folder(folder, device, dtype)
    transformer, form = parts.transformer, latent_format(parts.vae)
    logger.info("%s: transformer in %s on %s", folder.name, transformer.dtype, device)
    for module in (transformer, parts.vae, parts.clip.module):
        module.eval().requires_grad_(False)
    flow = LatentFlow(transformer, parts.sampling, form)
    model = Model(flow, device, folder.name, source=folder)
    return model, parts.clip, Vae(parts.vae, device, form.pixels)


@torch.inference_mode(False)
def load_transformer_file(file: Path) -> Model:
    """MODEL of a file with a transformer alone. Raises ValueError if it is of another kind."""
    device, dtype = accelerator()
    parts = read_transformer(file, dtype)
    transformer = parts.module.eval().requires_grad_(False)
    logger.info("%s: transformer in %s on %s", file.name, transformer.dtype, device)
    kind = KINDS[type(transformer).__name__]
    sampling = FlowSampling(kind.shift, kind.levels)
    flow = LatentFlow(transformer, sampling, latent_format(parts.vae), parts.adapter)
    return Model(flow, device, file.name, source=file)


def load_demo_model(folder: Path) -> tuple[Model, Clip | PipelineText, Vae]:
    return load_checkpoint(folder)


def torch_device() -> torch.device:
    return accelerator()[0]


@torch.inference_mode(False)
def load_text(files: Sequence[Path], kind: str, on_cpu: bool = False) -> Text:
    """CLIP of the files with text models. kind: the loader's `type`. Errors as in `read_text`."""
    device = torch.device("cpu") if on_cpu else accelerator()[0]
    clip = read_text(files, kind, device)
    clip.module.eval().requires_grad_(False)
    return clip


@torch.inference_mode(False)
def load_vae(file: Path) -> Vae:
    """The VAE in a separate file. Raises ValueError if the file is of another kind."""
    vae, pixels = read_any_vae(file)
    return Vae(vae.eval().requires_grad_(False), accelerator()[0], pixels)
