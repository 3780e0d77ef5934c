"""Writes a checkpoint with random weights, one LDM file in fp16, of one of these shapes:

    sd15   Stable Diffusion 1.5, about 2 GB
    sd2-v  Stable Diffusion 2 predicting v, with a narrower UNet, about 1 GB
    sdxl   SDXL with the depths of its small sister Segmind Vega, about 3.3 GB

Runs in ComfyUI's interpreter, because names and shapes come from ComfyUI's own classes, built on
the meta device. ComfyUI knows a model by the shapes in its file, and no smaller ones. Weights have
standard deviation 1/sqrt(fan in) and norms start as identity, so activations keep their size and
nothing overflows.

    python write_checkpoint.py COMFYUI_DIR FILE [SHAPE]
"""

import os
import sys
from pathlib import Path

import torch

UNETS = {
    "sd15": {
        "channel_mult": [1, 2, 4, 4],
        "num_res_blocks": [2, 2, 2, 2],
        "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
        "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
        "transformer_depth_middle": 1,
        "context_dim": 768,
        "num_heads": 8,
    },
    "sd2-v": {
        "channel_mult": [1, 1, 1, 1],
        "num_res_blocks": [2, 2, 2, 2],
        "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
        "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
        "transformer_depth_middle": 1,
        "context_dim": 1024,
        "num_head_channels": 64,
        "use_linear_in_transformer": True,
    },
    "sdxl": {
        "channel_mult": [1, 2, 4],
        "num_res_blocks": [2, 2, 2],
        "transformer_depth": [0, 0, 1, 1, 2, 2],
        "transformer_depth_output": [0, 0, 0, 1, 1, 1, 2, 2, 2],
        "transformer_depth_middle": 2,
        "context_dim": 2048,
        "num_head_channels": 64,
        "use_linear_in_transformer": True,
        "num_classes": "sequential",
        "adm_in_channels": 2816,
    },
}
TELLS_V = "output_blocks.11.1.transformer_blocks.0.norm1.bias"  # by its spread


def shapes(comfyui: Path, shape: str) -> dict[str, torch.Size]:
    sys.path.insert(0, str(comfyui))
    from comfy.cli_args import args

    args.cpu = True
    import comfy.ops
    from comfy.diffusers_convert import convert_text_enc_state_dict_v20
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from comfy.sd1_clip import SDClipModel
    from comfy.sdxl_clip import SDXLClipG
    from comfy.text_encoders.sd2_clip import SD2ClipHModel

    with torch.device("meta"):
        unet = UNetModel(
            image_size=32,
            in_channels=4,
            model_channels=320,
            out_channels=4,
            use_spatial_transformer=True,
            legacy=False,
            dtype=torch.float16,
            device="meta",
            operations=comfy.ops.disable_weight_init,
            **UNETS[shape],
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
        small = SDClipModel(device="meta", dtype=torch.float16).transformer.state_dict()
        small.pop("text_projection.weight")
        large = {"sd2-v": SD2ClipHModel, "sdxl": SDXLClipG}.get(shape)
        if large:
            large = large(device="meta", dtype=torch.float16).state_dict()
            large = convert_text_enc_state_dict_v20(large)
    parts = {
        "model.diffusion_model.": unet.state_dict(),
        "first_stage_model.": autoencoder.state_dict(),
    }
    parts |= {
        "sd15": {"cond_stage_model.transformer.": small},
        "sd2-v": {"cond_stage_model.model.": large},
        "sdxl": {
            "conditioner.embedders.0.transformer.": small,
            "conditioner.embedders.1.model.": large,
        },
    }[shape]
    return {
        prefix + name: tensor.shape
        for prefix, part in parts.items()
        for name, tensor in part.items()
        if tensor.is_floating_point()
    }


def random_weight(name: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    if len(shape) > 1:
        fan_in = shape.numel() // shape[0]
        scale = 0.02 if "embedding" in name else fan_in**-0.5
        return (torch.randn(shape, generator=generator) * scale).half()
    is_norm_weight = name.endswith(".weight")
    return torch.full(shape, 1.0 if is_norm_weight else 0.0, dtype=torch.float16)


def main() -> None:
    comfyui, file, shape = Path(sys.argv[1]), Path(sys.argv[2]), (sys.argv[3:] or ["sd15"])[0]
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(0)
    weights = {
        name: random_weight(name, size, generator) for name, size in shapes(comfyui, shape).items()
    }
    if shape == "sd2-v":
        tells = weights[f"model.diffusion_model.{TELLS_V}"]
        tells.normal_(0, 0.2, generator=generator)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(f".{os.getpid()}")
    save_file(weights, unfinished)
    os.replace(unfinished, file)


if __name__ == "__main__":
    main()
