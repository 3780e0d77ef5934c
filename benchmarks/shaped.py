"""UNets with Stable Diffusion's shapes and random weights, and inputs that fit them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from hypernet_pack.compat.standalone.model.patched_model import LatentDiffusion, Model
from hypernet_pack.compat.standalone.model.sampling import DiscreteSampling

from hypernet import HypernetSpec, Hypernetwork
from hypernet.diffusers.unet import install_patched_attention

TEXT_TOKENS = 77


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A kind of model.

    unet: diffusers' settings that differ from SD 1. pooled: the width of SDXL's pooled text, 0 for
    other models.
    """

    text_width: int
    widths: tuple[int, ...]
    pooled: int = 0
    unet: dict[str, Any] = field(default_factory=dict)

    def condition(self, chance: torch.Generator) -> dict[str, torch.Tensor]:
        """A random condition for one picture."""
        found = {"context": torch.randn(1, TEXT_TOKENS, self.text_width, generator=chance)}
        if self.pooled:
            found["pooled"] = torch.randn(1, self.pooled, generator=chance)
            found["sizes"] = torch.tensor([[1024.0, 1024, 0, 0, 1024, 1024]])
        return found

    def network(self, activation: str = "relu") -> Hypernetwork:
        spec = HypernetSpec(widths=self.widths, layer_structure=(1, 2, 1), activation=activation)
        return Hypernetwork(spec)


SD15 = Shape(text_width=768, widths=(320, 640, 768, 1280), unet={"attention_head_dim": 8})
SDXL = Shape(
    text_width=2048,
    widths=(640, 1280, 2048),
    pooled=1280,
    unet={
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "block_out_channels": (320, 640, 1280),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
)


def random_model(
    shape: Shape, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> Model:
    """A model with random weights, which stay in RAM until it is used on its device."""
    from diffusers import UNet2DConditionModel

    with torch.inference_mode(False), torch.no_grad():
        with torch.device("meta"):
            unet = UNet2DConditionModel(cross_attention_dim=shape.text_width, **shape.unet)
        unet = unet.to(dtype).to_empty(device="cpu").eval()
        chance = torch.Generator().manual_seed(0)
        for weight in unet.parameters():
            weight.uniform_(-0.02, 0.02, generator=chance)
        install_patched_attention(unet)
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
        levels = DiscreteSampling((1 - betas).cumprod(0), "eps")
    return Model(LatentDiffusion(unet, levels, 0.18215), torch.device(device), "random")
