"""The diffusion formulas that training needs, each a function of its inputs.

A noisy latent is x_t = a·x_0 + b·noise, where a and b follow from the timestep (NoiseLevels):

    diffusion   a = √ᾱ, b = √(1 − ᾱ); the model predicts the noise ("eps"), or a·noise − b·x_0
                ("v", Salimans & Ho 2022)
    flow        a = 1 − σ, b = σ; the model predicts noise − x_0 ("flow", Lipman et al. 2022)

Training uses the model's own prediction type and discrete timesteps. UNets get uniform ones, as in
A1111, so learning rates that people know carry over. Nothing divides by a or b, so models whose
last timestep is pure noise (zero terminal SNR, and every flow) need no special case.

Shapes: B batch, c latent channels, h w latent rows and columns, T tokens, C width. A latent of a
video model has one more dimension: (B, c, 1, h, w), as a picture is a video of one frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..apply.effect import StrengthCurve, make_schedule
from ..apply.training_network import TrainingNetwork

LOSSES = ("MSE", "Huber")
TIMESTEPS = ("uniform", "logit-normal")
LATENT_SAMPLING = ("deterministic", "once", "random")
PREDICTIONS = ("eps", "v", "flow")
GUIDANCE = 1.0  # what models distilled on it are told in training, as all trainers do
FLOW_LEVELS = 1000
TOKENS = " tokens"  # after the key of a condition: how many are each prompt's own


class Batch(NamedTuple):
    """Samples for one forward pass, on the CPU.

    condition maps "context" to (B, T, C). For SDXL it also maps "pooled" to (B, P), one vector per
    prompt, and "sizes" to (B, 6), see sdxl_sizes.py; other UNets ignore both. For other models it
    maps whatever their text encoders give beside the context, by the host's names. Where prompts
    have different lengths, "<key> tokens" (B,) int64 says how many are the prompt's own.
    weights: how much each latent pixel counts in the loss; None means 1 everywhere.
    """

    latents: Tensor  # (B, c, h, w) or (B, c, 1, h, w)
    condition: Mapping[str, Tensor]
    weights: Tensor | None = None  # (B, 1, h, w)


BatchAt = Callable[[int, int], Batch]  # (first sample, number of samples)


@dataclass(frozen=True)
class NoiseLevels:
    """How much signal and how much noise a noisy latent has, by timestep or by sample.

    Both are powers, a² and b² in x_t = a·x_0 + b·noise. float32, on the CPU.
    """

    signal: Tensor  # (timesteps,) or (B,)
    noise: Tensor  # likewise

    def __len__(self) -> int:
        return len(self.signal)

    def at(self, timesteps: Tensor) -> NoiseLevels:
        return NoiseLevels(self.signal[timesteps], self.noise[timesteps])

    def sigmas(self, prediction: str) -> Tensor:
        """σ as samplers have it: noise ÷ signal, or a flow's share of noise."""
        return (self.noise if prediction == "flow" else self.noise / self.signal).sqrt()

    def factors(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """a and b, each (B, 1, …, 1) with as many dimensions as `like`."""
        shape = (-1, *(1,) * (like.ndim - 1))
        return self.signal.view(shape).sqrt(), self.noise.view(shape).sqrt()


def diffusion_levels(alphas_cumprod: Tensor) -> NoiseLevels:
    """The levels of DDPM from ᾱ (timesteps,)."""
    return NoiseLevels(alphas_cumprod, 1 - alphas_cumprod)


def flow_levels(number: int = FLOW_LEVELS) -> NoiseLevels:
    """σ = 1/number, 2/number … 1. The roots of its squares are exact, as roots of squares are."""
    sigmas = torch.arange(1, number + 1) / number
    return NoiseLevels((1 - sigmas).square(), sigmas.square())


def unshifted(shape: torch.Size) -> float:
    return 1.0


def flux_shift(shape: torch.Size, patch: int) -> float:
    """How Flux.1 and Flux.2 shift noise levels for latents of this shape (…, h, w).

    e^μ, with μ linear in the number of image tokens: 0.5 at 256 of them, 1.15 at 4096. Flux.2's
    pipeline has the same line for many sampling steps. patch: rows and columns of a token.
    """
    tokens = (shape[-2] // patch) * (shape[-1] // patch)
    return math.exp(0.5 + (1.15 - 0.5) * (tokens - 256) / (4096 - 256))


def as_it_is(condition: Mapping[str, Tensor], latents: Tensor) -> Mapping[str, Tensor]:
    return condition


@dataclass(frozen=True, kw_only=True)
class Denoiser:
    """The interface of a frozen model in training.

    predict(noisy, timesteps (B,) int64, condition, acting) returns the raw prediction, which has
    the shape of `noisy` and of a batch's latents. The acting network changes the inputs of the
    attention layers; None leaves them unchanged. condition is that of a Batch. If it lacks
    "sizes", SDXL is told that the pictures are uncropped and of the latents' size.

    shift(shape of the latents): s in σ' = sσ / (1 + (s − 1)σ), by which the model's own pipeline
    shifts the noise levels of large pictures.

    percent_to_sigma(share of sampling) is σ there, as samplers of this model have it; None where
    they take the timesteps evenly, from the last to the first. curve: how strongly a network acts
    at each σ; None for 1 everywhere.

    checkpointed() returns a context in which predict uses gradient checkpointing; None if the host
    has none. recomputes: predict always computes its blocks again in the backward pass.

    prepared(condition, latents): the condition with what can be computed of it before
    a pass, on the CPU.

    addresses() says where the model's weights are, ready to compute with; None if they may move
    while predict uses them.
    """

    predict: Callable[[Tensor, Tensor, Mapping[str, Tensor], TrainingNetwork | None], Tensor]
    levels: NoiseLevels
    prediction: str  # one of PREDICTIONS
    device: torch.device
    dtype: torch.dtype  # of the model's arithmetic
    shift: Callable[[torch.Size], float] = unshifted
    percent_to_sigma: Callable[[float], float] | None = None
    curve: StrengthCurve | None = None
    checkpointed: Callable[[], AbstractContextManager] | None = None
    recomputes: bool = False
    prepared: Callable[[Mapping[str, Tensor], Tensor], Mapping[str, Tensor]] = as_it_is
    addresses: Callable[[], Hashable] | None = None


def with_strength(
    denoiser: Denoiser, strength: float, curve: Sequence[tuple[float, float]]
) -> Denoiser:
    """The denoiser, on which networks act with this strength, times a factor at each share of
    sampling."""
    if strength == 1 and not curve:
        return denoiser
    curve = [(share, strength * factor) for share, factor in curve or [(0.0, 1.0)]]
    sigmas = denoiser.levels.sigmas(denoiser.prediction)
    last = len(sigmas) - 1
    in_turn = denoiser.percent_to_sigma or (lambda share: float(sigmas[round((1 - share) * last)]))
    return replace(denoiser, curve=make_schedule(in_turn, curve=curve))


def add_noise(latent: Tensor, noise: Tensor, levels: NoiseLevels) -> Tensor:
    """x_t from x_0, noise (both (B, c, …)) and the levels (B,) of the samples."""
    a, b = levels.factors(latent)
    return a * latent + b * noise


def prediction_target(
    prediction: str, latent: Tensor, noise: Tensor, levels: NoiseLevels
) -> Tensor:
    """What a model of this prediction type should predict, (B, c, …)."""
    if prediction == "eps":
        return noise
    if prediction == "v":
        a, b = levels.factors(latent)
        return a * noise - b * latent
    if prediction == "flow":
        return noise - latent
    raise ValueError(f'prediction type "{prediction}" is not known; it is "eps", "v" or "flow".')


def taken_apart(
    prediction: str, noisy: Tensor, found: Tensor, levels: NoiseLevels
) -> tuple[Tensor, Tensor]:
    """The clean latent and the noise in x_t, if the prediction found (B, c, …) is right.

    The inverse of add_noise and prediction_target. Only "eps" divides, by a: models whose last
    timestep is pure noise have other types.
    """
    a, b = levels.factors(noisy)
    if prediction == "eps":
        return (noisy - b * found) / a, found
    if prediction == "v":
        return a * noisy - b * found, b * noisy + a * found
    if prediction == "flow":
        return noisy - b * found, noisy + a * found
    raise ValueError(f'prediction type "{prediction}" is not known; it is "eps", "v" or "flow".')


class Asked(NamedTuple):
    """What the model is asked in one pass, on its device; numbers of tokens are on the CPU."""

    noisy: Tensor  # (B, c, …) in the model's dtype
    timesteps: Tensor  # (B,) int64
    condition: Mapping[str, Tensor]
    target: Tensor  # (B, c, …) float32, what it should say
    strength: Tensor | None  # (B,) of a network; None for 1


def asked(denoiser: Denoiser, batch: Batch, noise: Tensor, timesteps: Tensor) -> Asked:
    """noise (B, c, …) and timesteps (B,) are on the CPU."""
    levels, device = denoiser.levels.at(timesteps), denoiser.device
    target = prediction_target(denoiser.prediction, batch.latents, noise, levels)
    condition = denoiser.prepared(batch.condition, batch.latents)
    strength = None
    if denoiser.curve is not None:
        strength = denoiser.curve.factors_at(levels.sigmas(denoiser.prediction)).to(device)
    return Asked(
        noisy=add_noise(batch.latents, noise, levels).to(device, denoiser.dtype),
        timesteps=timesteps.to(device),
        condition={
            # lengths decide how a pass is computed, so they are read where that costs nothing
            key: each if key.endswith(TOKENS) else each.to(device, non_blocking=True)
            for key, each in condition.items()
        },
        target=target.to(device),
        strength=strength,
    )


def answer(denoiser: Denoiser, question: Asked, acting: TrainingNetwork | None) -> Tensor:
    """What the model says, (B, c, …) float32 on its device."""
    if acting is not None and question.strength is not None:
        acting.act_with(question.strength)
    given = question.noisy, question.timesteps, question.condition
    return denoiser.predict(*given, acting).float()


def predicted(
    denoiser: Denoiser,
    batch: Batch,
    noise: Tensor,
    timesteps: Tensor,
    acting: TrainingNetwork | None,
) -> tuple[Tensor, Tensor]:
    """What the model says of the batch with this noise, and what it should say."""
    question = asked(denoiser, batch, noise, timesteps)
    return answer(denoiser, question, acting), question.target


def draw_timesteps(
    kind: str, number: int, first: int, end: int, chance: torch.Generator, shift: float = 1.0
) -> Tensor:
    """Timesteps (number,) int64 in first … end−1.

    "uniform", or "logit-normal" (Esser et al. 2024): the sigmoid of a standard normal, which
    favours the middle. A shift above 1 then moves them towards the noise.
    """
    if kind == "uniform" and shift == 1:
        return torch.randint(first, end, (number,), generator=chance)
    if kind == "uniform":
        part = torch.rand(number, generator=chance)
    else:
        part = torch.randn(number, generator=chance).sigmoid()
    part = shifted(part, shift)
    return (first + part * (end - first)).long().clamp(max=end - 1)


def shifted(part: Tensor, shift: float) -> Tensor:
    """sσ / (1 + (s − 1)σ), from 0 to 1 as σ is."""
    return part if shift == 1 else shift * part / (1 + (shift - 1) * part)


def draw_noise(shape: torch.Size, offset: float, chance: torch.Generator) -> Tensor:
    """Standard normal noise (B, c, …), plus `offset` times one more normal number per channel.

    The offset lets a model learn very dark and very bright pictures (Guttenberg 2023).
    """
    noise = torch.randn(shape, generator=chance)
    if offset:
        of_channels = torch.randn(*shape[:2], *(1,) * (len(shape) - 2), generator=chance)
        noise = noise + offset * of_channels
    return noise


def elementwise_loss(kind: str, found: Tensor, target: Tensor, huber_delta: float) -> Tensor:
    """The loss (B, c, …) of each element with error e.

    "MSE" is e². "Huber" is 2δ(√(e² + δ²) − δ), the smooth form: about e² for small errors, and
    linear for large ones.
    """
    error = (found - target).square()
    if kind == "MSE":
        return error
    return 2 * huber_delta * ((error + huber_delta**2).sqrt() - huber_delta)


def min_snr_weight(prediction: str, levels: NoiseLevels, gamma: float) -> Tensor:
    """The weight (B,) of each timestep in the loss (Hang et al. 2023).

    An error of x_0 counts min(SNR, γ), with SNR = a²/b². An error of the prediction is then
    divided by SNR for eps, and multiplied by b² for v and for flow, whose errors are those of x_0
    divided by b. Finite for a = 0 and for b = 0.
    """
    if prediction == "eps":
        return (gamma * levels.noise / levels.signal).clamp(max=1)  # 1 where a = 0
    return torch.minimum(levels.signal, gamma * levels.noise)


def weights_like(weights: Tensor, latents: Tensor) -> Tensor:
    """Weights (B, …, h, w) with as many dimensions as the latents, to be multiplied with them."""
    missing = latents.ndim - weights.ndim
    return weights.view(weights.shape[0], *(1,) * missing, *weights.shape[1:])
