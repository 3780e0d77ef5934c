"""The objects behind the sockets MODEL and VAE, and the contract's functions for them and CLIP.

`Model` behaves like ComfyUI's ModelPatcher for attention patches and weight changes: clones share
the weights but have their own lists of both. A change is in the weights only while the model is in
use, so clones never see each other's changes. Weights move to the accelerator on first use and stay
there until `release`. The executor runs nodes in inference mode. Everything that touches weights
leaves it, because tensors made in inference mode can't be used in training.

Latents are unscaled in a LATENT socket and in `Vae`, as in ComfyUI. They are scaled by the model's
scaling factor for the UNet and in the contract's `encode_pictures`.
"""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from hypernet.apply.fold import AttentionWeights, attention_names
from hypernet.diffusers.denoiser import denoiser as library_denoiser
from hypernet.diffusers.unet import run_unet, widths_of
from hypernet.encoding.unload import unload as unload_weights
from hypernet.pictures.sdxl_sizes import sizes_in_options
from hypernet.training.diffusion import Denoiser, Patch

from .sampling import Conditioning, DiscreteSampling, sample
from .text import Clip

UNET_PREFIX = "diffusion_model."


class Change(Protocol):
    """What is added to a weight: a tensor, or an object that becomes one when needed."""

    def to(self, weight: Tensor) -> Tensor:
        """The change as a tensor with the weight's shape, dtype and device."""


class LatentDiffusion:
    """A UNet with its noise levels and the scale of its latents; `Model.model` is one."""

    def __init__(
        self, unet: nn.Module, model_sampling: DiscreteSampling, scaling_factor: float
    ) -> None:
        self.diffusion_model = unet
        self.unchanged: dict[str, Tensor] = {}  # originals of weights that are changed right now
        self.stays_in_ram = False  # weights only visit the accelerator, see `_staying_in_ram`
        self.model_sampling = model_sampling
        self.scaling_factor = scaling_factor

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
        """The predicted x_0 in float32, from x (B, c, h, w), sigma (B,) and context (B, T, C).

        pooled and sizes: as in `run_unet`.
        """
        levels = self.model_sampling
        output = run_unet(
            self.diffusion_model,
            levels.calculate_input(sigma, x),
            levels.timestep(sigma).float(),
            c_crossattn,
            transformer_options or {},
            pooled,
            sizes,
        )
        return levels.calculate_denoised(sigma, output, x)

    def process_latent_in(self, latent: Tensor) -> Tensor:
        return latent * self.scaling_factor

    def process_latent_out(self, latent: Tensor) -> Tensor:
        return latent / self.scaling_factor


class Model:
    """A LatentDiffusion with its patches. source: the checkpoint, if known."""

    def __init__(
        self,
        model: LatentDiffusion,
        load_device: torch.device,
        name: str,
        model_options: dict[str, Any] | None = None,
        source: Path | None = None,
    ) -> None:
        self.patches: dict[str, list[tuple[float, Change]]] = {}  # weight -> strengths, changes
        self.attachments: dict[str, Any] = {}
        self.model = model
        self.load_device = load_device
        self.name = name
        self.source = source
        self.model_options = model_options or {"transformer_options": {}}

    @property
    def module(self) -> nn.Module:
        return self.model.diffusion_model

    def clone(self) -> Model:
        """A clone with the same weights and patch objects, but its own lists and dicts."""
        options = _new_containers(self.model_options)
        twin = Model(self.model, self.load_device, self.name, options, self.source)
        twin.patches = _new_containers(self.patches)
        twin.attachments = dict(self.attachments)
        return twin

    def with_sampling(self, model_sampling: DiscreteSampling) -> Model:
        """The same weights, used with another kind of prediction or other noise levels."""
        twin = self.clone()
        twin.model = copy.copy(self.model)  # shares the UNet and `unchanged`
        twin.model.model_sampling = model_sampling
        return twin

    def model_dtype(self) -> torch.dtype:
        return self.module.dtype

    def get_model_object(self, name: str) -> Any:
        return attrgetter(name)(self.model)

    def set_model_attn1_patch(self, patch: Patch) -> None:
        self._add_patch("attn1_patch", patch)

    def set_model_attn2_patch(self, patch: Patch) -> None:
        self._add_patch("attn2_patch", patch)

    def _add_patch(self, name: str, patch: Patch) -> None:
        patches = self.model_options["transformer_options"].setdefault("patches", {})
        patches[name] = [*patches.get(name, []), patch]

    def set_attachments(self, key: str, attachment: Any) -> None:
        self.attachments[key] = attachment

    def get_attachment(self, key: str) -> Any:
        return self.attachments.get(key)

    def add_patches(
        self, patches: Mapping[str, tuple[str, tuple[Change]]], strength_patch: float = 1.0
    ) -> list[str]:
        """Add changes of weights, as "diffusion_model.…" -> ("diff", (change,)).

        Returns the names that exist in the model.
        """
        known = dict(self.module.named_parameters())
        found = [key for key in patches if key.removeprefix(UNET_PREFIX) in known]
        for key in found:
            _, (change,) = patches[key]
            self.patches.setdefault(key, []).append((strength_patch, change))
        return found

    @torch.inference_mode(False)
    @torch.no_grad()
    def changed_weight(self, name: str) -> Tensor:
        """A weight of the UNet with this model's changes, in float32."""
        stored = self.model.unchanged.get(name)
        weight = (self.module.get_parameter(name) if stored is None else stored).float()
        for strength, change in self.patches.get(UNET_PREFIX + name, ()):
            weight = weight + strength * change.to(weight)
        return weight

    @contextmanager
    def _weights_changed(self) -> Iterator[None]:
        """Inside the block, the weights have this model's changes and no others."""
        unchanged = self.model.unchanged
        names = {key.removeprefix(UNET_PREFIX) for key in self.patches} | unchanged.keys()
        weights = {name: self.module.get_parameter(name) for name in names}
        before = {name: weight.data for name, weight in weights.items()}
        first = names - unchanged.keys()
        with torch.inference_mode(False):
            unchanged.update({name: before[name] for name in first})
            for name, weight in weights.items():
                weight.data = self.changed_weight(name).to(weight.dtype)
        try:
            yield
        finally:
            with torch.inference_mode(False):
                for name, weight in weights.items():
                    weight.data = before[name]
            for name in first:
                del unchanged[name]

    @contextmanager
    def loaded(self) -> Iterator[None]:
        """Inside the block, weights and patches are on the accelerator.

        As in ComfyUI, a patch may have `to(device or dtype)`, which returns the patch to use, and
        `cleanup()`, which is called at the end.
        """
        patches = self.model_options["transformer_options"].get("patches", {})
        move_to(self.load_device, self)
        for members in patches.values():
            for place, patch in enumerate(members):
                if hasattr(patch, "to"):
                    members[place] = patch.to(self.load_device).to(self.model_dtype())
        try:
            with self._weights_changed():
                yield
        finally:
            for members in patches.values():
                for patch in members:
                    if hasattr(patch, "cleanup"):
                        patch.cleanup()


def _new_containers(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: _new_containers(value) for key, value in found.items()}
    if isinstance(found, list):
        return [_new_containers(value) for value in found]
    return found


class Vae:
    """A diffusers AutoencoderKL.

    Pictures are processed one by one, so memory stays constant and each latent depends only on its
    own picture.
    """

    def __init__(self, vae: nn.Module, load_device: torch.device) -> None:
        self.module = vae
        self.load_device = load_device
        self.downscale = 2 ** (len(vae.config.block_out_channels) - 1)

    @torch.inference_mode(False)
    @torch.no_grad()
    def encode_distribution(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of unscaled latents, (B, c, h, w) each, float32, CPU.

        pictures: (B, H, W, 3+) in 0..1. If the VAE can't divide a side, it is cropped around the
        centre.
        """
        move_to(self.load_device, self)
        pictures = _crop_to_multiple(pictures[..., :3], self.downscale).movedim(-1, 1)
        found = [self._encode_one(picture) for picture in pictures.split(1)]
        mean, std = (torch.cat(each) for each in zip(*found, strict=True))
        return mean, std

    def encode(self, pictures: Tensor) -> Tensor:
        """The means of the unscaled latents, see `encode_distribution`."""
        return self.encode_distribution(pictures)[0]

    def _encode_one(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        picture = picture.to(self.load_device, self.module.dtype) * 2 - 1
        found = self.module.encode(picture).latent_dist
        return found.mean.float().cpu(), found.std.float().cpu()

    @torch.inference_mode(False)
    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Unscaled latents (B, c, h, w) -> pictures (B, H, W, 3) in 0..1, float32, CPU."""
        move_to(self.load_device, self)
        return torch.cat([self._decode_one(latent) for latent in latents.split(1)])

    def _decode_one(self, latent: Tensor) -> Tensor:
        picture = self.module.decode(latent.to(self.load_device, self.module.dtype)).sample
        return (picture.float().cpu() / 2 + 0.5).clamp(0, 1).movedim(1, -1)


def _crop_to_multiple(pictures: Tensor, multiple: int) -> Tensor:
    for side in (1, 2):
        rest = pictures.shape[side] % multiple
        pictures = pictures.narrow(side, rest // 2, pictures.shape[side] - rest)
    return pictures


@torch.inference_mode(False)
def move_to(device: torch.device, *models: Model | Clip | Vae) -> None:
    for model in models:
        if not (isinstance(model, Model) and model.model.stays_in_ram):
            model.module.to(device)


# --- the contract's functions --------------------------------------------------------------------


@torch.inference_mode(False)
@torch.no_grad()
def encode_pictures(vae: Vae, pictures: Tensor, model: Model) -> tuple[Tensor, Tensor]:
    mean, std = vae.encode_distribution(pictures)
    into = model.model.process_latent_in
    return into(mean), into(std) - into(torch.zeros_like(std))


def encode_texts(clip: Clip, texts: list[str]) -> list[dict[str, Tensor]]:
    return [read_conditioning(conditioning(clip, text))[0] for text in texts]


@torch.inference_mode(False)
@torch.no_grad()
def scale_latents(model: Model, samples: Tensor) -> Tensor:
    channels = model.module.config.in_channels
    if samples.ndim != 4 or samples.shape[1] != channels:
        raise ValueError(
            f"a latent of shape {list(samples.shape)} is not of this model, which takes "
            f"[pictures, {channels}, rows, columns]. Encode with the VAE of the same checkpoint."
        )
    return model.model.process_latent_in(samples.to("cpu", torch.float32, copy=True))


def conditioning(clip: Clip, text: str) -> Conditioning:
    context, pooled = clip.encode(text)
    return [[context, {"pooled_output": pooled}]]


@torch.inference_mode(False)
@torch.no_grad()
def read_conditioning(conditioning: Conditioning) -> list[dict[str, Tensor]]:
    return [
        {key: value.to("cpu", torch.float32, copy=True) for key, value in entry.items()}
        for contexts, options in conditioning
        for entry in _entries(contexts, options)
    ]


def _entries(contexts: Tensor, options: Mapping[str, Any]) -> Iterator[dict[str, Tensor]]:
    pooled = options.get("pooled_output")
    for place, context in enumerate(contexts):
        entry = {"context": context}
        if pooled is not None:
            entry["pooled"] = pooled[place % len(pooled)]
        if "height" in options and "width" in options:
            entry["sizes"] = torch.tensor(sizes_in_options(options, 0, 0))
        yield entry


def release(*models: Model | Clip | Vae) -> None:
    move_to(torch.device("cpu"), *models)
    free_memory()


def unload(folder: Path, *models: Clip | Vae) -> None:
    for model in models:
        unload_weights(model.module, folder)


def free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def attention_widths(model: Model) -> dict[str, tuple[int, ...]]:
    return widths_of(model.module)


def attention_weights(model: Model) -> Iterator[AttentionWeights]:
    for name in attention_names(dict(model.module.named_parameters())):
        yield AttentionWeights(
            name=name,
            keys=model.changed_weight(f"{name}.to_k.weight"),
            values=model.changed_weight(f"{name}.to_v.weight"),
            out=model.changed_weight(f"{name}.to_out.0.weight"),
            dtype=model.model_dtype(),
        )


def with_weight_changes(model: Model, changes: Mapping[str, Tensor]) -> Model:
    patches = {UNET_PREFIX + name: ("diff", (change,)) for name, change in changes.items()}
    patched = model.clone()
    missed = patches.keys() - set(patched.add_patches(patches))
    if missed:
        raise ValueError(f"this model has no weight {', '.join(sorted(missed))} to change.")
    return patched


def changes_of(model: Any) -> dict[str, Any]:
    """The changes of a Model's weights, and the layers at which a Clip is read."""
    layers = [encoder.layer for encoder in getattr(model, "encoders", ())]
    return {"patches": getattr(model, "patches", {}), "layers": layers}


def model_name(model: Model) -> str:
    return model.name


def model_file(model: Model) -> Path | None:
    return model.source


@contextmanager
def denoiser(
    model: Model,
    *,
    dtype: torch.dtype | None = None,
    offload: bool = False,
    compiled: Callable[[str], object] | None = None,
) -> Iterator[Denoiser]:
    """Inside the block, inference mode is off, gradients are on and the UNet is frozen."""
    levels = model.model.model_sampling

    def options_at(timesteps: Tensor) -> dict[str, Any]:
        return {
            **model.model_options["transformer_options"],
            "sigmas": levels.sigma(timesteps),
            "cond_or_uncond": [0],
        }

    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        _staying_in_ram(model) if offload else nullcontext(),
        library_denoiser(
            model.module,
            levels.alphas_cumprod,
            levels.prediction,
            model.load_device,
            dtype=dtype,
            offload=offload,
            compiled=compiled,
            loaded=model.loaded,
            options_at=options_at,
        ) as opened,
    ):
        yield opened


@contextmanager
def _staying_in_ram(model: Model) -> Iterator[None]:
    """Inside the block, the model is in RAM and `loaded` leaves it there, for previews too."""
    move_to(torch.device("cpu"), model)
    model.model.stays_in_ram = True
    try:
        yield
    finally:
        model.model.stays_in_ram = False


def generate(
    model: Model,
    vae: Vae,
    positive: Conditioning,
    negative: Conditioning,
    *,
    width: int,
    height: int,
    seed: int,
    steps: int,
    cfg: float,
) -> Tensor:
    channels = vae.module.config.latent_channels
    empty = torch.zeros(1, channels, height // vae.downscale, width // vae.downscale)
    latent = sample(model, positive, negative, empty, seed=seed, steps=steps, cfg=cfg, shown=False)
    return vae.decode(latent)
