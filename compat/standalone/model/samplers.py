"""Ways from noise to a picture, each a function of what sampling.py describes.

A sampler takes a denoiser (x, sigma) -> x_0, x, descending sigmas that end in 0, and a source of
noise, which only ancestral samplers ask.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

Denoise = Callable[[Tensor, Tensor], Tensor]


def euler(denoise: Denoise, x: Tensor, sigmas: Tensor, noise: Callable[[], Tensor]) -> Tensor:
    """Karras et al. 2022, algorithm 2 without churn."""
    for now, then in itertools.pairwise(sigmas):
        slope = (x - denoise(x, now)) / now
        x = x + slope * (then - now)
    return x


def euler_ancestral(
    denoise: Denoise, x: Tensor, sigmas: Tensor, noise: Callable[[], Tensor]
) -> Tensor:
    """Euler steps that overshoot to `down`, and then add fresh noise of spread `up`."""
    for now, then in itertools.pairwise(sigmas):
        denoised = denoise(x, now)
        up = min(then, (then**2 * (now**2 - then**2) / now**2) ** 0.5)
        down = (then**2 - up**2) ** 0.5
        if down == 0:
            x = denoised
        else:
            x = x + (x - denoised) / now * (down - now) + noise() * up
    return x


def dpmpp_2m(denoise: Denoise, x: Tensor, sigmas: Tensor, noise: Callable[[], Tensor]) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022): x_0 is extrapolated in log sigma from two steps."""
    before: tuple[Tensor, Tensor] | None = None  # sigma and x_0 of the last step
    for now, then in itertools.pairwise(sigmas):
        denoised = denoise(x, now)
        estimate = denoised
        if before is not None and then > 0:
            sigma_before, denoised_before = before
            ratio = (sigma_before / now).log() / (now / then).log()
            estimate = denoised + (denoised - denoised_before) / (2 * ratio)
        x = then / now * x + (1 - then / now) * estimate
        before = now, denoised
    return x


def res_multistep(
    denoise: Denoise, x: Tensor, sigmas: Tensor, noise: Callable[[], Tensor]
) -> Tensor:
    """RES, two steps (Zhang et al. 2023): x_0 is a line in log sigma, integrated exactly.

    h = log(now / then)      phi_1 = (1 − e^−h) / h      phi_2 = (1 − phi_1) / h
    """
    before: tuple[Tensor, Tensor] | None = None  # sigma and x_0 of the last step
    for now, then in itertools.pairwise(sigmas):
        denoised = denoise(x, now)
        if before is None or then == 0:
            x = x + (x - denoised) / now * (then - now)
        else:
            sigma_before, denoised_before = before
            h = (now / then).log()
            phi_1 = -torch.expm1(-h) / h
            phi_2 = (1 - phi_1) / h
            share = phi_2 * h / (sigma_before / now).log()
            x = then / now * x + h * ((phi_1 + share) * denoised - share * denoised_before)
        before = now, denoised
    return x


NOT_FOR_FLOW = ("euler_ancestral",)  # it adds noise by the formula of diffusion
SAMPLERS = {
    "euler": euler,
    "euler_ancestral": euler_ancestral,
    "dpmpp_2m": dpmpp_2m,
    "res_multistep": res_multistep,
}
