"""The diffusion formulas that training needs, each a function of its inputs.

A noisy latent is x_t = sqrt(a_t)·x_0 + sqrt(1 − a_t)·noise, with a_t = `alphas_cumprod[t]`.
Models predict the noise ("eps") or v = sqrt(a_t)·noise − sqrt(1 − a_t)·x_0 ("v", Salimans & Ho
2022). Training uses the model's own prediction type and uniform discrete timesteps, as A1111
does, so learning rates that people know carry over. Nothing divides by a_t or 1 − a_t, so models
whose last timestep is pure noise (zero terminal SNR, a_t = 0) need no special case.

Shapes: B batch, c latent channels, h w latent rows and columns, T tokens, C width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

Patch = Callable[[Tensor, Tensor, Tensor, Mapping], tuple[Tensor, Tensor, Tensor]]

LOSSES = ("MSE", "Huber")
TIMESTEPS = ("uniform", "logit-normal")
LATENT_SAMPLING = ("deterministic", "once", "random")


class Batch(NamedTuple):
    """Samples for one forward pass, on the CPU.

    condition maps "context" to (B, T, C). For SDXL it also maps "pooled" to (B, P), one vector per
    prompt, and "sizes" to (B, 6), see sdxl_sizes.py; other models ignore both.
    weights: how much each latent pixel counts in the loss; None means 1 everywhere.
    """

    latents: Tensor  # (B, c, h, w)
    condition: Mapping[str, Tensor]
    weights: Tensor | None = None  # (B, 1, h, w)


@dataclass(frozen=True, kw_only=True)
class Denoiser:
    """The interface of a frozen UNet in training.

    predict(noisy (B, c, h, w), timesteps (B,) int64, condition, attn1, attn2) returns the raw
    prediction (B, c, h, w). The patches attn1 and attn2 act on the inputs of all self-attention
    and cross-attention layers; None leaves them unchanged. condition is that of a Batch. If it
    lacks "sizes", SDXL is told that the pictures are uncropped and of the latents' size.

    checkpointed() returns a context in which predict uses gradient checkpointing; None if the host
    has none. recomputes: predict always computes its blocks again in the backward pass.
    """

    predict: Callable[[Tensor, Tensor, Mapping[str, Tensor], Patch | None, Patch | None], Tensor]
    alphas_cumprod: Tensor  # (timesteps,) float32, on the CPU
    prediction: str  # "eps" or "v"
    device: torch.device
    dtype: torch.dtype  # of the UNet's arithmetic
    checkpointed: Callable[[], AbstractContextManager] | None = None
    recomputes: bool = False


def add_noise(latent: Tensor, noise: Tensor, alpha: Tensor) -> Tensor:
    """x_t from x_0, noise (B, c, h, w) and alpha = alphas_cumprod[t] (B,)."""
    alpha = alpha.view(-1, 1, 1, 1)
    return alpha.sqrt() * latent + (1 - alpha).sqrt() * noise


def prediction_target(prediction: str, latent: Tensor, noise: Tensor, alpha: Tensor) -> Tensor:
    """What a model of this prediction type should predict, (B, c, h, w)."""
    if prediction == "eps":
        return noise
    if prediction == "v":
        alpha = alpha.view(-1, 1, 1, 1)
        return alpha.sqrt() * noise - (1 - alpha).sqrt() * latent
    raise ValueError(f'prediction type "{prediction}" is not known; it is "eps" or "v".')


def predicted(
    denoiser: Denoiser,
    batch: Batch,
    noise: Tensor,
    timesteps: Tensor,
    attn1: Patch | None,
    attn2: Patch | None,
) -> tuple[Tensor, Tensor]:
    """What the model says of the batch with this noise, and what it should say.

    noise (B, c, h, w) and timesteps (B,) are on the CPU; both results (B, c, h, w) are float32 on
    the denoiser's device.
    """
    alpha, device = denoiser.alphas_cumprod[timesteps], denoiser.device
    found = denoiser.predict(
        add_noise(batch.latents, noise, alpha).to(device, denoiser.dtype),
        timesteps.to(device),
        {key: each.to(device, non_blocking=True) for key, each in batch.condition.items()},
        attn1,
        attn2,
    )
    target = prediction_target(denoiser.prediction, batch.latents, noise, alpha)
    return found.float(), target.to(device)


def draw_timesteps(kind: str, number: int, first: int, end: int, chance: torch.Generator) -> Tensor:
    """Timesteps (number,) int64 in first … end−1.

    "uniform", or "logit-normal" (Esser et al. 2024): the sigmoid of a standard normal, which
    favours the middle.
    """
    if kind == "uniform":
        return torch.randint(first, end, (number,), generator=chance)
    part = torch.randn(number, generator=chance).sigmoid()
    return (first + part * (end - first)).long().clamp(max=end - 1)


def draw_noise(shape: torch.Size, offset: float, chance: torch.Generator) -> Tensor:
    """Standard normal noise (B, c, h, w), plus `offset` times one more normal number per channel.

    The offset lets a model learn very dark and very bright pictures (Guttenberg 2023).
    """
    noise = torch.randn(shape, generator=chance)
    if offset:
        noise = noise + offset * torch.randn(*shape[:2], 1, 1, generator=chance)
    return noise


def elementwise_loss(kind: str, found: Tensor, target: Tensor, huber_delta: float) -> Tensor:
    """The loss (B, c, h, w) of each element with error e.

    "MSE" is e². "Huber" is 2δ(√(e² + δ²) − δ), the smooth form: about e² for small errors, and
    linear for large ones.
    """
    error = (found - target).square()
    if kind == "MSE":
        return error
    return 2 * huber_delta * ((error + huber_delta**2).sqrt() - huber_delta)


def min_snr_weight(prediction: str, alpha: Tensor, gamma: float) -> Tensor:
    """The weight (B,) of each timestep in the loss (Hang et al. 2023).

    min(SNR, γ) / SNR for eps and min(SNR, γ) / (SNR + 1) for v, with SNR = a / (1 − a). Finite for
    a = 0 and a = 1.
    """
    # numerator and denominator are multiplied by 1 − a: min(a, γ(1 − a)) / a, or / 1 for v
    if prediction == "v":
        return torch.minimum(alpha, gamma * (1 - alpha))
    return (gamma * (1 - alpha) / alpha).clamp(max=1)  # 1 where a = 0
