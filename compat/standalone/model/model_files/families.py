"""The transformer in a file: which family it is of, and diffusers' class with its weights.

A family is known by weights that no other has. `fraction` of a head's width turns by one axis of a
token's place, which no weight tells: it is the same for all sizes of a family.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..parts import needs_diffusers
from .flux_names import flux_names
from .weights import StateDict, build, count, inside, open_weights

PREFIXES = ("model.diffusion_model.", "diffusion_model.", "net.")
SCALES = ("scale_weight", "weight_scale", "scaled_fp8", "comfy_quant", "scale_input")
SIXTEEN_BITS = (torch.float16, torch.bfloat16)
NO_LAYERS = (
    "num_layers",
    "num_single_layers",
    "num_refiner_layers",
    "n_layers",
    "n_refiner_layers",
)
PATCH = 4  # latents in a token: 2 rows of 2 columns
ADAPTER = "llm_adapter."  # Anima's, between its text model and the transformer


@dataclass(frozen=True, kw_only=True)
class Family:
    """marks: names of weights that tell it. kind: diffusers' class."""

    title: str
    marks: tuple[str, ...]
    kind: str
    config: Callable[[StateDict], dict[str, Any]]
    named: Callable[[dict[str, Tensor]], dict[str, Tensor]]
    vae: Callable[[], Any]  # diffusers' VAE of the family, of which only the config is read


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """On the CPU. adapter: what Anima's text goes through. vae: without weights."""

    module: Any
    vae: Any
    adapter: nn.Module | None = None


def read_transformer(file: Path, dtype: torch.dtype | None) -> Transformer:
    """dtype: None for the file's, if that has 16 bits, otherwise bfloat16.

    Raises ValueError if the file is of no family of FAMILIES, or not whole.
    """
    weights = bare_names(open_weights(file))
    check_numbers(file, weights)
    family = family_of(file, weights)
    stored = next(each.dtype for each in weights.values() if each.ndim > 1)
    dtype = dtype or (stored if stored in SIXTEEN_BITS else torch.bfloat16)
    with needs_diffusers(file):
        import diffusers
        import diffusers.loaders.single_file_utils

    make = getattr(diffusers, family.kind)
    config = family.config(weights)
    adapter = read_adapter(file, inside(weights, ADAPTER), dtype)
    named = family.named({k: each for k, each in weights.items() if not k.startswith(ADAPTER)})
    module = build(file, lambda: make(**config), named, dtype)
    compute_the_rest(module, lambda: make(**config | dict.fromkeys(NO_LAYERS & config.keys(), 0)))
    with torch.device("meta"):
        return Transformer(module=module, vae=family.vae(), adapter=adapter)


def bare_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without what the names of all weights of the transformer begin with.

    Flux's norms have a "scale" in the published files, a "weight" in those that ComfyUI saves.
    """
    for prefix in PREFIXES:
        weights = inside(weights, prefix) or weights
    return {re.sub(r"_norm\.scale$", "_norm.weight", k): each for k, each in weights.items()}


def check_numbers(file: Path, weights: StateDict) -> None:
    scaled = [name for name in weights if name.rpartition(".")[2] in SCALES]
    small = [
        k
        for k, each in weights.items()
        if each.dtype in (torch.int8, torch.uint8) and each.ndim > 1
    ]
    if scaled or small:
        raise ValueError(
            f'"{file}" holds quantised weights ({(scaled or small)[0]}), which are not read '
            "without ComfyUI. Give the file in 16 bits."
        )


def family_of(file: Path, weights: StateDict) -> Family:
    for family in FAMILIES:
        if all(mark in weights for mark in family.marks):
            return family
    raise ValueError(
        f'"{file}" holds no transformer that is read from a file here; its first weights are '
        f"{', '.join(sorted(weights)[:3])}. Known are "
        f"{', '.join(family.title for family in FAMILIES)}. Give such a file, or a diffusers "
        "folder in Load Checkpoint."
    )


def compute_the_rest(module: nn.Module, make_small: Callable[[], nn.Module]) -> None:
    """Parts without weights, that compute positions, come from a model without layers."""
    small = dict(make_small().named_children())
    for name, part in list(module.named_children()):
        if name in small and not any(True for _ in part.parameters()):
            setattr(module, name, small[name])


def read_adapter(file: Path, weights: dict[str, Tensor], dtype: torch.dtype) -> nn.Module | None:
    if not weights:
        return None
    with needs_diffusers(file):
        from diffusers import AnimaTextConditioner  # pyright: ignore[reportPrivateImportUsage]

    head = weights["blocks.0.cross_attn.q_norm.weight"].shape[0]
    words, target = weights["embed.weight"].shape
    width, source = weights["blocks.0.cross_attn.k_proj.weight"].shape
    config: dict[str, Any] = {
        "source_dim": source,
        "target_dim": target,
        "model_dim": width,
        "num_layers": count(weights, r"blocks\.(\d+)\."),
        "num_attention_heads": width // head,
        "target_vocab_size": words,
        "mlp_ratio": weights["blocks.0.mlp.0.weight"].shape[0] / width,
        "use_self_attention": "blocks.0.norm_self_attn.weight" in weights,
        "use_layer_norm": "blocks.0.norm_mlp.bias" in weights,
    }
    adapter = build(file, lambda: AnimaTextConditioner(**config), weights, dtype)
    small = {**config, "num_layers": 0}
    compute_the_rest(adapter, lambda: AnimaTextConditioner(**small))
    return adapter.eval().requires_grad_(False)


def parts_of(head: int, *fractions: float) -> tuple[int, ...]:
    return tuple(round(head * fraction) for fraction in fractions)


# --- configurations from shapes ------------------------------------------------------------------


def z_image(weights: StateDict) -> dict[str, Any]:
    head = weights["layers.0.attention.q_norm.weight"].shape[0]
    width, text = weights["cap_embedder.1.weight"].shape
    return {
        "dim": width,
        "in_channels": weights["x_embedder.weight"].shape[1] // PATCH,
        "n_layers": count(weights, r"layers\.(\d+)\."),
        "n_refiner_layers": count(weights, r"noise_refiner\.(\d+)\."),
        "n_heads": width // head,
        "n_kv_heads": width // head,
        "cap_feat_dim": text,
        "axes_dims": list(parts_of(head, 1 / 4, 3 / 8, 3 / 8)),
        "axes_lens": [1536, 512, 512],
    }


def lumina2(weights: StateDict) -> dict[str, Any]:
    head = weights["layers.0.attention.q_norm.weight"].shape[0]
    width, text = weights["cap_embedder.1.weight"].shape
    keys = (weights["layers.0.attention.qkv.weight"].shape[0] - width) // 2
    inner = weights["layers.0.feed_forward.w1.weight"].shape[0]
    return {
        "hidden_size": width,
        "in_channels": weights["x_embedder.weight"].shape[1] // PATCH,
        "num_layers": count(weights, r"layers\.(\d+)\."),
        "num_refiner_layers": count(weights, r"noise_refiner\.(\d+)\."),
        "num_attention_heads": width // head,
        "num_kv_heads": keys // head,
        "multiple_of": 1,
        "ffn_dim_multiplier": (inner + 0.5) / (4 * width),  # the class rounds it down
        "cap_feat_dim": text,
        "axes_dim_rope": parts_of(head, 1 / 3, 1 / 3, 1 / 3),
        "axes_lens": (300, 512, 512),
    }


def flux(weights: StateDict) -> dict[str, Any]:
    head = weights["double_blocks.0.img_attn.norm.query_norm.weight"].shape[0]
    width, channels = weights["img_in.weight"].shape
    return {
        "in_channels": channels,
        "num_layers": count(weights, r"double_blocks\.(\d+)\."),
        "num_single_layers": count(weights, r"single_blocks\.(\d+)\."),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": weights["txt_in.weight"].shape[1],
        "pooled_projection_dim": weights["vector_in.in_layer.weight"].shape[1],
        "guidance_embeds": "guidance_in.in_layer.weight" in weights,
        "axes_dims_rope": parts_of(head, 1 / 8, 7 / 16, 7 / 16),
    }


def flux2(weights: StateDict) -> dict[str, Any]:
    head = weights["double_blocks.0.img_attn.norm.query_norm.weight"].shape[0]
    width, channels = weights["img_in.weight"].shape
    return {
        "in_channels": channels,
        "num_layers": count(weights, r"double_blocks\.(\d+)\."),
        "num_single_layers": count(weights, r"single_blocks\.(\d+)\."),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": weights["txt_in.weight"].shape[1],
        "timestep_guidance_channels": weights["time_in.in_layer.weight"].shape[1],
        "mlp_ratio": weights["double_blocks.0.img_mlp.2.weight"].shape[1] / width,
        "guidance_embeds": "guidance_in.in_layer.weight" in weights,
        "axes_dims_rope": parts_of(head, *[1 / 4] * 4),
    }


def qwen_image(weights: StateDict) -> dict[str, Any]:
    head = weights["transformer_blocks.0.attn.norm_q.weight"].shape[0]
    width, channels = weights["img_in.weight"].shape
    return {
        "in_channels": channels,
        "out_channels": channels // PATCH,
        "num_layers": count(weights, r"transformer_blocks\.(\d+)\."),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": weights["txt_in.weight"].shape[1],
        "axes_dims_rope": parts_of(head, 1 / 8, 7 / 16, 7 / 16),
    }


def cosmos(weights: StateDict) -> dict[str, Any]:
    head = weights["blocks.0.self_attn.q_norm.weight"].shape[0]
    width, columns = weights["x_embedder.proj.1.weight"].shape
    return {
        "in_channels": columns // PATCH - 1,
        "out_channels": weights["final_layer.linear.weight"].shape[0] // PATCH,
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "num_layers": count(weights, r"blocks\.(\d+)\."),
        "mlp_ratio": weights["blocks.0.mlp.layer1.weight"].shape[0] / width,
        "text_embed_dim": weights["blocks.0.cross_attn.k_proj.weight"].shape[1],
        "adaln_lora_dim": weights["blocks.0.adaln_modulation_self_attn.1.weight"].shape[0],
        "rope_scale": (1.0, 4.0, 4.0),
        "concat_padding_mask": False,  # see cosmos_names
        "extra_pos_embed_type": None,
    }


# --- diffusers' names ----------------------------------------------------------------------------


def z_image_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    from diffusers.loaders.single_file_utils import (
        convert_z_image_transformer_checkpoint_to_diffusers,
    )

    return convert_z_image_transformer_checkpoint_to_diffusers(weights)


def lumina2_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """diffusers' function cuts fused rows at the numbers of the one size that was published."""
    from diffusers.loaders.single_file_utils import convert_lumina2_to_diffusers

    width = weights["cap_embedder.1.weight"].shape[0]
    for name in [name for name in weights if name.endswith(".qkv.weight")]:
        fused = weights.pop(name)
        keys = (len(fused) - width) // 2
        for part, rows in zip("qkv", fused.split([width, keys, keys]), strict=True):
            weights[name.replace(".qkv.", f".to_{part}.")] = rows
    return convert_lumina2_to_diffusers(weights)


def flux2_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    from diffusers.loaders.single_file_utils import (
        convert_flux2_transformer_checkpoint_to_diffusers,
    )

    return convert_flux2_transformer_checkpoint_to_diffusers(weights)


def cosmos_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the columns of the padding mask, which is 0 for a whole picture."""
    from diffusers.loaders.single_file_utils import (
        convert_cosmos_transformer_checkpoint_to_diffusers,
    )

    columns = weights["x_embedder.proj.1.weight"]
    weights["x_embedder.proj.1.weight"] = columns[:, :-PATCH].contiguous()
    return convert_cosmos_transformer_checkpoint_to_diffusers(weights)


# --- the families --------------------------------------------------------------------------------


def flux_vae() -> Any:
    from diffusers import AutoencoderKL  # pyright: ignore[reportPrivateImportUsage]

    config: dict[str, Any] = {
        "block_out_channels": [1] * 4,
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "norm_num_groups": 1,
        "latent_channels": 16,
        "scaling_factor": 0.3611,
        "shift_factor": 0.1159,
    }
    return AutoencoderKL(**config)


def flux2_vae() -> Any:
    from diffusers import AutoencoderKLFlux2  # pyright: ignore[reportPrivateImportUsage]

    return AutoencoderKLFlux2()


def wan_vae() -> Any:
    """That of Qwen-Image, too: the same numbers."""
    from diffusers import AutoencoderKLWan  # pyright: ignore[reportPrivateImportUsage]

    return AutoencoderKLWan()


FAMILIES = (
    Family(
        title="Z-Image",
        marks=("cap_embedder.1.weight", "layers.0.adaLN_modulation.0.weight"),
        kind="ZImageTransformer2DModel",
        config=z_image,
        named=z_image_names,
        vae=flux_vae,
    ),
    Family(
        title="Lumina 2",
        marks=("cap_embedder.1.weight", "layers.0.adaLN_modulation.1.weight"),
        kind="Lumina2Transformer2DModel",
        config=lumina2,
        named=lumina2_names,
        vae=flux_vae,
    ),
    Family(
        title="Flux.1",
        marks=("double_blocks.0.img_mod.lin.weight", "vector_in.in_layer.weight"),
        kind="FluxTransformer2DModel",
        config=flux,
        named=flux_names,
        vae=flux_vae,
    ),
    Family(
        title="FLUX.2",
        marks=("double_blocks.0.img_attn.qkv.weight", "double_stream_modulation_img.lin.weight"),
        kind="Flux2Transformer2DModel",
        config=flux2,
        named=flux2_names,
        vae=flux2_vae,
    ),
    Family(
        title="Qwen-Image",
        marks=("transformer_blocks.0.attn.add_q_proj.weight", "txt_norm.weight"),
        kind="QwenImageTransformer2DModel",
        config=qwen_image,
        named=dict,
        vae=wan_vae,
    ),
    Family(
        title="Anima and Cosmos Predict2",
        marks=("blocks.0.mlp.layer1.weight", "blocks.0.adaln_modulation_self_attn.1.weight"),
        kind="CosmosTransformer3DModel",
        config=cosmos,
        named=cosmos_names,
        vae=wan_vae,
    ),
)
