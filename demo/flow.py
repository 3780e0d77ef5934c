"""Draws with the tiny DiT: flow matching, by Euler steps, with classifier-free guidance.

A picture x on its way from noise n to a clean x₀ is x = (1 − σ)·x₀ + σ·n, so its velocity is
v = dx/dσ = n − x₀. The model is Lumina-Image 2's class, which counts time from noise to picture: it
is asked at t = 1 − σ and answers −v. diffusers' pipeline turns both itself; ComfyUI's NextDiT takes
σ and returns v, and turns both inside. The same weights serve both.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from diffusers import AutoencoderKL, Lumina2Transformer2DModel
from torch import Generator, Tensor
from transformers import CLIPTextModel, CLIPTokenizer

HERE = Path(__file__).parent
STEPS, CFG = 24, 4.0


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The tiny DiT, and the tiny UNet's words and pictures, which it shares."""

    transformer: Lumina2Transformer2DModel
    text: CLIPTextModel
    tokenizer: CLIPTokenizer
    vae: AutoencoderKL


def load_parts(dit: Path = HERE / "tiny-dit", shared: Path = HERE / "tiny-sd") -> Parts:
    transformer = Lumina2Transformer2DModel.from_pretrained(dit / "transformer").float().eval()
    return with_shared(transformer, shared)


def with_shared(transformer: Lumina2Transformer2DModel, shared: Path = HERE / "tiny-sd") -> Parts:
    return Parts(
        transformer=transformer,
        text=CLIPTextModel.from_pretrained(shared / "text_encoder").float().eval(),
        tokenizer=CLIPTokenizer.from_pretrained(shared / "tokenizer"),
        vae=AutoencoderKL.from_pretrained(shared / "vae").float().eval(),
    )


def velocity(
    transformer: Lumina2Transformer2DModel, x: Tensor, sigma: Tensor, context: Tensor
) -> Tensor:
    """v = n − x₀ at latents x (B, 4, H, W), noise shares sigma (B,), text (B, T, 96).

    All T tokens count, padding too, as in Stable Diffusion: the model was trained so.
    """
    mask = torch.ones(context.shape[:2], dtype=torch.bool, device=context.device)
    return -transformer(x, 1 - sigma, context, mask).sample


@torch.no_grad()
def encode_texts(parts: Parts, texts: list[str]) -> Tensor:
    """(B, T, 96), padded to the tokenizer's T."""
    ids = parts.tokenizer(
        texts,
        padding="max_length",
        truncation=True,
        max_length=parts.tokenizer.model_max_length,
        return_tensors="pt",
    ).input_ids
    return parts.text(ids).last_hidden_state


def noise_shares(steps: int, shift: float = 1.0) -> Tensor:
    """σ from 1 to 0, (steps + 1,). shift > 1 spends more steps where there is much noise."""
    even = torch.linspace(1, 0, steps + 1)
    return shift * even / (1 + (shift - 1) * even)


@torch.no_grad()
def sample(
    transformer: Lumina2Transformer2DModel,
    noise: Tensor,
    context: Tensor,
    empty: Tensor,
    *,
    steps: int = STEPS,
    cfg: float = CFG,
    shift: float = 1.0,
) -> Tensor:
    """Latents (B, 4, H, W) from noise. context (B, T, 96) is the text, empty (1, T, 96) none."""
    x, both = noise, torch.cat([context, empty.expand_as(context)])
    shares = noise_shares(steps, shift)
    for now, after in pairwise(shares):
        found = velocity(transformer, torch.cat([x, x]), now.expand(len(both)), both)
        asked, unasked = found.chunk(2)
        x = x + (after - now) * torch.lerp(unasked, asked, cfg)
    return x


@torch.no_grad()
def draw(
    parts: Parts,
    prompts: list[str],
    *,
    seed: int = 0,
    batch: int = 16,
    steps: int = STEPS,
    cfg: float = CFG,
) -> Tensor:
    """Pictures (N, 128, 128, 3) in 0..1, one per prompt. Each prompt's noise is its own."""
    empty, pictures = encode_texts(parts, [""]), []
    noise = torch.stack(
        [
            torch.randn(4, 16, 16, generator=Generator().manual_seed(seed + i))
            for i in range(len(prompts))
        ]
    )
    for first in range(0, len(prompts), batch):
        texts, start = prompts[first : first + batch], noise[first : first + batch]
        context = encode_texts(parts, texts)
        latents = sample(parts.transformer, start, context, empty, steps=steps, cfg=cfg)
        found = parts.vae.decode(latents / parts.vae.config["scaling_factor"]).sample
        pictures.append((found / 2 + 0.5).clamp(0, 1).movedim(1, -1))
    return torch.cat(pictures)
