"""The diffusion formulas that training needs, each a function of its inputs.

A noisy latent is x_t = sqrt(a_t)·x_0 + sqrt(1 − a_t)·noise, with a_t = `alphas_cumprod[t]`.
Models predict the noise ("eps") or v = sqrt(a_t)·noise − sqrt(1 − a_t)·x_0 ("v", Salimans & Ho
2022). Training uses the model's own prediction type and uniform discrete timesteps, as A1111
does, so learning rates that people know carry over.

Shapes: B batch, c latent channels, h w latent rows and columns, T tokens, C width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Patch = Callable[[Tensor, Tensor, Tensor, Mapping], tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True, kw_only=True)
class Denoiser:
    """A frozen UNet as training sees it.

    predict(noisy (B, c, h, w), timesteps (B,) int64, condition, attn1, attn2) gives the raw
    prediction (B, c, h, w), with the two patches on the inputs of every self-attention (attn1)
    and cross-attention (attn2) block; None leaves them alone. condition maps "context" to
    (B, T, C), and whatever else the model takes by keyword.
    """

    predict: Callable[[Tensor, Tensor, Mapping[str, Tensor], Patch | None, Patch | None], Tensor]
    alphas_cumprod: Tensor  # (timesteps,) float32, on the CPU
    prediction: str  # "eps" or "v"
    device: torch.device
    dtype: torch.dtype  # of the UNet's arithmetic


def add_noise(latent: Tensor, noise: Tensor, alpha: Tensor) -> Tensor:
    """x_t from x_0, noise (B, c, h, w) and alpha = alphas_cumprod[t] (B,)."""
    alpha = alpha.view(-1, 1, 1, 1)
    return alpha.sqrt() * latent + (1 - alpha).sqrt() * noise


def prediction_target(prediction: str, latent: Tensor, noise: Tensor, alpha: Tensor) -> Tensor:
    """What a model of this prediction type should answer, (B, c, h, w)."""
    if prediction == "eps":
        return noise
    if prediction == "v":
        alpha = alpha.view(-1, 1, 1, 1)
        return alpha.sqrt() * noise - (1 - alpha).sqrt() * latent
    raise ValueError(f'prediction type "{prediction}" is not known; it is "eps" or "v".')
