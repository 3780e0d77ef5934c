"""ComfyUI's class of the tiny DiT answers the velocity that diffusers' class, turned, answers.

One file of a network acts alike on the fused projections of the one and the split ones of the
other.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from comfyui_server import REPOSITORY, comfyui_folder, missing, try_in_comfyui
from diffusers import Lumina2Transformer2DModel
from safetensors.torch import load_file, save_file

import hypernet.diffusers
from hypernet import HypernetSpec, Hypernetwork, Record, save_network

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


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """(mine, theirs): {"velocity", "with_network"} of diffusers' class, and of ComfyUI's."""
    if reason := missing():
        pytest.skip(reason)
    tmp_path = tmp_path_factory.mktemp("tiny_dit")
    torch.manual_seed(0)
    transformer = Lumina2Transformer2DModel(**SIZES).eval()
    transformer.save_pretrained(tmp_path)
    x, sigma = torch.randn(2, 4, 8, 8), torch.tensor([0.2, 0.9])
    context = torch.randn(2, 5, SIZES["cap_feat_dim"])
    places = [(stream, SIZES["hidden_size"]) for stream in ("image", "text", "joint")]
    spec = HypernetSpec(places=tuple(places), layer_structure=(1, 1), groups=2)
    network = Hypernetwork(spec, Record(architecture="lumina2"))
    file = save_network(network, tmp_path / "network.safetensors")
    save_file({"x": x, "sigma": sigma, "context": context}, tmp_path / "asked.safetensors")
    done = try_in_comfyui(
        Path(__file__).with_name("check_tiny_dit.py"),
        comfyui_folder(),
        REPOSITORY,
        tmp_path / "diffusion_pytorch_model.safetensors",
        tmp_path / "config.json",
        file,
        tmp_path / "asked.safetensors",
        tmp_path / "answer.safetensors",
    )
    assert done.returncode == 0, done.stderr
    mask = torch.ones(context.shape[:2], dtype=torch.bool)

    @torch.no_grad()
    def velocity() -> torch.Tensor:
        return -transformer(x, 1 - sigma, context, mask).sample  # as demo/flow.py

    mine = {"velocity": velocity()}
    with hypernet.diffusers.apply(transformer, network):
        mine["with_network"] = velocity()
    return mine, load_file(tmp_path / "answer.safetensors")


def test_both_classes_answer_the_same_velocity(answers):
    mine, theirs = (each["velocity"] for each in answers)
    assert mine.abs().mean() > 0.1
    assert (mine - theirs).abs().max() < 1e-4


def test_one_file_acts_alike_on_fused_and_on_split_projections(answers):
    mine, theirs = (each["with_network"] - each["velocity"] for each in answers)
    assert mine.abs().mean() > 5e-3
    assert (mine - theirs).abs().max() < 1e-5
