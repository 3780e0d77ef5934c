"""Names of attention blocks: diffusers', and the original ones that files and hosts use."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

RESNET = {  # original name within a residual block -> diffusers'
    "in_layers_0": "norm1",
    "in_layers_2": "conv1",
    "emb_layers_1": "time_emb_proj",
    "out_layers_0": "norm2",
    "out_layers_3": "conv2",
    "skip_connection": "conv_shortcut",
}


def _original_blocks(unet: nn.Module) -> Iterator[tuple[str, str]]:
    """A residual block or transformer in the UNet -> its original name, with "_"."""
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
