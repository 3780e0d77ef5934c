"""The object behind the socket MODEL: a UNet with its patches.

`Model` behaves like ComfyUI's ModelPatcher for attention patches and weight changes: clones share
the weights but have their own lists of both. A change is in the weights only while the model is in
use, so clones never see each other's changes. Weights move to the accelerator on first use and stay
there until they are released. The executor runs nodes in inference mode. Everything that touches
weights leaves it, because tensors made in inference mode can't be used in training.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from hypernet.apply.patches import Patch
from hypernet.diffusers.unet import run_unet

from .sampling import DiscreteSampling

if TYPE_CHECKING:
    from diffusers.models.modeling_utils import ModelMixin
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    from .flow import LatentFlow

UNET_PREFIX = "diffusion_model."


class Change(Protocol):
    """What is added to a weight: a tensor, or an object that becomes one when needed."""

    def to(self, weight: Tensor, /) -> Tensor:
        """The change as a tensor with the weight's shape, dtype and device."""
        ...


@dataclass(frozen=True)
class RowChange:
    """A change of some rows of a weight, from `first` on; other rows stay."""

    rows: Tensor
    first: int

    def to(self, weight: Tensor) -> Tensor:
        whole = torch.zeros_like(weight)
        whole[self.first : self.first + len(self.rows)] = self.rows.to(weight)
        return whole


class LatentDiffusion:
    """A UNet with its noise levels and the scale of its latents; `Model.model` is one."""

    repeats_text = True  # a repeated text is the same to it, so texts of all lengths go together

    def __init__(
        self,
        unet: UNet2DConditionModel,
        model_sampling: DiscreteSampling,
        scaling_factor: float,
    ) -> None:
        self.diffusion_model = unet
        self.unchanged: dict[str, Tensor] = {}  # originals of weights that are changed right now
        self.stays_in_ram = False  # weights only visit the accelerator, see models.denoiser
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

    @property
    def leading(self) -> tuple[int, ...]:
        """A latent's shape before its rows and columns."""
        return (self.diffusion_model.config["in_channels"],)

    def check_latents(self, latent: Tensor) -> None:
        """Raises ValueError for latents of another kind of model."""
        check_shape(latent, *self.leading)

    def fitted(self, latent: Tensor) -> Tensor:
        """Latents to begin from, in the model's shape."""
        return latent


def check_shape(latent: Tensor, *expected: int) -> None:
    """expected: channels, and 1 frame for a model that knows videos."""
    if latent.ndim != len(expected) + 3 or tuple(latent.shape[1:-2]) != expected:
        shape = ", ".join(map(str, expected))
        raise ValueError(
            f"a latent of shape {list(latent.shape)} is not of this model, which takes "
            f"[pictures, {shape}, rows, columns]. Encode with the VAE of the same checkpoint."
        )


class Model:
    """A LatentDiffusion or LatentFlow with its patches. source: the checkpoint, if known."""

    def __init__(
        self,
        model: LatentDiffusion | LatentFlow,
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
    def module(self) -> ModelMixin:
        return self.model.diffusion_model

    def clone(self) -> Model:
        """A clone with the same weights and patch objects, but its own lists and dicts."""
        options = _new_containers(self.model_options)
        twin = Model(self.model, self.load_device, self.name, options, self.source)
        twin.patches = _new_containers(self.patches)
        twin.attachments = dict(self.attachments)
        return twin

    def with_sampling(self, model_sampling: DiscreteSampling) -> Model:
        """The same weights, used with another kind of prediction or other noise levels.

        Raises ValueError for a model of another kind of noise.
        """
        if not isinstance(self.model, LatentDiffusion):
            raise ValueError(
                "this model learnt by flow matching, which eps and v are not: leave out "
                "ModelSamplingDiscrete."
            )
        twin, model = self.clone(), copy.copy(self.model)  # shares the UNet and `unchanged`
        model.model_sampling = model_sampling
        twin.model = model
        return twin

    @torch.inference_mode(False)
    def move_to(self, device: torch.device) -> None:
        """Move the weights, unless they stay in RAM at present."""
        if not self.model.stays_in_ram:
            # diffusers wraps this method in one whose type has lost self
            self.module.to(device)  # pyright: ignore[reportArgumentType]

    def model_dtype(self) -> torch.dtype:
        return self.module.dtype

    def get_model_object(self, name: str) -> Any:
        return attrgetter(name)(self.model)

    def set_model_attn1_patch(self, patch: Patch) -> None:
        self.set_model_patch(patch, "attn1_patch")

    def set_model_attn2_patch(self, patch: Patch) -> None:
        self.set_model_patch(patch, "attn2_patch")

    def set_model_patch(self, patch: Any, name: str) -> None:
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

    def changed_layers(self) -> set[nn.Module]:
        """The layers whose weights have changes while the model is in use."""
        names = (key.removeprefix(UNET_PREFIX).rpartition(".")[0] for key in self.patches)
        return {self.module.get_submodule(name) for name in names}

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
        self.move_to(self.load_device)
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
