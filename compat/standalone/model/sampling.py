"""Sampling: turns noise into latents, with the same numbers as ComfyUI.

Diffusion works on x = x_0 + sigma · noise, whose variance grows with sigma (k-diffusion's form);
the UNet gets x / sqrt(sigma² + 1). Flow matching works on x = (1 − sigma) · x_0 + sigma · noise,
with sigma from 1 to 0, and the same steps lead from one to the next. A sampler is a function of a
denoiser (x, sigma) -> x_0, of x, of descending sigmas that end in 0, and of a source of noise for
ancestral samplers. A seed gives the same noise as in ComfyUI: normal numbers from torch's CPU
generator.

Left out: noise masks, areas and strengths of a conditioning, and the other samplers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from hypernet.pictures.latent_size import size_in_pixels
from hypernet.pictures.sdxl_sizes import sizes_in_options

from ..progress import Progress, raise_if_interrupted
from .model_files.anima_text import adapted
from .samplers import NOT_FOR_FLOW, SAMPLERS, Denoise

if TYPE_CHECKING:
    from .patched_model import Model

Conditioning = list[list]  # [[context (1, T, C), {"pooled_output": (1, C)}], ...]


ZERO = 4.8973451890853435e-08  # ComfyUI's a_T for zero terminal SNR; above 0, so sigma is finite


def scaled_linear(first: float = 0.00085, last: float = 0.012, timesteps: int = 1000) -> Tensor:
    """(timesteps,) float64 a_t of Stable Diffusion: the roots of the betas are evenly spaced."""
    betas = torch.linspace(first**0.5, last**0.5, timesteps, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(dim=0)


def linear(first: float, last: float, timesteps: int) -> Tensor:
    """(timesteps,) float64 a_t of evenly spaced betas."""
    return (1 - torch.linspace(first, last, timesteps, dtype=torch.float64)).cumprod(dim=0)


def with_zero_snr(alphas_cumprod: Tensor) -> Tensor:
    """The same levels, rescaled so that the last is pure noise (Lin et al. 2023, algorithm 1)."""
    root = alphas_cumprod.sqrt()
    stretched = (root - root[-1]) * root[0] / (root[0] - root[-1])
    return torch.cat([stretched[:-1] ** 2, torch.full_like(root[-1:], ZERO)])


class NoiseLevels(Protocol):
    """What a model says of its noise, as its `model_sampling`."""

    prediction: str
    sigmas: Tensor  # those it was trained on, ascending

    @property
    def sigma_min(self) -> Tensor: ...

    @property
    def sigma_max(self) -> Tensor: ...

    def timestep(self, sigma: Tensor) -> Tensor: ...

    def sigma(self, timestep: Tensor) -> Tensor: ...

    def percent_to_sigma(self, percent: float) -> float: ...

    def calculate_denoised(self, sigma: Tensor, output: Tensor, x: Tensor) -> Tensor: ...

    def noise_scaling(
        self, sigma: Tensor, noise: Tensor, latent: Tensor, max_denoise: bool = False
    ) -> Tensor: ...


class DiscreteSampling:
    """The noise levels a model was trained on: sigma_t = sqrt((1 − a_t) / a_t), ascending.

    `alphas_cumprod` holds a_t (timesteps,); `prediction` is "eps" or "v" (hypernet.diffusion).
    """

    def __init__(self, alphas_cumprod: Tensor, prediction: str) -> None:
        self.prediction = prediction
        self.alphas_cumprod = alphas_cumprod.float()
        self.sigmas = ((1 - alphas_cumprod) / alphas_cumprod).sqrt().float()
        self.log_sigmas = self.sigmas.log()
        self.sigma_data = 1.0

    @property
    def sigma_min(self) -> Tensor:
        return self.sigmas[0]

    @property
    def sigma_max(self) -> Tensor:
        return self.sigmas[-1]

    def timestep(self, sigma: Tensor) -> Tensor:
        """The nearest trained timestep, int64, of sigma's shape and device."""
        distances = sigma.log().cpu().reshape(-1) - self.log_sigmas[:, None]
        return distances.abs().argmin(dim=0).view(sigma.shape).to(sigma.device)

    def sigma(self, timestep: Tensor) -> Tensor:
        """sigma at a timestep. Between two timesteps, log sigma is interpolated."""
        place = timestep.float().cpu().clamp(0, len(self.sigmas) - 1)
        below, above, part = place.floor().long(), place.ceil().long(), place.frac()
        log_sigma = (1 - part) * self.log_sigmas[below] + part * self.log_sigmas[above]
        return log_sigma.exp().to(timestep.device)

    def percent_to_sigma(self, percent: float) -> float:
        """sigma after this share of sampling; for 0 and 1, values outside all noise levels."""
        if percent <= 0.0:
            return 999999999.9
        if percent >= 1.0:
            return 0.0
        return self.sigma(torch.tensor((1.0 - percent) * (len(self.sigmas) - 1))).item()

    def calculate_input(self, sigma: Tensor, x: Tensor) -> Tensor:
        """x with unit variance, as the UNet takes it."""
        return x / (_per_item(sigma, x) ** 2 + 1).sqrt()

    def calculate_denoised(self, sigma: Tensor, output: Tensor, x: Tensor) -> Tensor:
        """x_0 from the UNet's output for x."""
        sigma = _per_item(sigma, x)
        if self.prediction == "v":
            return x / (sigma**2 + 1) - output * sigma / (sigma**2 + 1).sqrt()
        return x - output * sigma

    def noise_scaling(
        self, sigma: Tensor, noise: Tensor, latent: Tensor, max_denoise: bool = False
    ) -> Tensor:
        """The x from which sampling starts.

        From pure noise (max_denoise) the spread is that of training, sqrt(sigma² + 1), not sigma.
        """
        sigma = _per_item(sigma, noise)
        return noise * ((1 + sigma**2).sqrt() if max_denoise else sigma) + latent


def _per_item(sigma: Tensor, x: Tensor) -> Tensor:
    return sigma.reshape(-1, *[1] * (x.ndim - 1))


# --- sigmas --------------------------------------------------------------------------------------


def normal(levels: NoiseLevels, steps: int) -> Tensor:
    """Evenly spaced timesteps, then 0."""
    first, last = (float(levels.timestep(end)) for end in (levels.sigma_max, levels.sigma_min))
    return torch.cat([levels.sigma(torch.linspace(first, last, steps)), torch.zeros(1)])


def simple(levels: NoiseLevels, steps: int) -> Tensor:
    """Every so manyth of the levels that the model was trained on, then 0."""
    apart = len(levels.sigmas) / steps
    places = [len(levels.sigmas) - 1 - int(step * apart) for step in range(steps)]
    return torch.cat([levels.sigmas[places], torch.zeros(1)])


def karras(levels: NoiseLevels, steps: int, rho: float = 7.0) -> Tensor:
    """Even steps of sigma^(1/rho) (Karras et al. 2022, eq. 5), then 0."""
    low, high = float(levels.sigma_min) ** (1 / rho), float(levels.sigma_max) ** (1 / rho)
    ramp = torch.linspace(0, 1, steps)
    return torch.cat([(high + ramp * (low - high)) ** rho, torch.zeros(1)])


SCHEDULERS = {"normal": normal, "karras": karras, "simple": simple}


def sigmas_for(levels: NoiseLevels, scheduler: str, steps: int, denoise: float = 1.0) -> Tensor:
    """(steps + 1,) sigmas. denoise < 1 takes the last steps of a longer schedule; 0 gives none."""
    schedule = _named(SCHEDULERS, scheduler, "scheduler")
    if denoise > 0.9999:
        return schedule(levels, steps)
    if denoise <= 0.0:
        return torch.zeros(0)
    return schedule(levels, int(steps / denoise))[-(steps + 1) :]


def _named(table: dict[str, Callable], name: str, kind: str) -> Callable:
    if name not in table:
        raise ValueError(f'{kind} "{name}" is not known here; choose {", ".join(table)}.')
    return table[name]


# --- a model, guided by two conditionings --------------------------------------------------------


def guided(
    model: Model, positive: Conditioning, negative: Conditioning, cfg: float, sigmas: Tensor
) -> Denoise:
    """A denoiser with classifier-free guidance: uncond + cfg · (cond − uncond).

    UNets compute both in one batch: first the chunks of the negative, then those of the positive
    (`cond_or_uncond` 1 and 0). cfg 1 leaves the negative out. Several entries are averaged.
    """
    needed = [(0, entry) for entry in positive]
    if not math.isclose(cfg, 1.0):
        needed += [(1, entry) for entry in negative]
    needed.reverse()
    calls = [needed] if model.model.repeats_text else [[each] for each in needed]

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        sigma = sigma.expand(len(x))
        chunks = [each for call in calls for each in _predicted(model, call, x, sigma, sigmas)]
        cond, uncond = ([chunk for index, chunk in chunks if index == side] for side in (0, 1))
        wanted = torch.stack(cond).mean(dim=0)
        if not uncond:
            return wanted
        unwanted = torch.stack(uncond).mean(dim=0)
        return unwanted + (wanted - unwanted) * cfg

    return denoise


def _predicted(
    model: Model, entries: list[tuple[int, list]], x: Tensor, sigma: Tensor, sigmas: Tensor
) -> list[tuple[int, Tensor]]:
    """x_0 for each of these entries, by one call of the model."""
    which = [index for index, _ in entries]
    contexts = _same_length([entry[0] for _, entry in entries])
    options = {
        **model.model_options["transformer_options"],
        "sample_sigmas": sigmas,
        "sigmas": sigma,
        "cond_or_uncond": list(which),
    }
    found = model.model.apply_model(
        torch.cat([x] * len(which)),
        torch.cat([sigma] * len(which)),
        c_crossattn=torch.cat([_to_batch(context, len(x)) for context in contexts]),
        transformer_options=options,
        **_added([entry[1] for _, entry in entries], x),
    )
    return list(zip(which, found.chunk(len(which)), strict=True))


def _added(options: list[Mapping[str, Any]], x: Tensor) -> dict[str, Tensor]:
    """SDXL's additional conditioning, for one batch of all entries. Other models ignore it."""
    found = [each.get("pooled_output") for each in options]
    pooled = [each for each in found if each is not None]
    if len(pooled) < len(options):
        return {}
    height, width = size_in_pixels(x)
    sizes = [sizes_in_options(each, height, width) for each in options]
    return {
        "pooled": torch.cat([_to_batch(each, len(x)) for each in pooled]),
        "sizes": torch.tensor(sizes).float().repeat_interleave(len(x), dim=0),
    }


def _same_length(contexts: list[Tensor]) -> list[Tensor]:
    """Contexts repeated to the same number of tokens; repetition doesn't change attention."""
    length = math.lcm(*(context.shape[1] for context in contexts))
    return [context.repeat(1, length // context.shape[1], 1) for context in contexts]


def _to_batch(tensor: Tensor, batch: int) -> Tensor:
    return tensor.repeat(-(-batch // len(tensor)), *[1] * (tensor.ndim - 1))[:batch]


@torch.no_grad()
def sample(
    model: Model,
    positive: Conditioning,
    negative: Conditioning,
    latent: Tensor,
    *,
    seed: int,
    steps: int,
    cfg: float,
    sampler: str = "euler",
    scheduler: str = "normal",
    denoise: float = 1.0,
    shown: bool = True,
) -> Tensor:
    """Sample latents, starting from `latent` (B, c, h, w); both unscaled, as in LATENT, on the CPU.

    shown: report each step to the host's progress. A node that draws among other work reports its
    progress itself. Raises Interrupted if the user stops the prompt.
    """
    run = _named(SAMPLERS, sampler, "sampler")
    levels = model.get_model_object("model_sampling")
    _check_sampler(sampler, levels)
    latent = model.model.fitted(latent)
    sigmas = sigmas_for(levels, scheduler, steps, denoise)
    if len(sigmas) == 0:
        return latent
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed))
    device = model.load_device
    latent, noise, sigmas = (t.to(device, torch.float32) for t in (latent, noise, sigmas))
    if latent.any():
        latent = model.model.process_latent_in(latent)
    x = levels.noise_scaling(sigmas[0], noise, latent, _is_highest(sigmas[0], levels))
    guide = guided(model, adapted(model, positive), adapted(model, negative), cfg, sigmas)
    progress = Progress(len(sigmas) - 1) if shown else None
    done = 0

    def one_step(x: Tensor, sigma: Tensor) -> Tensor:
        nonlocal done
        raise_if_interrupted()
        denoised = guide(x, sigma)
        done += 1
        if progress is not None:
            progress.update(done)
        return denoised

    with model.loaded():
        x = run(one_step, x, sigmas, _noise_source(x, seed))
    return model.model.process_latent_out(x.float()).cpu()


def _check_sampler(name: str, levels: NoiseLevels) -> None:
    if levels.prediction == "flow" and name in NOT_FOR_FLOW:
        raise ValueError(
            f'sampler "{name}" adds noise in another way to models of flow matching, which is not '
            "made here: choose euler."
        )


def _is_highest(sigma: Tensor, levels: NoiseLevels) -> bool:
    highest = float(levels.sigma_max)
    return float(sigma) > highest or math.isclose(float(sigma), highest, rel_tol=1e-5)


def _noise_source(x: Tensor, seed: int) -> Callable[[], Tensor]:
    """Noise for ancestral steps, drawn on the device of x.

    On the CPU another seed is used, because `seed` already gave the initial noise there.
    """
    if x.device.type == "cpu":
        seed = (seed + 1) % 2**64
    generator = torch.Generator(x.device).manual_seed(seed)
    return lambda: torch.randn(x.shape, device=x.device, generator=generator)
