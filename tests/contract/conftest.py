"""`host`: each test here runs in the stand-in, and in a real ComfyUI when COMFYUI_DIR is set."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "live")]

import comfyui_server
import hosts


@pytest.fixture(
    scope="package", params=["stand-in", pytest.param("comfyui", marks=pytest.mark.live)]
)
def host(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[hosts.Host]:
    base = tmp_path_factory.mktemp("host")
    if request.param == "stand-in":
        yield hosts.stand_in(base)
        return
    if reason := comfyui_server.missing():
        pytest.skip(reason)
    with comfyui_server.ComfyUI(base, hosts.PROBE) as server:
        yield hosts.real_host(server)
