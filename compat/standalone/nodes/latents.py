"""The ComfyUI core nodes that make empty latents, with its ids and defaults."""

from __future__ import annotations

from typing import Any

import torch

from hypernet.pictures.latent_size import PIXELS

from ..graph import io

LARGEST_SIDE = 16384


class EmptyLatentImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EmptyLatentImage",
            display_name="Empty Latent Image",
            category="model/latent",
            description="Latents to be filled by a sampler.",
            inputs=[*_size(default=512, step=8)],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, width: int, height: int, batch_size: int = 1) -> io.NodeOutput:
        return _empty(batch_size, 4, width, height)


class EmptySD3LatentImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EmptySD3LatentImage",
            display_name="EmptySD3LatentImage",
            category="model/latent/stable diffusion",
            description="Latents of 16 channels to be filled by a sampler.",
            inputs=[*_size(default=1024, step=16)],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, width: int, height: int, batch_size: int = 1) -> io.NodeOutput:
        return _empty(batch_size, 16, width, height)


def _size(default: int, step: int) -> list[io.Int.Input]:
    side: dict[str, Any] = {"default": default, "min": 16, "max": LARGEST_SIDE, "step": step}
    return [
        io.Int.Input("width", **side, tooltip="Width of the pictures in pixels."),
        io.Int.Input("height", **side, tooltip="Height of the pictures in pixels."),
        io.Int.Input("batch_size", default=1, min=1, max=4096, tooltip="How many pictures."),
    ]


def _empty(batch_size: int, channels: int, width: int, height: int) -> io.NodeOutput:
    latent = torch.zeros(batch_size, channels, height // PIXELS, width // PIXELS)
    return io.NodeOutput({"samples": latent, "downscale_ratio_spacial": 8})
