"""The parts that every kind of checkpoint is read into, before they become MODEL, CLIP and VAE."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .sampling import DiscreteSampling
from .text import TextEncoder

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The modules, on the CPU. The UNet's latents are the VAE's times scaling_factor."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    tokenizer: Any
    encoders: tuple[TextEncoder, ...]
    sampling: DiscreteSampling
    scaling_factor: float


@contextmanager
def needs_diffusers(path: Path) -> Iterator[None]:
    """For use around imports: an ImportError says what to install to load `path`."""
    try:
        yield
    except ImportError as missing:
        raise ImportError(
            f'loading "{path}" without ComfyUI needs diffusers and transformers: '
            f"pip install 'hypernet[headless]' ({missing})"
        ) from missing
