"""Translates names of a UNet's blocks between diffusers and the original ones in files."""

from __future__ import annotations

import re

from hypernet.diffusers.blocks import numbered_blocks

RESNET = {  # diffusers' name within a residual block -> the original one, with "_"
    "norm1": "in_layers_0",
    "conv1": "in_layers_2",
    "time_emb_proj": "emb_layers_1",
    "norm2": "out_layers_0",
    "conv2": "out_layers_3",
    "conv_shortcut": "skip_connection",
}


# The blocks of Stable Diffusion 1 and 2. XL has the same number per level, and one level less.
STABLE_DIFFUSION = dict(numbered_blocks([2] * 4, [3] * 4))


def diffusers_name(name: str) -> str:
    """diffusers' name of a UNet's weight, from the original ("input_blocks.4.1.…") or its own."""
    name = name.removeprefix("model.").removeprefix("diffusion_model.")
    match = re.fullmatch(r"(input|output)_blocks\.(\d+)\.1\.(.+)", name)
    place = match and STABLE_DIFFUSION.get((match[1], int(match[2])))
    if match and place:
        level, layer = place
        return f"{level}.attentions.{layer}.{match[3]}"
    return re.sub(r"^middle_block\.1\.", "mid_block.attentions.0.", name)
