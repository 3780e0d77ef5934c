"""A transformer that learnt by flow matching, with its noise levels, as `Model.model`.

    x = (1 − σ)·x_0 + σ·noise      x_0 = x − σ·v      σ = s·t / (1 + (s − 1)·t), t from 0 to 1

The shift s spends more steps on noise. The numbers are ComfyUI's, so the same seed begins from the
same noise and takes the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hypernet.apply.site_patches import SitePatch, applied
from hypernet.diffusers.latents import LatentFormat
from hypernet.diffusers.velocities import inputs_of, velocity_of
from hypernet.families import take_census
from hypernet.pictures.latent_size import PIXELS
from hypernet.training.diffusion import shifted

from .patched_model import check_shape

if TYPE_CHECKING:
    from diffusers.models.modeling_utils import ModelMixin

NAME = "hypernet"  # of our patches among a model's


@dataclass(frozen=True)
class Kind:
    """How ComfyUI samples a class: its shift, and how many levels it counts."""

    shift: float
    levels: int = 1000


KINDS = {
    "FluxTransformer2DModel": Kind(math.exp(1.15), 10_000),
    "Flux2Transformer2DModel": Kind(math.exp(2.02), 10_000),
    "ChromaTransformer2DModel": Kind(math.exp(1.15), 10_000),
    "QwenImageTransformer2DModel": Kind(math.exp(1.15), 10_000),
    "Krea2Transformer2DModel": Kind(math.exp(1.15), 10_000),
    "SD3Transformer2DModel": Kind(3.0),
    "Lumina2Transformer2DModel": Kind(6.0),
    "ZImageTransformer2DModel": Kind(3.0),
    "CosmosTransformer3DModel": Kind(3.0),
    "WanTransformer3DModel": Kind(8.0),
}


class FlowSampling:
    """The noise levels of flow matching. shift: s, for all sizes of pictures."""

    prediction = "flow"

    def __init__(self, shift: float = 1.0, levels: int = 1000) -> None:
        self.shift = shift
        self.sigmas = self.sigma(torch.arange(1, levels + 1) / levels)
        self.sigma_data = 1.0

    @property
    def sigma_min(self) -> Tensor:
        return self.sigmas[0]

    @property
    def sigma_max(self) -> Tensor:
        return self.sigmas[-1]

    def timestep(self, sigma: Tensor) -> Tensor:
        """What the model is asked with, and what steps are counted in: σ itself, shifted or not."""
        return sigma

    def sigma(self, timestep: Tensor) -> Tensor:
        return shifted(timestep, self.shift)

    def percent_to_sigma(self, percent: float) -> float:
        """σ after this share of sampling."""
        return float(shifted(torch.tensor(1 - min(max(percent, 0.0), 1.0)), self.shift))

    def calculate_denoised(self, sigma: Tensor, output: Tensor, x: Tensor) -> Tensor:
        return x - output * sigma.view(-1, *[1] * (x.ndim - 1))

    def noise_scaling(
        self, sigma: Tensor, noise: Tensor, latent: Tensor, max_denoise: bool = False
    ) -> Tensor:
        return sigma * noise + (1 - sigma) * latent


class LatentFlow:
    """As LatentDiffusion, for a transformer. form: of its VAE's latents. adapter: of its text."""

    repeats_text = False

    def __init__(
        self,
        transformer: ModelMixin,
        model_sampling: FlowSampling,
        form: LatentFormat,
        adapter: nn.Module | None = None,
    ) -> None:
        self.diffusion_model: Any = transformer  # each class has a config of its own
        self.unchanged: dict[str, Tensor] = {}
        self.stays_in_ram = False
        self.model_sampling = model_sampling
        self.form = form
        self.adapter = adapter
        self.sites = take_census(transformer).sites

    def apply_model(
        self,
        x: Tensor,
        sigma: Tensor,
        *,
        c_crossattn: Tensor,
        transformer_options: Mapping[str, Any] | None = None,
        pooled: Tensor | None = None,
        sizes: Tensor | None = None,
    ) -> Tensor:
        """The predicted x_0 in float32, from x (B, c, …), sigma (B,) and context (B, T, C)."""
        options = transformer_options or {}
        condition = {"context": c_crossattn} | ({} if pooled is None else {"pooled": pooled})
        with applied(self.diffusion_model, self.sites, patches_in(options), options):
            velocity = velocity_of(self.diffusion_model, x, sigma, condition)
        return self.model_sampling.calculate_denoised(sigma, velocity, x)

    def process_latent_in(self, latent: Tensor) -> Tensor:
        return self.form.into(latent)

    def process_latent_out(self, latent: Tensor) -> Tensor:
        return self.form.out_of(latent)

    def check_latents(self, latent: Tensor) -> None:
        check_shape(latent, *self.leading)

    def fitted(self, latent: Tensor) -> Tensor:
        """Empty latents of any model, made by "Empty Latent Image", in this model's shape."""
        if tuple(latent.shape[1:-2]) == self.leading or latent.any():
            self.check_latents(latent)
            return latent
        sides = [side * PIXELS // self.form.pixels for side in latent.shape[-2:]]
        return torch.zeros(len(latent), *self.leading, *sides)

    @property
    def leading(self) -> tuple[int, ...]:
        """Channels, and 1 frame if the model knows videos."""
        inputs = inputs_of(self.diffusion_model)
        channels = inputs.channels(self.diffusion_model.config)
        return (channels, 1) if inputs.has_frames else (channels,)


def patches_in(options: Mapping[str, Any]) -> list[SitePatch]:
    return options.get("patches", {}).get(NAME, [])
