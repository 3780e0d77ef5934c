"""Opens the model's UNet for training, as the settings ask."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch

from hypernet.training.diffusion import Denoiser
from hypernet.training.settings import OWN, TrainSettings

from ... import compat


def open_denoiser(
    model, settings: TrainSettings, say: Callable[[str], object]
) -> AbstractContextManager[Denoiser]:
    """A context with the Denoiser. say: is told if torch.compile fails."""
    return compat.denoiser(
        model,
        dtype=None if settings.unet_dtype == OWN else getattr(torch, settings.unet_dtype),
        offload=settings.offload,
        compiled=say if settings.compile else None,
    )
