"""compat/comfyui against the real thing, inside ComfyUI's own process: see check_host.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("check_host.py")
NAMES = re.findall(
    r"^def (\w+)\(compat, model, clip, vae\)", SCRIPT.read_text("utf-8"), re.MULTILINE
)
SHAPE = "sd15"


@pytest.mark.parametrize("name", NAMES)
def test(name: str, words: str):
    assert name in words.splitlines(), words[-4000:]
