"""The sizes of latents: one row and one column of a latent stand for 8 of its picture."""

from __future__ import annotations

from torch import Tensor

PIXELS = 8  # pixels per latent, along each side


def size_in_pixels(latent: Tensor) -> tuple[int, int]:
    """(height, width) of the picture that a latent (…, h, w) stands for."""
    rows, columns = latent.shape[-2:]
    return rows * PIXELS, columns * PIXELS
