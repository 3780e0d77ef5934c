"""The residual blocks and transformers of a diffusers UNet, numbered as the original code does.

ComfyUI numbers them so, too, and files of the original kind name their weights by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

Block = tuple[str, int]  # ("input" | "middle" | "output", number), as ComfyUI counts them
Place = tuple[str, int]  # diffusers' level, such as "down_blocks.0", and the number in it

BESIDE = {  # the layers before and after all blocks: diffusers' name -> original name with "_"
    "conv_in": "input_blocks_0_0",
    "time_embedding.linear_1": "time_embed_0",
    "time_embedding.linear_2": "time_embed_2",
    "add_embedding.linear_1": "label_emb_0_0",
    "add_embedding.linear_2": "label_emb_0_2",
    "conv_norm_out": "out_0",
    "conv_out": "out_2",
}


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
        [len(modules_in(level, "resnets")) for level in modules_in(unet, "down_blocks")],
        [len(modules_in(level, "resnets")) for level in modules_in(unet, "up_blocks")],
    )


def modules_in(module: nn.Module, name: str) -> nn.ModuleList:
    """The list of modules that a module has under this name."""
    found = module.get_submodule(name)
    assert isinstance(found, nn.ModuleList)
    return found


def original_blocks(unet: nn.Module) -> Iterator[tuple[str, str]]:
    """(diffusers' name, original name with "_") of every residual block and transformer."""
    for (side, number), (level, layer) in blocks_of(unet):
        original = f"{side}_block" if side == "middle" else f"{side}_blocks_{number}"
        yield f"{level}.resnets.{layer}", f"{original}_0"
        yield f"{level}.attentions.{layer}", f"{original}_1"
    yield "mid_block.resnets.1", "middle_block_2"


def original_layers(unet: nn.Module) -> Iterator[tuple[str, str]]:
    """(diffusers' name, original name with "_") of the layers outside of those blocks.

    Not every UNet has all of them.
    """
    yield from BESIDE.items()
    for (side, number), (level, layer) in blocks_of(unet):
        block = unet.get_submodule(level) if side != "middle" else None
        if block is None or layer + 1 < len(modules_in(block, "resnets")):
            continue  # only the last of a level is followed by a change of size
        if side == "input":
            yield f"{level}.downsamplers.0.conv", f"input_blocks_{number + 1}_0_op"
        else:
            after = 2 if getattr(block, "has_cross_attention", False) else 1
            yield f"{level}.upsamplers.0.conv", f"output_blocks_{number}_{after}_conv"


def spatial_transformers(unet: nn.Module) -> Iterator[tuple[Block, nn.Module]]:
    """The UNet's transformers in the order they run, each with its block."""
    for block, (level, layer) in blocks_of(unet):
        if attentions := getattr(unet.get_submodule(level), "attentions", None):
            yield block, attentions[layer]
