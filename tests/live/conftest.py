"""One ComfyUI for all tests of this folder; without COMFYUI_DIR they are skipped."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import comfyui_server
import tried_families


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.live)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [each for group in terminalreporter.stats.values() for each in group]
    if lines := list(tried_families.table(reports)):
        terminalreporter.section("families")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture(scope="package")
def comfyui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[comfyui_server.ComfyUI]:
    if reason := comfyui_server.missing():
        pytest.skip(reason)
    with comfyui_server.ComfyUI(tmp_path_factory.mktemp("comfyui")) as server:
        yield server


@pytest.fixture(scope="module")
def words(request: pytest.FixtureRequest) -> str:
    """What the module's SCRIPT says in ComfyUI's process. SHAPE: of a checkpoint it is given."""
    if reason := comfyui_server.missing():
        pytest.skip(reason)
    shape = getattr(request.module, "SHAPE", None)
    done = comfyui_server.try_in_comfyui(
        request.module.SCRIPT,
        comfyui_server.comfyui_folder(),
        comfyui_server.REPOSITORY,
        *([comfyui_server.checkpoint(shape)] if shape else []),
    )
    return done.stdout + done.stderr
