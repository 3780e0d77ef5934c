"""Prompts that tests share, in API format: a checkpoint, two texts and a sampler around a model."""

from __future__ import annotations

from typing import Any

Link = list
PIXELS = 64
LOADER = "loader"


def node(class_type: str, **inputs: Any) -> dict:
    return {"class_type": class_type, "inputs": inputs}


def base(checkpoint: str) -> dict[str, dict]:
    """The checkpoint as "loader", with texts "positive" and "negative" and an empty "latent"."""
    return {
        LOADER: node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "positive": node("CLIPTextEncode", text="a cat", clip=[LOADER, 1]),
        "negative": node("CLIPTextEncode", text="", clip=[LOADER, 1]),
        "latent": node("EmptyLatentImage", width=PIXELS, height=PIXELS, batch_size=1),
    }


def sampler(model: Link, *, steps: int = 1, cfg: float = 1.0, **changes: Any) -> dict:
    inputs = {
        "model": model,
        "seed": 7,
        "steps": steps,
        "cfg": cfg,
        "sampler_name": "euler",
        "scheduler": "normal",
        "positive": ["positive", 0],
        "negative": ["negative", 0],
        "latent_image": ["latent", 0],
        "denoise": 1.0,
    }
    return node("KSampler", **inputs | changes)
