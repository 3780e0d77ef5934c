"""Opens the model's UNet for training, as the settings ask."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from hypernet.training.diffusion import Denoiser
from hypernet.training.settings import TrainSettings

from ... import compat


def open_denoiser(
    model, settings: TrainSettings, say: Callable[[str], object]
) -> AbstractContextManager[Denoiser]:
    """A context with the Denoiser. say: is told if torch.compile fails."""
    return compat.denoiser(
        model,
        dtype=settings.arithmetic,
        offload=settings.offload,
        compiled=say if settings.compile else None,
    )
