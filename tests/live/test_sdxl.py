"""compat/comfyui on SDXL, inside ComfyUI's own process: see check_sdxl.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("check_sdxl.py")
NAMES = re.findall(
    r"^def (\w+)\(compat, model, clip, vae\)", SCRIPT.read_text("utf-8"), re.MULTILINE
)
SHAPE = "sdxl"


@pytest.mark.parametrize("name", NAMES)
def test(name: str, words: str):
    assert name in words.splitlines(), words[-4000:]
