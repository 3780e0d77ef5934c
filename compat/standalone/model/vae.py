"""The object behind the socket VAE. Its latents are unscaled, as in ComfyUI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hypernet.diffusers.latents import decode, encode

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL


class Vae:
    """A VAE of diffusers. downscale: pixels along a latent's side; None for an AutoencoderKL's.

    Pictures are processed one by one, so memory stays constant and each latent depends only on its
    own picture.
    """

    def __init__(
        self, vae: AutoencoderKL, load_device: torch.device, downscale: int | None = None
    ) -> None:
        # Any: by diffusers' types each method may return a tuple, which it does only when asked
        self.module: Any = vae
        self.load_device = load_device
        self.downscale = downscale or 2 ** (len(self.module.config.block_out_channels) - 1)

    @torch.inference_mode(False)
    @torch.no_grad()
    def encode_distribution(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of unscaled latents, (B, c, …) each, float32, CPU.

        pictures: (B, H, W, 3+) in 0..1. If the VAE can't divide a side, it is cropped around the
        centre.
        """
        self.module.to(self.load_device)
        pictures = _crop_to_multiple(pictures[..., :3], self.downscale).movedim(-1, 1)
        found = [self._encode_one(picture) for picture in pictures.split(1)]
        mean, std = (torch.cat(each) for each in zip(*found, strict=True))
        return mean, std

    def encode(self, pictures: Tensor) -> Tensor:
        """The means of the unscaled latents, see `encode_distribution`."""
        return self.encode_distribution(pictures)[0]

    def _encode_one(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        picture = picture.to(self.load_device, self.module.dtype) * 2 - 1
        mean, std = encode(self.module, picture)
        return mean.float().cpu(), std.float().cpu()

    @torch.inference_mode(False)
    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Unscaled latents (B, c, …) -> pictures (B, H, W, 3) in 0..1, float32, CPU."""
        self.module.to(self.load_device)
        return torch.cat([self._decode_one(latent) for latent in latents.split(1)])

    def _decode_one(self, latent: Tensor) -> Tensor:
        picture = decode(self.module, latent.to(self.load_device, self.module.dtype))
        return (picture.float().cpu() / 2 + 0.5).clamp(0, 1).movedim(1, -1)


def _crop_to_multiple(pictures: Tensor, multiple: int) -> Tensor:
    for side in (1, 2):
        rest = pictures.shape[side] % multiple
        pictures = pictures.narrow(side, rest // 2, pictures.shape[side] - rest)
    return pictures
