"""A checkpoint, one .safetensors file or a diffusers folder, becomes MODEL, CLIP and VAE.

Models of Stable Diffusion 1.x's, 2.x's and SDXL's shape that predict the noise or v. Nothing is
ever downloaded. What a checkpoint lacks, or what kind of model it holds instead, is said before
any weight is read.
"""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from hypernet.devices import as_tensors_name_it

from .diffusers_folder import read_folder
from .models import LatentDiffusion, Model, Vae
from .single_file import read_file, read_vae
from .text import Clip
from .unet import install_patched_attention

logger = logging.getLogger(__name__)


def accelerator() -> tuple[torch.device, torch.dtype | None]:
    """Where models run and in what dtype the UNet does, None for that of a file with 16 bits, else
    float16; the VAE and the text models use float32."""
    if torch.cuda.is_available():
        return as_tensors_name_it(torch.device("cuda")), None
    if torch.backends.mps.is_available():
        return as_tensors_name_it(torch.device("mps")), torch.float32
    return torch.device("cpu"), torch.float32


@torch.inference_mode(False)
def load_checkpoint(path: str | Path) -> tuple[Model, Clip, Vae]:
    """Raises FileNotFoundError for a folder that is incomplete, ValueError for another kind."""
    path = Path(path)
    device, dtype = accelerator()
    parts = (read_file if path.is_file() else read_folder)(path, dtype)
    logger.info("%s: UNet in %s on %s", path.name, parts.unet.dtype, device)
    for module in (parts.unet, parts.vae):
        module.eval().requires_grad_(False)
    install_patched_attention(parts.unet)
    clip = Clip(parts.tokenizer, parts.encoders, device)
    clip.module.eval().requires_grad_(False)
    diffusion = LatentDiffusion(parts.unet, parts.sampling, parts.scaling_factor)
    return Model(diffusion, device, path.name, source=path), clip, Vae(parts.vae, device)


def load_demo_model(folder: Path) -> tuple[Model, Clip, Vae]:
    return load_checkpoint(folder)


def torch_device() -> torch.device:
    return accelerator()[0]


@torch.inference_mode(False)
def load_vae(file: Path) -> Vae:
    """A VAE from a file of its own. Raises ValueError for a file of another kind."""
    return Vae(read_vae(file).eval().requires_grad_(False), accelerator()[0])
