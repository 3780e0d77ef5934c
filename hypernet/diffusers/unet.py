"""A diffusers UNet that calls ComfyUI's attention patches.

ComfyUI lets a patch change the inputs of the projections in every attention layer:

    n, context, value = patch(n, context, value, extra_options)
    query, key, value = to_q(n), to_k(context), to_v(value)

Here each layer has an attention processor for this, which is installed for good or for a block. The
processor only knows its layer and has no state that a call changes, so a layer that is recomputed
(gradient checkpointing) gets the same `extra_options` again. The patches, and everything else that
belongs to a call, arrive as `transformer_options` through cross_attention_kwargs.

Shapes: B batch, T tokens, C width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..pictures.latent_size import size_in_pixels
from .blocks import Block, modules_in, spatial_transformers

if TYPE_CHECKING:
    from diffusers.models.attention_processor import Attention
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel


class PatchedAttention:
    """The attention of one layer. kind: "attn1" (self) or "attn2" (cross)."""

    def __init__(self, kind: str, block: Block, block_index: int, transformer_index: int) -> None:
        self.kind = kind
        self.identity = {
            "block": block,
            "block_index": block_index,
            "transformer_index": transformer_index,
        }

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: None = None,  # diffusers always passes it; Stable Diffusion has none
        transformer_options: Mapping[str, Any] | None = None,
    ) -> Tensor:
        n = hidden_states
        context = n if encoder_hidden_states is None else encoder_hidden_states
        value = context
        options = transformer_options or {}
        patches = options.get("patches", {}).get(f"{self.kind}_patch", ())
        if patches:
            extra_options = self._extra_options(attn, options)
            for patch in patches:
                n, context, value = patch(n, context, value, extra_options)
        # diffusers builds other models with layers that lack one of them
        assert attn.to_k is not None and attn.to_v is not None and attn.to_out is not None
        query, key, value = (
            tokens.unflatten(-1, (attn.heads, -1)).transpose(1, 2)  # (B, heads, T, C / heads)
            for tokens in (attn.to_q(n), attn.to_k(context), attn.to_v(value))
        )
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        for layer in attn.to_out:  # a linear layer and a dropout
            mixed = layer(mixed)
        return mixed

    def _extra_options(self, attn: Attention, options: Mapping[str, Any]) -> dict[str, Any]:
        passed_on = {k: v for k, v in options.items() if k not in ("patches", "patches_replace")}
        return {
            **passed_on,
            **self.identity,
            "n_heads": attn.heads,
            "dim_head": attn.to_q.out_features // attn.heads,
            "attn_precision": None,
        }


def install_patched_attention(unet: nn.Module) -> None:
    """Give every attention layer of a diffusers UNet2DConditionModel its own processor."""
    for transformer_index, (block, transformer) in enumerate(spatial_transformers(unet)):
        for block_index, layer in enumerate(modules_in(transformer, "transformer_blocks")):
            for kind in ("attn1", "attn2"):
                processor = PatchedAttention(kind, block, block_index, transformer_index)
                getattr(layer, kind).set_processor(processor)


@contextmanager
def patched_attention(unet: nn.Module) -> Iterator[None]:
    """Inside the block, attention layers call patches; their processors come back afterwards."""
    layers = [
        getattr(block, kind)
        for _, transformer in spatial_transformers(unet)
        for block in modules_in(transformer, "transformer_blocks")
        for kind in ("attn1", "attn2")
    ]
    before = [layer.processor for layer in layers]
    try:
        install_patched_attention(unet)
        yield
    finally:
        for layer, processor in zip(layers, before, strict=True):
            layer.set_processor(processor)


def run_unet(
    unet: UNet2DConditionModel,
    sample: Tensor,
    timesteps: Tensor,
    context: Tensor,
    transformer_options: Mapping[str, Any],
    pooled: Tensor | None = None,
    sizes: Tensor | None = None,
) -> Tensor:
    """The raw prediction in float32, (B, c, h, w).

    sample (B, c, h, w) has unit variance, timesteps is (B,), context is (B, T, C). All are moved to
    the UNet's device and dtype. Only SDXL also uses pooled (B, P) and sizes (B, 6), see
    hypernet/pictures/sdxl_sizes.py; without sizes, pictures count as uncropped.
    """
    sample = sample.to(unet.device, unet.dtype)
    options = {**transformer_options, "original_shape": list(sample.shape)}
    if "sigmas" in options:
        options["sigmas"] = _ordinary(options["sigmas"])
    added = _text_and_sizes(unet, sample, pooled, sizes) if takes_sizes(unet) else None
    prediction = unet(
        sample,
        timesteps.to(unet.device),
        _ordinary(context.to(unet.device, unet.dtype)),
        cross_attention_kwargs={"transformer_options": options},
        added_cond_kwargs=added,
        return_dict=False,
    )[0]
    return prediction.to(torch.float32)


def takes_sizes(unet: UNet2DConditionModel) -> bool:
    """Does the UNet take sizes, as SDXL's does?"""
    return unet.config["addition_embed_type"] == "text_time"


def _text_and_sizes(
    unet: UNet2DConditionModel, sample: Tensor, pooled: Tensor | None, sizes: Tensor | None
) -> dict[str, Tensor]:
    """SDXL's additional conditioning, under diffusers' names."""
    if pooled is None:
        raise ValueError(
            "an SDXL model reads the pooled output of its text encoder beside the prompt, and this "
            "conditioning has none. Encode the prompt with the CLIP of the same checkpoint."
        )
    if sizes is None:
        height, width = size_in_pixels(sample)
        sizes = sample.new_zeros(len(sample), 6, dtype=torch.float32)  # original, corner, shown
        sizes[:, 0::4], sizes[:, 1::4] = height, width  # on the device, with nothing that travels
    return {
        "text_embeds": _ordinary(pooled.to(unet.device, unet.dtype)),
        "time_ids": _ordinary(sizes.to(unet.device, torch.float32)),  # fp16 rounds above 2048
    }


def _ordinary(tensor: Tensor) -> Tensor:
    """The tensor; for an inference tensor a copy, because its changes can't be tracked."""
    if not tensor.is_inference():
        return tensor
    with torch.inference_mode(False):
        return tensor.clone()
