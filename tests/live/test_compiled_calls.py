"""Compiled models inside ComfyUI's own process: see check_compiled.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import comfyui_server
import pytest

SCRIPT = Path(__file__).with_name("check_compiled.py")
WAYS = {
    ("eager", "sub_quad"): ["bare_first"],
    ("eager", "pytorch"): ["bare_first", "network_first"],
    ("inductor", "pytorch"): ["bare_first", "network_first"],
}


@pytest.mark.parametrize(("backend", "attention"), WAYS)
def test_each_picture_is_right_in_any_order(backend: str, attention: str):
    if reason := comfyui_server.missing():
        pytest.skip(reason)
    if backend == "inductor" and not shutil.which("g++"):
        pytest.skip("inductor needs a compiler")
    done = comfyui_server.try_in_comfyui(
        SCRIPT, comfyui_server.comfyui_folder(), comfyui_server.REPOSITORY, backend, attention
    )
    words = done.stdout + done.stderr
    for order in WAYS[backend, attention]:
        assert f"{backend} {attention} {order}" in words.splitlines(), words[-4000:]
