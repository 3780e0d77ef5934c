"""Training on ComfyUI's transformers, inside its own process: see check_dit_training.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("check_dit_training.py")
NAMES = re.findall(r"^    (\w+),$", SCRIPT.read_text("utf-8"), re.MULTILINE)
FAMILIES = (
    "flux", "flux2", "chroma", "hunyuan_video", "sd3", "lumina2", "z_image", "qwen_image", "wan",
    "cosmos_predict2", "anima", "hidream", "krea2", "longcat_image", "ovis_image",
    "chroma_radiance", "mage_flow", "ernie", "wan_vace",
)  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_trained_on_and_left_as_it_was(name: str, words: str):
    """Velocities, gradients of every pair, 20 updates; then the model is bitwise bare."""
    assert f"{name}: passed" in words.splitlines(), words[-8000:]


@pytest.mark.parametrize("name", NAMES)
def test(name: str, words: str):
    assert name in words.splitlines(), words[-4000:]
