"""The transformers of a diffusers UNet, numbered as ComfyUI and the original code do."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

Block = tuple[str, int]  # ("input" | "middle" | "output", number), as ComfyUI counts them


def spatial_transformers(unet: nn.Module) -> Iterator[tuple[Block, nn.Module]]:
    """The UNet's transformers in the order they run, each with its block.

    ComfyUI counts the encoder's steps from 0: the first convolution, every residual block and every
    downsampling. In the decoder it counts only residual blocks.
    """
    number = 0
    for level in unet.down_blocks:
        for transformer in _transformers_of(level):
            number += 1
            if transformer is not None:
                yield ("input", number), transformer
        number += bool(level.downsamplers)
    for transformer in unet.mid_block.attentions:
        yield ("middle", 0), transformer
    number = 0
    for level in unet.up_blocks:
        for transformer in _transformers_of(level):
            if transformer is not None:
                yield ("output", number), transformer
            number += 1


def _transformers_of(level: nn.Module) -> list[nn.Module | None]:
    """The transformer of each residual block; None if the level has no attention."""
    return list(getattr(level, "attentions", None) or [None] * len(level.resnets))
