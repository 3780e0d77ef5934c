"""What the editor is told about our nodes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from comfyui_server import OUR_NODES, PACK, ComfyUI

IDS = [f"Hypernet{name}" for name in OUR_NODES]


def inputs(description: dict) -> Iterator[tuple[str, dict]]:
    for group in ("required", "optional"):
        for name, (_, *options) in description["input"].get(group, {}).items():
            yield name, options[0] if options else {}


def test_the_pack_is_imported_without_a_word(comfyui: ComfyUI):
    assert comfyui.object_info().keys() >= set(IDS)
    about_us = [line for line in comfyui.words().splitlines() if f"custom_nodes/{PACK}" in line]
    assert len(about_us) == 1, about_us  # the line of the import times
    assert "FAILED" not in about_us[0]


@pytest.mark.parametrize("node", IDS)
def test_a_node_says_what_it_is(comfyui: ComfyUI, node: str):
    description = comfyui.object_info()[node]
    assert description["python_module"] == f"custom_nodes.{PACK}"
    for key in ("display_name", "description", "category"):
        assert isinstance(description[key], str), key
        assert description[key], key
    assert description["category"].startswith("hypernet")
    assert description["search_aliases"]
    assert not description["experimental"]
    assert not description["deprecated"]


@pytest.mark.parametrize("node", IDS)
def test_every_input_has_a_tooltip(comfyui: ComfyUI, node: str):
    found = list(inputs(comfyui.object_info()[node]))
    assert found or node == "HypernetLoadDemoModel", "which has none"
    for name, options in found:
        assert options.get("tooltip"), name


@pytest.mark.parametrize("node", IDS)
def test_every_output_has_a_name(comfyui: ComfyUI, node: str):
    description = comfyui.object_info()[node]
    assert description["output"]
    assert all(description["output_name"])
