"""A UNet of Stable Diffusion 1, 2 or XL, and its pipeline, as `train` uses them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
from torch import Tensor, nn

from ..apply.patches import attention_widths
from ..encoding.encode import Encode
from ..network.for_model import widths_of
from ..network.spec import HypernetSpec, listed
from ..pictures.latent_size import PIXELS
from ..training.diffusion import Denoiser
from ..training.settings import TrainSettings
from .denoiser import PREDICTIONS, denoiser, placed
from .encoders import encode_prompt, moments_by
from .hooks import attention_layers
from .trainable import CPU, Size, check_placement, check_rows
from .unet import patched_attention, takes_sizes

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel


class TrainableUnet:
    """Raises TypeError or ValueError if the UNet can't be used for training here."""

    architecture = ""

    def __init__(self, unet: nn.Module, pipeline: Any, scheduler: Any):
        self.unet = checked_unet(unet, pipeline)
        self.pipeline = pipeline
        self._levels = noise_levels(scheduler or getattr(pipeline, "scheduler", None))

    @property
    def device(self) -> torch.device:
        return self.unet.device

    @property
    def prediction(self) -> str:
        return self._levels[1]

    def check_spec(self, spec: HypernetSpec) -> None:
        widths = widths_of(attention_widths(self.unet))
        missing = sorted(set(spec.widths) - set(widths))
        if missing:
            raise ValueError(
                f"Widths {listed(missing)} are not in this model, which has {listed(widths)}. Give "
                "HypernetSpec the widths of every_width, or some of them."
            )

    def check_batch(self, number: int, latents: Tensor, condition: Mapping[str, Tensor]) -> None:
        channels, widths = self.unet.config["in_channels"], attention_widths(self.unet)["attn2"]
        if latents.ndim != 4 or latents.shape[1] != channels:
            raise ValueError(
                f"Item {number}: latents of shape {list(latents.shape)} are not of this model, "
                f"which takes [pictures, {channels}, rows, columns]."
            )
        check_rows(number, latents, condition)
        width = condition["context"].shape[-1]
        if width not in widths:
            raise ValueError(
                f"Item {number}: a context of width {width} is of another text encoder; this model "
                f"reads {listed(widths)}."
            )
        if takes_sizes(self.unet) and "pooled" not in condition:
            raise ValueError(
                f'Item {number}: an SDXL model reads "pooled" beside "context"; give both.'
            )

    def training_size(self, size: Size | None) -> Size:
        grain = 2 ** (len(self.pipeline.vae.config.block_out_channels) - 1)
        if size is None:
            own = self.unet.config["sample_size"]
            rows, columns = (own, own) if isinstance(own, int) else own
            return columns * grain, rows * grain
        if len(size) != 2 or any(side < grain or side % grain for side in size):
            raise ValueError(f"size {size}: give width and height in multiples of {grain} pixels.")
        return size

    def latent_size(self, size: Size) -> tuple[int, int]:
        width, height = size
        return height // PIXELS, width // PIXELS

    @property
    def encode_picture(self) -> Encode:
        return moments_by(self.pipeline.vae)

    def encode_prompt(self, prompt: str) -> dict[str, Tensor]:
        return encode_prompt(self.pipeline, prompt)

    @contextmanager
    def denoiser(self, device: torch.device, settings: TrainSettings) -> Iterator[Denoiser]:
        unet = self.unet
        with (
            patched_attention(unet),
            placed(unet, CPU if settings.swapped else device),
            denoiser(
                unet,
                *self._levels,
                device,
                dtype=settings.arithmetic,
                swapped=settings.swapped,
                compiled=warnings.warn if settings.compile else None,
                loaded=nullcontext if settings.swapped else partial(placed, unet, device),
            ) as opened,
        ):
            yield opened


def is_unet(module: nn.Module) -> TypeGuard[UNet2DConditionModel]:
    """Has it the parts of a UNet2DConditionModel? A compiled one is of another class."""
    config = getattr(module, "config", None)
    return hasattr(config, "addition_embed_type") and hasattr(module, "mid_block")


def checked_unet(unet: nn.Module, pipeline: Any) -> UNet2DConditionModel:
    """The model. Raises TypeError or ValueError if it can't be used for training here."""
    if not is_unet(unet):
        raise TypeError(
            f"{type(unet).__name__} is no UNet2DConditionModel of diffusers: give one, a "
            "transformer of diffusers, or a pipeline of either."
        )
    config = unet.config
    more = [config["class_embed_type"], config["encoder_hid_dim_type"]]
    if any(more) or config["addition_embed_type"] not in (None, "text_time"):
        raise ValueError(
            "This UNet takes more than a text and the size of a picture, such as a class or an "
            "IP-Adapter's picture. Give a plain text-to-image model."
        )
    if pipeline is not None and config["in_channels"] != pipeline.vae.config.latent_channels:
        raise ValueError(
            f"The UNet takes {config['in_channels']} channels, the VAE gives "
            f"{pipeline.vae.config.latent_channels}: an inpainting or otherwise conditioned model. "
            "Give a plain text-to-image model."
        )
    check_placement(unet)
    for _ in attention_layers(unet):
        pass  # raises for fused projections
    return unet


def noise_levels(scheduler: Any) -> tuple[Tensor, str]:
    """alphas_cumprod (timesteps,) float32 on the CPU, and "eps" or "v"."""
    if scheduler is None:
        raise ValueError(
            "A UNet alone does not say which noise it was trained on: give the scheduler of its "
            "pipeline, too."
        )
    alphas = getattr(scheduler, "alphas_cumprod", None)
    word = getattr(scheduler.config, "prediction_type", "epsilon")
    if alphas is None or word not in PREDICTIONS:
        raise ValueError(
            f'{type(scheduler).__name__} with prediction_type "{word}" has no noise levels to '
            "train on: give a scheduler of Stable Diffusion that predicts "
            f"{' or '.join(PREDICTIONS)}."
        )
    return alphas.detach().float().cpu(), PREDICTIONS[word]
