"""A checkpoint of Stable Diffusion 1.x's shape, small and random, for the stand-in host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

TEXT_WIDTH, TEXT_LENGTH = 24, 12


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diffusers folder that predicts the noise. Read it; copy it to change it."""
    return write_tiny_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> tuple:
    """MODEL, CLIP and VAE of the tiny folder, loaded as the executor does. Clone to patch."""
    from hypernet_pack.compat.standalone.model.checkpoint import load_checkpoint

    with torch.inference_mode():
        return load_checkpoint(tiny_folder)


def write_tiny_checkpoint(folder: Path) -> Path:
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    UNet2DConditionModel(
        sample_size=8,
        down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"],
        block_out_channels=[16, 32],
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=2,
    ).save_pretrained(folder / "unet")
    AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        block_out_channels=[8, 16],
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        scaling_factor=0.18215,
    ).save_pretrained(folder / "vae")
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    vocabulary = [*letters, *(letter + "</w>" for letter in letters)]
    merges = ["r e", "re d</w>", "c a", "ca t</w>", "d o", "do g</w>"]
    vocabulary += [merge.replace(" ", "") for merge in merges]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir(parents=True)
    numbers = {word: number for number, word in enumerate(vocabulary)}
    (tokenizer / "vocab.json").write_text(json.dumps(numbers), "utf-8")
    (tokenizer / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), "utf-8")
    CLIPTokenizer(
        vocab=str(tokenizer / "vocab.json"),
        merges=str(tokenizer / "merges.txt"),
        model_max_length=TEXT_LENGTH,
    ).save_pretrained(tokenizer)
    CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(vocabulary),
            hidden_size=TEXT_WIDTH,
            intermediate_size=48,
            projection_dim=TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=TEXT_LENGTH,
            bos_token_id=len(vocabulary) - 2,
            eos_token_id=len(vocabulary) - 1,
            pad_token_id=len(vocabulary) - 1,
        )
    ).save_pretrained(folder / "text_encoder")
    DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    ).save_pretrained(folder / "scheduler")
    parts = {
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "DDIMScheduler"],
    }
    index = {"_class_name": "StableDiffusionPipeline", **parts}
    (folder / "model_index.json").write_text(json.dumps(index), "utf-8")
    return folder
