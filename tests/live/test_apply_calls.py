"""Apply Hypernet inside ComfyUI's own process: see check_apply.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("check_apply.py")
NAMES = re.findall(r"^def (\w+)\(pack\)", SCRIPT.read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test(name: str, words: str):
    assert name in words.splitlines(), words[-4000:]
