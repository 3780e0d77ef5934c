"""Apply Hypernet among ComfyUI's other nodes, in its own process: see check_chains.py."""

from __future__ import annotations

from pathlib import Path

import check_chains
import pytest

SCRIPT = Path(check_chains.__file__)
NAMES = [row.name for row in check_chains.ROWS]


def test_no_row_hides_another():
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test(name: str, words: str):
    lines = [line for line in words.splitlines() if f" {name} |" in line or f" {name}:" in line]
    assert any(line.startswith(f"held {name} |") for line in lines), lines or words[-4000:]
