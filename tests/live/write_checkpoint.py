"""Writes an SD1.5-shaped checkpoint with random weights: one LDM file in fp16, about 2 GB.

Runs in ComfyUI's interpreter, because names and shapes come from ComfyUI's own classes, built on
the meta device. Weights have standard deviation 1/sqrt(fan in) and norms start as identity, so
activations keep their size and nothing overflows.

    python write_checkpoint.py COMFYUI_DIR FILE
"""

import os
import sys
from pathlib import Path

import torch


def shapes(comfyui: Path) -> dict[str, torch.Size]:
    sys.path.insert(0, str(comfyui))
    from comfy.cli_args import args

    args.cpu = True
    import comfy.ops
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from comfy.sd1_clip import SDClipModel

    with torch.device("meta"):
        unet = UNetModel(
            image_size=32,
            in_channels=4,
            model_channels=320,
            out_channels=4,
            num_res_blocks=[2, 2, 2, 2],
            channel_mult=[1, 2, 4, 4],
            transformer_depth=[1, 1, 1, 1, 1, 1, 0, 0],
            transformer_depth_output=[1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
            transformer_depth_middle=1,
            use_spatial_transformer=True,
            context_dim=768,
            num_heads=8,
            legacy=False,
            dtype=torch.float16,
            device="meta",
            operations=comfy.ops.disable_weight_init,
        )
        autoencoder = AutoencoderKL(
            embed_dim=4,
            ddconfig={
                "double_z": True,
                "z_channels": 4,
                "resolution": 256,
                "in_channels": 3,
                "out_ch": 3,
                "ch": 128,
                "ch_mult": [1, 2, 4, 4],
                "num_res_blocks": 2,
                "attn_resolutions": [],
                "dropout": 0.0,
            },
        )
        text_encoder = SDClipModel(device="meta", dtype=torch.float16)
    parts = {
        "model.diffusion_model.": unet,
        "first_stage_model.": autoencoder,
        "cond_stage_model.transformer.": text_encoder.transformer,
    }
    return {
        prefix + name: tensor.shape
        for prefix, part in parts.items()
        for name, tensor in part.state_dict().items()
        if tensor.is_floating_point() and "text_projection" not in name
    }


def random_weight(name: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    if len(shape) > 1:
        fan_in = shape.numel() // shape[0]
        scale = 0.02 if "embedding" in name else fan_in**-0.5
        return (torch.randn(shape, generator=generator) * scale).half()
    is_norm_weight = name.endswith(".weight")
    return torch.full(shape, 1.0 if is_norm_weight else 0.0, dtype=torch.float16)


def main() -> None:
    comfyui, file = Path(sys.argv[1]), Path(sys.argv[2])
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(0)
    weights = {
        name: random_weight(name, shape, generator) for name, shape in shapes(comfyui).items()
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(f".{os.getpid()}")
    save_file(weights, unfinished)
    os.replace(unfinished, file)


if __name__ == "__main__":
    main()
