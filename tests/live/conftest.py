"""One ComfyUI for all tests of this folder; without COMFYUI_DIR they are skipped."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import comfyui_server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.live)


@pytest.fixture(scope="package")
def comfyui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[comfyui_server.ComfyUI]:
    if reason := comfyui_server.missing():
        pytest.skip(reason)
    with comfyui_server.ComfyUI(tmp_path_factory.mktemp("comfyui")) as server:
        yield server
