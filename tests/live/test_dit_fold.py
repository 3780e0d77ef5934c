"""Folding into transformers inside ComfyUI's own process: see check_dit_fold.py."""

from __future__ import annotations

from pathlib import Path

import comfyui_server
import pytest
from test_dit_apply import FAMILIES

SCRIPT = Path(__file__).with_name("check_dit_fold.py")


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_folded_or_in_a_lora_file_is_what_the_network_does(family: str):
    if reason := comfyui_server.missing():
        pytest.skip(reason)
    done = comfyui_server.try_in_comfyui(
        SCRIPT, comfyui_server.comfyui_folder(), comfyui_server.REPOSITORY, family
    )
    lines = [line for line in done.stdout.splitlines() if family in line]
    print(*lines, sep="\n")
    assert not any(line.startswith("FAILED") for line in lines), "\n".join(lines)
    assert f"{family}: all done" in lines, (done.stdout + done.stderr)[-4000:]
