"""Encodes pictures and captions with a pipeline's own encoders, each once, before training.

A picture is scaled to cover the training size and cropped around its middle, never stretched.
Captions are read like prompts of the pipeline: words have no weights, and what its text encoder has
no room for is cut off. Everything stays in memory: about 100 KB for a picture of 512², and 240 KB
for a caption, or 640 KB with SDXL.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..dataset.items import Dataset, Item, pixels_of
from ..encoding.encode import Encode, latent_of
from ..pictures.crop import cover
from ..pictures.reading import as_rgb, open_picture
from .denoiser import computing_in, placed
from .trainable import Size

if TYPE_CHECKING:
    from diffusers.models.modeling_utils import ModelMixin

Pair = tuple[Image.Image | str | os.PathLike, str]  # a picture or the path of one, and its caption


@torch.no_grad()
def encode_pairs(
    vae: Any, encode: Encode, pairs: Iterable[object], size: Size
) -> tuple[Dataset, list[dict[str, Tensor]]]:
    """The pairs as a dataset, and "mean" and "std" (c, …) of each item's latent.

    encode: makes both of a picture, by the VAE.

    Raises TypeError if an entry is no pair. Raises ValueError if there are no pairs, or if a
    picture can't be read.
    """
    items, latents = [], []
    with in_float32(vae):
        for number, entry in enumerate(pairs, 1):
            name, picture, caption = read_pair(entry, number)
            cut = cover(*picture.size, *size)
            across, down = picture.size
            item = Item(path=name, caption=caption, width=across, height=down, cut=cut)
            items.append(item)
            latents.append(latent_of(pixels_of(picture, cut), encode, item))
    if not items:
        raise ValueError("There is no picture to train on: give pairs of a picture and a caption.")
    width, height = size
    folder = Path()  # pictures may come from anywhere
    dataset = Dataset(folder=folder, items=tuple(items), width=width, height=height, captioned=True)
    return dataset, latents


def read_pair(entry: Any, number: int) -> tuple[Path, Image.Image, str]:
    """The name of the picture, the picture in RGB, and its caption."""
    match entry:
        case (Image.Image() as picture, str() as caption):
            return Path(f"picture {number}"), as_rgb(ImageOps.exif_transpose(picture)), caption
        case (str() | os.PathLike() as path, str() as caption):
            return Path(path), open_picture(Path(path)), caption
    raise TypeError(
        f"Item {number} is no pair of a picture and a caption: give (image, text), the image as a "
        "PIL picture or as the path of its file."
    )


@contextmanager
def in_float32(vae: ModelMixin) -> Iterator[None]:
    """Inside the block, the VAE computes in float32: in float16 some give NaN, as SDXL's does."""
    if vae.dtype == torch.float32:
        yield
        return
    device = vae.device
    with placed(vae, device), computing_in(vae, torch.float32), placed(vae, device):
        yield


def moments_by(vae: Any) -> Encode:
    """A function that takes a picture (1, H, W, 3) in 0..1 and gives the mean and the standard
    deviation of its scaled latent, (1, c, h, w) each, on the CPU."""

    def encode(pixels: Tensor) -> tuple[Tensor, Tensor]:
        pixels = pixels.movedim(-1, 1).to(vae.device, vae.dtype)
        found, scale = vae.encode(pixels * 2 - 1).latent_dist, vae.config.scaling_factor
        return (found.mean * scale).float().cpu(), (found.std * scale).float().cpu()

    return encode


@torch.no_grad()
def encode_prompts(
    encode: Callable[[str], dict[str, Tensor]], prompts: Sequence[str]
) -> dict[str, dict[str, Tensor]]:
    """The condition of each prompt, float32, on the CPU."""
    return {prompt: encode(prompt) for prompt in prompts}


@torch.no_grad()
def encode_prompt(pipeline: Any, prompt: str) -> dict[str, Tensor]:
    """ "context" (T, C) and, with SDXL, "pooled" (P,), float32, on the CPU."""
    found = pipeline.encode_prompt(
        prompt,
        device=pipeline.device,
        num_images_per_prompt=1,
        do_classifier_free_guidance=False,
    )
    named = {"context": found[0]} | ({"pooled": found[2]} if len(found) > 2 else {})
    return {name: tensor[0].float().cpu() for name, tensor in named.items()}
