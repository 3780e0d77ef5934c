"""The bundled demo model in ComfyUI draws the pictures that it draws in the stand-in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from comfyui_server import ComfyUI, node
from hypernet_pack.compat import standalone
from hypernet_pack.compat.standalone.model.checkpoint import load_checkpoint
from PIL import Image

MODEL = Path(__file__).resolve().parents[2] / "demo" / "tiny-sd"
SIZE, STEPS, CFG, SEED = 128, 12, 4.0, 3
PROMPTS = [
    "red heart",
    "a (pizza:1.3) and a (cat)",
    "grinning face, penguin, dog, rocket, sun, rainbow, banana, star, fire, guitar, rose, crown",
]


def drawing(text: str) -> dict[str, dict]:
    return {
        "model": node("HypernetLoadDemoModel"),
        "positive": node("CLIPTextEncode", text=text, clip=["model", 1]),
        "negative": node("CLIPTextEncode", text="", clip=["model", 1]),
        "latent": node("EmptyLatentImage", width=SIZE, height=SIZE, batch_size=1),
        "sampled": node(
            "KSampler",
            model=["model", 0],
            positive=["positive", 0],
            negative=["negative", 0],
            latent_image=["latent", 0],
            seed=SEED,
            steps=STEPS,
            cfg=CFG,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        ),
        "decoded": node("VAEDecode", samples=["sampled", 0], vae=["model", 2]),
        "picture": node("SaveImage", images=["decoded", 0], filename_prefix="demo"),
    }


@pytest.fixture(scope="module")
def stand_in() -> tuple:
    return load_checkpoint(MODEL)


@pytest.mark.parametrize("text", PROMPTS)
def test_a_picture_is_the_stand_ins(comfyui: ComfyUI, stand_in: tuple, text: str):
    outcome = comfyui.run(drawing(text))
    assert outcome.status == "success", outcome.error
    (file,) = outcome.shown["picture"]["images"]
    with Image.open(comfyui.base / "output" / file["filename"]) as picture:
        found = np.array(picture, dtype=np.float64)
    model, clip, vae = stand_in
    words = (standalone.conditioning(clip, each) for each in (text, ""))
    (expected,) = standalone.generate(
        model, vae, *words, width=SIZE, height=SIZE, seed=SEED, steps=STEPS, cfg=CFG
    )
    difference = np.abs(found - expected.numpy() * 255)
    assert found.std() > 20, "it shows something"
    assert difference.mean() < 0.6  # files round to whole numbers, 0.25 in the mean
    assert difference.max() < 3


def test_a_long_prompt_is_no_reason_for_a_warning(comfyui: ComfyUI):
    assert comfyui.run(drawing("red heart, " * 40)).status == "success"
    assert "sequence length" not in comfyui.words()
