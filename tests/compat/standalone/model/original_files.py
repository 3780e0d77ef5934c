"""Small random checkpoints as single files, under the names that Stable Diffusion's own code uses.

Norms have 32 groups whatever their width, so widths are multiples of 32.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

Shapes = dict[str, tuple[int, ...]]

WIDTHS, EMBEDDED = (32, 64), 128  # of the UNet
CONTEXT = {"sd1": 32, "sd2": 48, "sdxl": 80}
TOKENS, LENGTH = 49408, 77


def write(file: Path, kind: str, dtype: torch.dtype = torch.float16, **more: torch.Tensor) -> Path:
    """A checkpoint of kind "sd1", "sd2" or "sdxl"; None in `more` leaves out what begins so."""
    chance = torch.Generator().manual_seed(0)
    weights = {
        name: (torch.randn(shape, generator=chance) * 0.05).to(dtype)
        for name, shape in shapes(kind).items()
    }
    for name, weight in more.items():
        if weight is None:
            weights = {key: each for key, each in weights.items() if not key.startswith(name)}
        else:
            weights[name] = weight
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, file)
    return file


def shapes(kind: str) -> Shapes:
    first, second = {
        "sd1": ("cond_stage_model.transformer.text_model.", None),
        "sd2": (None, "cond_stage_model.model."),
        "sdxl": (
            "conditioner.embedders.0.transformer.text_model.",
            "conditioner.embedders.1.model.",
        ),
    }[kind]
    found = unet("model.diffusion_model.", kind)
    found |= vae("first_stage_model.")
    found |= clip(first, 32) if first else {}
    return found | (open_clip(second, 48) if second else {})


def weighed(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def unet(prefix: str, kind: str) -> Shapes:
    small, large = WIDTHS
    deep, shallow = (2, 0) if kind == "sdxl" else (1, 1)  # attention blocks of the two levels
    blocks = {  # place -> width in, width out, depth
        "input_blocks.1": (small, small, shallow),
        "input_blocks.3": (small, large, deep),
        "output_blocks.0": (large + large, large, deep),
        "output_blocks.1": (large + small, large, deep),
        "output_blocks.2": (large + small, small, shallow),
        "output_blocks.3": (small + small, small, shallow),
    }
    found = weighed("input_blocks.0.0", small, 4, 3, 3)
    found |= weighed("time_embed.0", EMBEDDED, small) | weighed("time_embed.2", EMBEDDED, EMBEDDED)
    for place, (into, out, depth) in blocks.items():
        found |= resnet(f"{place}.0", into, out)
        found |= transformer(f"{place}.1", out, depth, kind) if depth else {}
    found |= weighed("input_blocks.2.0.op", small, small, 3, 3)
    found |= weighed(f"output_blocks.1.{2 if deep else 1}.conv", large, large, 3, 3)
    found |= resnet("middle_block.0", large, large) | resnet("middle_block.2", large, large)
    found |= transformer("middle_block.1", large, deep, kind)
    found |= weighed("out.0", small) | weighed("out.2", 4, small, 3, 3)
    if kind == "sdxl":
        found |= weighed("label_emb.0.0", EMBEDDED, 48 + 6 * 256)
        found |= weighed("label_emb.0.2", EMBEDDED, EMBEDDED)
    return {prefix + name: shape for name, shape in found.items()}


def resnet(name: str, into: int, out: int) -> Shapes:
    found = weighed(f"{name}.in_layers.0", into) | weighed(f"{name}.out_layers.0", out)
    found |= weighed(f"{name}.in_layers.2", out, into, 3, 3)
    found |= weighed(f"{name}.emb_layers.1", out, EMBEDDED)
    found |= weighed(f"{name}.out_layers.3", out, out, 3, 3)
    return found | (weighed(f"{name}.skip_connection", out, into, 1, 1) if into != out else {})


def transformer(name: str, width: int, depth: int, kind: str) -> Shapes:
    flat = () if kind != "sd1" else (1, 1)
    found = weighed(f"{name}.norm", width)
    found |= weighed(f"{name}.proj_in", width, width, *flat)
    found |= weighed(f"{name}.proj_out", width, width, *flat)
    for block in (f"{name}.transformer_blocks.{place}" for place in range(depth)):
        for attention, context in (("attn1", width), ("attn2", CONTEXT[kind])):
            found[f"{block}.{attention}.to_q.weight"] = (width, width)
            found[f"{block}.{attention}.to_k.weight"] = (width, context)
            found[f"{block}.{attention}.to_v.weight"] = (width, context)
            found |= weighed(f"{block}.{attention}.to_out.0", width, width)
        found |= weighed(f"{block}.ff.net.0.proj", 8 * width, width)
        found |= weighed(f"{block}.ff.net.2", width, 4 * width)
        for norm in ("norm1", "norm2", "norm3"):
            found |= weighed(f"{block}.{norm}", width)
    return found


def vae(prefix: str) -> Shapes:
    small, large = 32, 64
    found: Shapes = {}
    for side, ends, steps, blocks in (
        ("encoder", (3, 8), ("down.0.downsample.conv",), ("down.0", "down.1")),
        ("decoder", (4, 3), ("up.1.upsample.conv",), ("up.0", "up.1")),
    ):
        into, out = (small, large) if side == "encoder" else (large, small)
        found |= weighed(f"{side}.conv_in", into, ends[0], 3, 3)
        found |= weighed(f"{side}.norm_out", out) | weighed(f"{side}.conv_out", ends[1], out, 3, 3)
        for step in steps:
            found |= weighed(f"{side}.{step}", into, into, 3, 3)
        for number, block in enumerate(blocks):
            width = (small, large)[number]
            first = small if side == "encoder" else large
            for place in range(1 if side == "encoder" else 2):
                found |= vae_block(
                    f"{side}.{block}.block.{place}", width if place else first, width
                )
        for place in (1, 2):
            found |= vae_block(f"{side}.mid.block_{place}", large, large)
        found |= weighed(f"{side}.mid.attn_1.norm", large)
        for part in ("q", "k", "v", "proj_out"):
            found |= weighed(f"{side}.mid.attn_1.{part}", large, large, 1, 1)
    found |= weighed("quant_conv", 8, 8, 1, 1) | weighed("post_quant_conv", 4, 4, 1, 1)
    return {prefix + name: shape for name, shape in found.items()}


def vae_block(name: str, into: int, out: int) -> Shapes:
    found = weighed(f"{name}.norm1", into) | weighed(f"{name}.norm2", out)
    found |= weighed(f"{name}.conv1", out, into, 3, 3) | weighed(f"{name}.conv2", out, out, 3, 3)
    return found | (weighed(f"{name}.nin_shortcut", out, into, 1, 1) if into != out else {})


def clip(prefix: str, width: int) -> Shapes:
    found: Shapes = {
        "embeddings.token_embedding.weight": (TOKENS, width),
        "embeddings.position_embedding.weight": (LENGTH, width),
    }
    for layer in (f"encoder.layers.{place}" for place in range(3)):
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            found |= weighed(f"{layer}.self_attn.{part}", width, width)
        found |= weighed(f"{layer}.layer_norm1", width) | weighed(f"{layer}.layer_norm2", width)
        found |= weighed(f"{layer}.mlp.fc1", 4 * width, width)
        found |= weighed(f"{layer}.mlp.fc2", width, 4 * width)
    found |= weighed("final_layer_norm", width)
    return {prefix + name: shape for name, shape in found.items()}


def open_clip(prefix: str, width: int, layers: int = 3) -> Shapes:
    found: Shapes = {
        "token_embedding.weight": (TOKENS, width),
        "positional_embedding": (LENGTH, width),
        "text_projection": (width, width),
        "logit_scale": (),
    }
    for layer in (f"transformer.resblocks.{place}" for place in range(layers)):
        found[f"{layer}.attn.in_proj_weight"] = (3 * width, width)
        found[f"{layer}.attn.in_proj_bias"] = (3 * width,)
        found |= weighed(f"{layer}.attn.out_proj", width, width)
        found |= weighed(f"{layer}.ln_1", width) | weighed(f"{layer}.ln_2", width)
        found |= weighed(f"{layer}.mlp.c_fc", 4 * width, width)
        found |= weighed(f"{layer}.mlp.c_proj", width, 4 * width)
    found |= weighed("ln_final", width)
    return {prefix + name: shape for name, shape in found.items()}
