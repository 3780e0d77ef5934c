"""Apply Hypernet on transformers inside ComfyUI's own process: see check_dit_apply.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from tried_families import try_family

SCRIPT = Path(__file__).with_name("check_dit_apply.py")
FAMILIES = (
    "flux",
    "flux2",
    "chroma",
    "hunyuan_video",
    "sd3",
    "lumina2",
    "z_image",
    "qwen_image",
    "wan",
    "wan_i2v",
    "cosmos_predict2",
    "anima",
    "hidream",
    "krea2",
)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_is_the_reference_and_leaves_nothing_behind(family: str, record_property):
    try_family(SCRIPT, family, record_property)
