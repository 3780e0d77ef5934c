"""The sizes of latents: in most models one row and one column stand for 8 of the picture."""

from __future__ import annotations

from torch import Tensor

PIXELS = 8  # pixels per latent, along each side


def size_in_pixels(latent: Tensor, pixels: int = PIXELS) -> tuple[int, int]:
    """(height, width) of the picture that a latent (…, h, w) stands for."""
    rows, columns = latent.shape[-2:]
    return rows * pixels, columns * pixels
