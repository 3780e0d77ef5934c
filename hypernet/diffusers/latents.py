"""How a VAE's latents become those of a transformer, and back.

    AutoencoderKL                   (z − shift) · scale
    AutoencoderKLQwenImage, …Wan    (z − mean) / std per channel, (B, c, frames, h, w)
    AutoencoderKLFlux2              as it comes

A picture is a video of one frame for the second kind. Of the third, 2×2 latents are joined to one
of four times the channels and normalized when a picture is encoded, as in ComfyUI. Shapes as in
velocities.py.
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


def encode(vae: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the VAE's latents of pictures (B, 3, H, W) in −1..1."""
    has_frames = latent_format(vae).has_frames
    found = vae.encode(pixels.unsqueeze(2) if has_frames else pixels).latent_dist
    if not joins(vae):
        return found.mean, found.std
    mean, std = normal_of(vae, found.mean)
    return (F.pixel_unshuffle(found.mean, 2) - mean) / std, F.pixel_unshuffle(found.std, 2) / std


def decode(vae: Any, latents: Tensor) -> Tensor:
    """Pictures (B, 3, H, W), about −1..1, of the VAE's latents."""
    if joins(vae):
        mean, std = normal_of(vae, latents)
        latents = F.pixel_shuffle(latents * std + mean, 2)
    pictures = vae.decode(latents).sample
    return pictures[:, :, 0] if pictures.ndim == 5 else pictures


def joins(vae: Any) -> bool:
    return type(vae).__name__ == "AutoencoderKLFlux2"


def normal_of(vae: Any, like: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation by channel of joined latents."""
    variance = vae.bn.running_var + vae.config["batch_norm_eps"]
    mean, std = (each.view(1, -1, 1, 1).to(like) for each in (vae.bn.running_mean, variance.sqrt()))
    return mean, std


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


def as_it_comes(vae: Any) -> LatentFormat:
    return LatentFormat(
        into=lambda latents: latents,
        out_of=lambda latents: latents,
        channels=4 * vae.config["latent_channels"],
        pixels=2 * halvings(vae),
    )


def halvings(vae: Any) -> int:
    return 2 ** (len(vae.config["block_out_channels"]) - 1)


FORMATS = {
    "AutoencoderKL": shifted_and_scaled,
    "AutoencoderKLQwenImage": by_channel,
    "AutoencoderKLWan": by_channel,
    "AutoencoderKLFlux2": as_it_comes,
}
