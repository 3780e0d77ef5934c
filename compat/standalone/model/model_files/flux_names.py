"""diffusers' names of Flux.1's weights.

diffusers' own function does the same at the width of 3072 alone, and copies every fused weight. The
parts here are views of the file.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

STEMS = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "final_layer.linear": "proj_out",
    **{
        f"{ours}.{place}_layer": f"time_text_embed.{theirs}_embedder.linear_{number}"
        for ours, theirs in (
            ("time_in", "timestep"),
            ("vector_in", "text"),
            ("guidance_in", "guidance"),
        )
        for number, place in ((1, "in"), (2, "out"))
    },
}
DOUBLE = {
    "img_mod.lin": "norm1.linear",
    "txt_mod.lin": "norm1_context.linear",
    "img_attn.norm.query_norm": "attn.norm_q",
    "img_attn.norm.key_norm": "attn.norm_k",
    "txt_attn.norm.query_norm": "attn.norm_added_q",
    "txt_attn.norm.key_norm": "attn.norm_added_k",
    "img_attn.proj": "attn.to_out.0",
    "txt_attn.proj": "attn.to_add_out",
    "img_mlp.0": "ff.net.0.proj",
    "img_mlp.2": "ff.net.2",
    "txt_mlp.0": "ff_context.net.0.proj",
    "txt_mlp.2": "ff_context.net.2",
}
SINGLE = {
    "modulation.lin": "norm.linear",
    "norm.query_norm": "attn.norm_q",
    "norm.key_norm": "attn.norm_k",
    "linear2": "proj_out",
}
FUSED = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
}
BLOCKS = {
    "double_blocks": ("transformer_blocks", DOUBLE),
    "single_blocks": ("single_transformer_blocks", SINGLE),
}
TURNED = "final_layer.adaLN_modulation.1"  # shift, then scale; diffusers has scale first


def flux_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Unknown names stay as they are."""
    width, found = weights["img_in.weight"].shape[0], {}
    for name, weight in weights.items():
        stem, _, kind = name.rpartition(".")
        block = re.fullmatch(r"(double_blocks|single_blocks)\.(\d+)\.(.+)", stem)
        if block:
            place, names = BLOCKS[block[1]]
            if parts := FUSED.get(block[3]):
                rows = [width] * 3 + [len(weight) - 3 * width] * (len(parts) - 3)
                pieces = zip(parts, weight.split(rows), strict=True)
            else:
                pieces = [(names.get(block[3], block[3]), weight)]
            found |= {f"{place}.{block[2]}.{part}.{kind}": piece for part, piece in pieces}
        elif stem == TURNED:
            shift, scale = weight.chunk(2)
            found[f"norm_out.linear.{kind}"] = torch.cat([scale, shift])
        else:
            found[f"{STEMS.get(stem, stem)}.{kind}"] = weight
    return found
