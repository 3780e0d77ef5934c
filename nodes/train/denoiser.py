"""Opens the model's UNet or transformer for training, as the settings ask."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from hypernet.training.diffusion import Denoiser
from hypernet.training.settings import TrainSettings

from ... import compat


@contextmanager
def open_denoiser(
    model, settings: TrainSettings, say: Callable[[str], object]
) -> Iterator[Denoiser]:
    """A context with the Denoiser. say: is told if torch.compile fails."""
    with compat.denoiser(
        model,
        dtype=settings.arithmetic,
        swapped=settings.swapped,
        compiled=say if settings.compile else None,
    ) as opened:
        sampling = model.get_model_object("model_sampling")
        yield replace(opened, percent_to_sigma=sampling.percent_to_sigma)
