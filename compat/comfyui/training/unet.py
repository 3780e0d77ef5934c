"""ComfyUI's UNet in training. Networks act on it by attention patches.

The surprise: the UNet's forward writes into its `transformer_options`, so each call gets a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from comfy.ldm.modules.attention import FeedForward, SpatialTransformer
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample, ResBlock, Upsample
from comfy.model_base import SDXL
from torch import Tensor, nn

from hypernet.apply.training_network import TrainingNetwork
from hypernet.pictures.latent_size import size_in_pixels
from hypernet.pictures.sdxl_sizes import sizes_in_options
from hypernet.training.memory_saving import again, outermost

from ..model import uncompiled
from .frozen_model import FrozenModel, attention_with_gradients

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

# ComfyUI's names for the six numbers of sdxl_sizes.py, in their order
SIZES = ("height", "width", "crop_h", "crop_w", "target_height", "target_width")
SPARED = (ResBlock, SpatialTransformer, Downsample, Upsample)  # recomputed and offloaded by layer
UNPATCHED = (ResBlock, FeedForward)  # compiled: they call no patches, which change at every step


class FrozenUnet(FrozenModel):
    """`Denoiser.predict` on ComfyUI's UNet."""

    def __init__(
        self,
        model: ModelPatcher,
        sigmas: Tensor,
        swapped: int = 0,
        compiled: Callable[[str], object] | None = None,
    ):
        super().__init__(model, swapped, compiled)
        # where they are needed: a number from elsewhere would wait for the card in every update
        self.sigmas = sigmas.to(self.device)
        self.falling = self.sigmas.flip(0)

    def spared_layers(self) -> list[nn.Module]:
        return outermost(self.network, SPARED)

    def compilable_layers(self) -> list[nn.Module]:
        return [layer for layer in self.network.modules() if isinstance(layer, UNPATCHED)]

    def __call__(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        condition: Mapping[str, Tensor],
        acting: TrainingNetwork | None,
    ) -> Tensor:
        self.come_home()
        noisy = self.usable(noisy)
        inputs = {"context": self.usable(condition["context"])}
        if self.model.model.adm_channels:
            inputs["y"] = self.usable(self.prepared(condition, noisy)["y"])
        times = timesteps.to(self.device, torch.float32)

        def compute() -> Tensor:
            options = self._options(timesteps, acting)
            return self.network(noisy, times, transformer_options=options, **inputs)

        return self.finished(compute)

    def prepared(self, condition: Mapping[str, Tensor], latents: Tensor) -> Mapping[str, Tensor]:
        """The condition with SDXL's `y`, which is made on the CPU."""
        if not self.model.model.adm_channels or "y" in condition:
            return condition
        return {
            "context": condition["context"],
            "y": _text_and_sizes(self.model.model, condition, latents),
        }

    def _options(self, timesteps: Tensor, acting: TrainingNetwork | None) -> dict:
        """transformer_options for one call: the model's own, with our patches after its own."""
        own = self.model.model_options.get("transformer_options", {})
        patches = {kind: list(items) for kind, items in own.get("patches", {}).items()}
        if acting is not None:
            for kind, patch in (("attn1_patch", acting.attn1), ("attn2_patch", acting.attn2)):
                patches.setdefault(kind, []).append(patch)
        if self.checkpoints or self.swapped:
            handlers = [(kind, self._spare) for kind in SPARED]
            patches.setdefault("forward_timestep_embed_patch", []).extend(handlers)
        return {
            **own,
            "patches": patches,
            "sigmas": self.sigmas[timesteps],
            "sample_sigmas": self.falling,
            "cond_or_uncond": [0],
            "optimized_attention_override": attention_with_gradients,
        }

    def _spare(
        self,
        layer: torch.nn.Module,
        x: Tensor,
        emb: Tensor,
        context: Tensor,
        options: dict[str, Any],
        shape: torch.Size | None,
        *of_videos: object,
    ) -> Tensor:
        """ComfyUI calls this instead of a layer, which is recomputed in the backward pass.

        The layer gets a copy of `options`, because the UNet writes the current block there: a layer
        that is computed again would otherwise find the last block.
        """
        if isinstance(layer, SpatialTransformer):
            inputs, more = (x, context, dict(options)), {}
        elif isinstance(layer, ResBlock):
            inputs, more = (x, emb), {}
        else:
            inputs, more = (x,), {"output_shape": shape} if isinstance(layer, Upsample) else {}

        def compute(*inputs: Any, **more: Any) -> Tensor:
            with self.swap.visit(layer) if layer in self.swap else nullcontext():
                return layer(*inputs, **more)

        twice = self.checkpoints or layer in self.swap
        result = again(compute, *inputs, **more) if twice else layer(*inputs, **more)
        if isinstance(layer, SpatialTransformer) and "transformer_index" in options:
            options["transformer_index"] += 1
        return result


def _text_and_sizes(sdxl: SDXL, condition: Mapping[str, Tensor], latents: Tensor) -> Tensor:
    """SDXL's `y` (B, 2816), made row by row, because the model's encode_adm takes only one size."""
    if "pooled" not in condition:
        raise ValueError(
            "an SDXL model reads the pooled output of its text encoder beside the prompt, and this "
            "conditioning has none. Encode the prompt with the CLIP of the same checkpoint."
        )
    height, width = size_in_pixels(latents)
    whole = torch.tensor([sizes_in_options({}, height, width)]).expand(len(latents), -1)
    return torch.cat(
        [
            sdxl.encode_adm(pooled_output=pooled[None], **dict(zip(SIZES, sizes, strict=True)))
            for pooled, sizes in zip(
                condition["pooled"].cpu(), condition.get("sizes", whole).tolist(), strict=True
            )
        ]
    )


def require_trainable_unet(model: ModelPatcher) -> None:
    """Raises ValueError for UNets that read more than a latent, a text and sizes."""
    name = type(model.model).__name__
    unet = uncompiled(model.get_model_object("diffusion_model"))
    channels = model.get_model_object("latent_format").latent_channels
    if unet.in_channels != channels:
        raise ValueError(
            f"this model ({name}) takes {unet.in_channels} channels where a latent has "
            f"{channels}: it is one for inpainting, editing or video. Train on the plain model; "
            "the network works with this one too."
        )
    if unet.num_classes is not None and not isinstance(model.model, SDXL):
        raise ValueError(
            f"this model ({name}) takes more than a text and the size of a picture, which training "
            "cannot give. Train on a plain Stable Diffusion 1, 2 or XL model."
        )
