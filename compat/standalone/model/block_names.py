"""Translates names of a UNet's blocks between diffusers and the original ones in files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from torch import nn

RESNET = {  # diffusers' name within a residual block -> the original one, with "_"
    "norm1": "in_layers_0",
    "conv1": "in_layers_2",
    "time_emb_proj": "emb_layers_1",
    "norm2": "out_layers_0",
    "conv2": "out_layers_3",
    "conv_shortcut": "skip_connection",
}


Block = tuple[str, int]  # ("input" | "middle" | "output", number), as ComfyUI counts them
Place = tuple[str, int]  # diffusers' level, such as "down_blocks.0", and the number in it


def numbered_blocks(down: Sequence[int], up: Sequence[int]) -> Iterator[tuple[Block, Place]]:
    """The residual blocks in the order they run. down, up: how many blocks each level has.

    The original names count the encoder's steps from 0: the first convolution, every residual block
    and every downsampling, which ends each level but the last. In the decoder they count only
    residual blocks. A transformer has the number of the residual block before it.
    """
    number = 0
    for place, blocks in enumerate(down):
        for layer in range(blocks):
            number += 1
            yield ("input", number), (f"down_blocks.{place}", layer)
        number += 1
    yield ("middle", 0), ("mid_block", 0)
    number = 0
    for place, blocks in enumerate(up):
        for layer in range(blocks):
            yield ("output", number), (f"up_blocks.{place}", layer)
            number += 1


def blocks_of(unet: nn.Module) -> Iterator[tuple[Block, Place]]:
    return numbered_blocks(
        [len(level.resnets) for level in unet.down_blocks],
        [len(level.resnets) for level in unet.up_blocks],
    )


def original_blocks(unet: nn.Module) -> Iterator[tuple[str, str]]:
    """(diffusers' name, original name with "_") of every residual block and transformer."""
    for (side, number), (level, layer) in blocks_of(unet):
        original = f"{side}_block" if side == "middle" else f"{side}_blocks_{number}"
        yield f"{level}.resnets.{layer}", f"{original}_0"
        yield f"{level}.attentions.{layer}", f"{original}_1"
    yield "mid_block.resnets.1", "middle_block_2"


def spatial_transformers(unet: nn.Module) -> Iterator[tuple[Block, nn.Module]]:
    """The UNet's transformers in the order they run, each with its block."""
    for block, (level, layer) in blocks_of(unet):
        if attentions := getattr(unet.get_submodule(level), "attentions", None):
            yield block, attentions[layer]


# The blocks of Stable Diffusion 1 and 2. XL has the same number per level, and one level less.
STABLE_DIFFUSION = dict(numbered_blocks([2] * 4, [3] * 4))


def diffusers_name(name: str) -> str:
    """diffusers' name of a UNet's weight, from the original ("input_blocks.4.1.…") or its own."""
    name = name.removeprefix("model.").removeprefix("diffusion_model.")
    match = re.fullmatch(r"(input|output)_blocks\.(\d+)\.1\.(.+)", name)
    place = match and STABLE_DIFFUSION.get((match[1], int(match[2])))
    if place:
        level, layer = place
        return f"{level}.attentions.{layer}.{match[3]}"
    return re.sub(r"^middle_block\.1\.", "mid_block.attentions.0.", name)
