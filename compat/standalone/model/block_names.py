"""Translates names of a UNet's blocks between diffusers and the original ones in files."""

from __future__ import annotations

import re
from collections.abc import Iterator

from torch import nn

RESNET = {  # original name within a residual block -> diffusers' name
    "in_layers_0": "norm1",
    "in_layers_2": "conv1",
    "emb_layers_1": "time_emb_proj",
    "out_layers_0": "norm2",
    "out_layers_3": "conv2",
    "skip_connection": "conv_shortcut",
}


def _original_blocks(unet: nn.Module) -> Iterator[tuple[str, str]]:
    """(diffusers' name, original name with "_") of every residual block and transformer."""
    number = 0
    for place, level in enumerate(unet.down_blocks):
        for layer in range(len(level.resnets)):
            number += 1
            yield f"down_blocks.{place}.resnets.{layer}", f"input_blocks_{number}_0"
            yield f"down_blocks.{place}.attentions.{layer}", f"input_blocks_{number}_1"
        number += bool(level.downsamplers)
    yield "mid_block.resnets.0", "middle_block_0"
    yield "mid_block.attentions.0", "middle_block_1"
    yield "mid_block.resnets.1", "middle_block_2"
    number = 0
    for place, level in enumerate(unet.up_blocks):
        for layer in range(len(level.resnets)):
            yield f"up_blocks.{place}.resnets.{layer}", f"output_blocks_{number}_0"
            yield f"up_blocks.{place}.attentions.{layer}", f"output_blocks_{number}_1"
            number += 1


def diffusers_name(name: str) -> str:
    """diffusers' name of a UNet's weight, from the original name ("input_blocks.4.1.…") or its own.

    Assumes two residual blocks per level, as in every Stable Diffusion, so three steps per level.
    """
    name = name.removeprefix("model.").removeprefix("diffusion_model.")
    match = re.fullmatch(r"(input|output)_blocks\.(\d+)\.1\.(.+)", name)
    if match:
        level, place = divmod(int(match[2]) - (match[1] == "input"), 3)
        side = "down" if match[1] == "input" else "up"
        return f"{side}_blocks.{level}.attentions.{place}.{match[3]}"
    return re.sub(r"^middle_block\.1\.", "mid_block.attentions.0.", name)
