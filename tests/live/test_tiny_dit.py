"""ComfyUI's class of the tiny DiT answers the velocity that diffusers' class, turned, answers."""

from __future__ import annotations

from pathlib import Path

import torch
from comfyui_server import comfyui_folder, try_in_comfyui
from diffusers import Lumina2Transformer2DModel
from safetensors.torch import load_file, save_file

SIZES = {
    "sample_size": 8,
    "patch_size": 2,
    "in_channels": 4,
    "hidden_size": 24,
    "num_layers": 2,
    "num_refiner_layers": 1,
    "num_attention_heads": 2,
    "num_kv_heads": 1,
    "multiple_of": 8,
    "ffn_dim_multiplier": 0.5,
    "axes_dim_rope": (4, 4, 4),
    "axes_lens": (64, 16, 16),
    "cap_feat_dim": 12,
}


def test_both_classes_answer_the_same_velocity(tmp_path):
    torch.manual_seed(0)
    transformer = Lumina2Transformer2DModel(**SIZES).eval()
    transformer.save_pretrained(tmp_path)
    x, sigma = torch.randn(2, 4, 8, 8), torch.tensor([0.2, 0.9])
    context = torch.randn(2, 5, SIZES["cap_feat_dim"])
    save_file({"x": x, "sigma": sigma, "context": context}, tmp_path / "asked.safetensors")
    done = try_in_comfyui(
        Path(__file__).with_name("check_tiny_dit.py"),
        comfyui_folder(),
        tmp_path / "diffusion_pytorch_model.safetensors",
        tmp_path / "config.json",
        tmp_path / "asked.safetensors",
        tmp_path / "answer.safetensors",
    )
    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        mask = torch.ones(context.shape[:2], dtype=torch.bool)
        mine = -transformer(x, 1 - sigma, context, mask).sample  # as demo/flow.py
    theirs = load_file(tmp_path / "answer.safetensors")["velocity"]
    assert mine.abs().mean() > 0.1
    assert (mine - theirs).abs().max() < 1e-4
