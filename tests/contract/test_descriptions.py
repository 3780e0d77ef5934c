"""The stand-in describes our nodes with the same words as ComfyUI's /object_info."""

from __future__ import annotations

import asyncio
import json

import pytest
from comfyui_server import OUR_NODES
from hosts import Host

ELSEWHERE = {"python_module"}  # says where a host has loaded the node from


@pytest.mark.parametrize("name", OUR_NODES)
def test_a_node_is_described_alike(host: Host, name: str):
    if host.name == "stand-in":
        pytest.skip("compared with ComfyUI, in its turn")
    from hypernet_pack import comfy_entrypoint
    from hypernet_pack.compat.standalone.folders import configured
    from hypernet_pack.compat.standalone.graph.object_info import describe

    nodes = asyncio.run(asyncio.run(comfy_entrypoint()).get_node_list())
    with configured(models=host.base / "models"):
        ours = {node.GET_SCHEMA().node_id: describe(node) for node in nodes}[f"Hypernet{name}"]
    theirs = host.object_info()[f"Hypernet{name}"]
    ours = json.loads(json.dumps(ours))
    for key in (ours.keys() | theirs.keys()) - ELSEWHERE:
        assert ours.get(key) == theirs.get(key), key
