"""Apply Hypernet on transformers inside ComfyUI's own process: see check_dit_apply.py."""

from __future__ import annotations

from pathlib import Path

import comfyui_server
import pytest

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
def test_a_network_is_the_reference_and_leaves_nothing_behind(family: str):
    if reason := comfyui_server.missing():
        pytest.skip(reason)
    done = comfyui_server.try_in_comfyui(
        SCRIPT, comfyui_server.comfyui_folder(), comfyui_server.REPOSITORY, family
    )
    lines = [line for line in done.stdout.splitlines() if family in line]
    print(*lines, sep="\n")
    assert not any(line.startswith("FAILED") for line in lines), "\n".join(lines)
    assert f"{family}: all done" in lines, (done.stdout + done.stderr)[-4000:]
