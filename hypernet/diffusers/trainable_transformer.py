"""A transformer of diffusers, and its pipeline, as `train` uses them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..encoding.encode import Encode
from ..families import take_census
from ..network.spec import HypernetSpec, listed
from ..training.diffusion import Denoiser
from ..training.settings import TrainSettings
from .denoiser import placed
from .latents import LatentFormat, encode, latent_format
from .prompts import encode_prompt
from .trainable import CPU, Size, check_placement, check_rows
from .transformer import transformer_denoiser
from .velocities import inputs_of

SIDE = 128  # rows and columns of latents, where a pipeline does not say what it was made for


class TrainableTransformer:
    """Raises ValueError if the transformer can't be used for training here."""

    prediction = "flow"

    def __init__(self, transformer: nn.Module, pipeline: Any):
        self.transformer: Any = transformer  # each class has a config of its own
        self.inputs = inputs_of(transformer)
        self.census = take_census(transformer)
        self.pipeline = pipeline
        check_placement(transformer)
        self._check_channels()

    def _check_channels(self) -> None:
        config, channels = self.transformer.config, self.inputs.channels(self.transformer.config)
        answered = config.get("out_channels")  # some classes count those of a token
        if answered not in (None, config["in_channels"], channels) or config.get("image_dim"):
            raise ValueError(
                f"{type(self.transformer).__name__} reads a picture beside the noise: it is one "
                "for inpainting, editing or video. Train on the plain text-to-image model."
            )
        if self.pipeline is None:
            return
        found = latent_format(self.pipeline.vae)
        if found.channels != channels or found.has_frames != self.inputs.has_frames:
            raise ValueError(
                f"The transformer takes latents of {channels} channels, the VAE "
                f"({type(self.pipeline.vae).__name__}) gives {found.channels}: they are of "
                "different models, or the model reads a picture beside the noise. "
                "Give a plain text-to-image pipeline."
            )

    @property
    def device(self) -> torch.device:
        return self.transformer.device

    @property
    def architecture(self) -> str:
        return self.census.architecture

    def check_spec(self, spec: HypernetSpec) -> None:
        streams = self.census.widths()
        held = {(stream, width) for stream, widths in streams.items() for width in widths}
        named = ", ".join(f"{stream} {listed(widths)}" for stream, widths in streams.items())
        if not spec.places:
            raise ValueError(
                f"This model has its widths at places: {named}. Make the spec with spec_for(model)."
            )
        if missing := sorted({*spec.places} - held):
            found = ", ".join(f"{stream} {width}" for stream, width in missing)
            raise ValueError(
                f"Places {found} are not in this model, which has {named}. Make the spec with "
                "spec_for(model)."
            )

    def check_batch(self, number: int, latents: Tensor, condition: Mapping[str, Tensor]) -> None:
        inputs, config = self.inputs, self.transformer.config
        channels, patch = inputs.channels(config), inputs.patch(config)
        frames = (1,) if inputs.has_frames else ()
        expected = (channels, *frames)
        if latents.ndim != 4 + len(frames) or tuple(latents.shape[1:-2]) != expected:
            raise ValueError(
                f"Item {number}: latents of shape {list(latents.shape)} are not of this model, "
                f"which takes [pictures, {listed(expected)}, rows, columns]."
            )
        if any(side % patch for side in latents.shape[-2:]):
            raise ValueError(
                f"Item {number}: latents of {latents.shape[-2]} rows and {latents.shape[-1]} "
                f"columns; give multiples of {patch}."
            )
        check_rows(number, latents, condition)
        wanted = {"context": inputs.context(config)}
        if inputs.pooled:
            wanted["pooled"] = inputs.pooled(config)
        for key, width in wanted.items():
            if key not in condition:
                raise ValueError(f'Item {number}: this model reads "{key}" beside "context".')
            if condition[key].shape[-1] != width:
                raise ValueError(
                    f'Item {number}: "{key}" of width {condition[key].shape[-1]} is of another '
                    f"text encoder; this model reads {width}."
                )

    @property
    def format(self) -> LatentFormat:
        return latent_format(self.pipeline.vae)

    def training_size(self, size: Size | None) -> Size:
        pixels = self.format.pixels
        if size is None:
            own = getattr(self.pipeline, "default_sample_size", None) or SIDE
            return own * pixels, own * pixels
        grain = pixels * self.inputs.patch(self.transformer.config)
        if len(size) != 2 or any(side < grain or side % grain for side in size):
            raise ValueError(f"size {size}: give width and height in multiples of {grain} pixels.")
        return size

    def latent_size(self, size: Size) -> tuple[int, int]:
        width, height = size
        return height // self.format.pixels, width // self.format.pixels

    @property
    def encode_picture(self) -> Encode:
        return moments_by(self.pipeline.vae)

    def encode_prompt(self, prompt: str) -> dict[str, Tensor]:
        return encode_prompt(self.pipeline, type(self.transformer).__name__, prompt)

    @contextmanager
    def denoiser(self, device: torch.device, settings: TrainSettings) -> Iterator[Denoiser]:
        transformer = self.transformer
        with (
            placed(transformer, CPU if settings.swapped else device),
            transformer_denoiser(
                transformer,
                device,
                dtype=settings.arithmetic,
                swapped=settings.swapped,
                compiled=warnings.warn if settings.compile else None,
                loaded=nullcontext if settings.swapped else partial(placed, transformer, device),
            ) as opened,
        ):
            yield opened


def moments_by(vae: Any) -> Encode:
    """A function that takes a picture (1, H, W, 3) in 0..1 and gives the mean and the standard
    deviation of its latent as the transformer sees it, (1, c, …) each, on the CPU."""
    into = latent_format(vae).into

    def encode_one(pixels: Tensor) -> tuple[Tensor, Tensor]:
        found = encode(vae, pixels.movedim(-1, 1).to(vae.device, vae.dtype) * 2 - 1)
        mean, std = (each.float() for each in found)
        return into(mean).cpu(), (into(std) - into(torch.zeros_like(std))).cpu()

    return encode_one
