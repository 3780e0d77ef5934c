"""How a VAE's latents become those of a transformer, and back.

    AutoencoderKL                   (z − shift) · scale
    AutoencoderKLQwenImage, …Wan    (z − mean) / std per channel, (B, c, frames, h, w)
    AutoencoderKLFlux2              2×2 latents are one of 4c channels, then (z − mean) / std

A picture is a video of one frame for the second kind. Shapes as in velocities.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class LatentFormat:
    """into: of the VAE's latents (B, …) those that the transformer sees; out_of: back."""

    into: Callable[[Tensor], Tensor]
    out_of: Callable[[Tensor], Tensor]
    channels: int  # as the transformer sees them
    pixels: int  # along each side of a latent that the transformer sees
    has_frames: bool = False


def latent_format(vae: Any) -> LatentFormat:
    """Raises ValueError naming a class of VAE that is not known."""
    name = type(vae).__name__
    if name not in FORMATS:
        raise ValueError(
            f"what transformers make of the latents of {name} is not known here: give the "
            "transformer alone, with batches of latents. "
            f"Known are {', '.join(FORMATS)}."
        )
    return FORMATS[name](vae)


def encode(vae: Any, pixels: Tensor) -> Any:
    """The distribution of the VAE's own latents of pictures (B, 3, H, W) in −1..1."""
    has_frames = latent_format(vae).has_frames
    return vae.encode(pixels.unsqueeze(2) if has_frames else pixels).latent_dist


def decode(vae: Any, latents: Tensor) -> Tensor:
    """Pictures (B, 3, H, W), about −1..1, of the VAE's own latents."""
    pictures = vae.decode(latents).sample
    return pictures[:, :, 0] if pictures.ndim == 5 else pictures


def shifted_and_scaled(vae: Any) -> LatentFormat:
    shift, scale = vae.config.get("shift_factor") or 0.0, vae.config["scaling_factor"]
    return LatentFormat(
        into=lambda latents: (latents - shift) * scale,
        out_of=lambda latents: latents / scale + shift,
        channels=vae.config["latent_channels"],
        pixels=halvings(vae),
    )


def by_channel(vae: Any) -> LatentFormat:
    shape = (1, -1, 1, 1, 1)
    mean, std = (
        torch.tensor(vae.config[key]).view(shape) for key in ("latents_mean", "latents_std")
    )
    levels = len(vae.config.get("temporal_downsample") or vae.config["temperal_downsample"])
    return LatentFormat(
        into=lambda latents: (latents - mean.to(latents)) / std.to(latents),
        out_of=lambda latents: latents * std.to(latents) + mean.to(latents),
        channels=vae.config["z_dim"],
        pixels=vae.config.get("scale_factor_spatial") or 2**levels,
        has_frames=True,
    )


def two_by_two(vae: Any) -> LatentFormat:
    mean, variance = (each.view(1, -1, 1, 1) for each in (vae.bn.running_mean, vae.bn.running_var))
    std = (variance + vae.config["batch_norm_eps"]).sqrt()
    return LatentFormat(
        into=lambda z: (F.pixel_unshuffle(z, 2) - mean.to(z)) / std.to(z),
        out_of=lambda latents: F.pixel_shuffle(latents * std.to(latents) + mean.to(latents), 2),
        channels=4 * vae.config["latent_channels"],
        pixels=2 * halvings(vae),
    )


def halvings(vae: Any) -> int:
    return 2 ** (len(vae.config["block_out_channels"]) - 1)


FORMATS = {
    "AutoencoderKL": shifted_and_scaled,
    "AutoencoderKLQwenImage": by_channel,
    "AutoencoderKLWan": by_channel,
    "AutoencoderKLFlux2": two_by_two,
}
