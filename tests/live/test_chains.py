"""Apply Hypernet among ComfyUI's other nodes, in its own process: see check_chains.py."""

from __future__ import annotations

from pathlib import Path

import check_chains
import comfyui_server
import pytest

SCRIPT = Path(check_chains.__file__)
NAMES = [row.name for row in check_chains.ROWS]


@pytest.fixture(scope="module")
def words() -> str:
    if reason := comfyui_server.missing():
        pytest.skip(reason)
    done = comfyui_server.try_in_comfyui(
        SCRIPT, comfyui_server.comfyui_folder(), comfyui_server.REPOSITORY
    )
    return done.stdout + done.stderr


def test_no_row_hides_another():
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test(name: str, words: str):
    lines = [line for line in words.splitlines() if f" {name} |" in line or f" {name}:" in line]
    assert any(line.startswith(f"held {name} |") for line in lines), lines or words[-4000:]
