"""What the host says of itself: its nodes, the scripts of its editor, its machine, its folders."""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil
import torch
from aiohttp import web

from .. import folders
from ..graph.node_class import ComfyNode
from ..graph.object_info import describe
from .frontend import BLUEPRINTS, PACK, extensions
from .model_lists import model_folder_names

UPLOAD_BYTES = 100 * 2**20
FEATURES = {"supports_preview_metadata": True, "max_upload_size": UPLOAD_BYTES}


class HostRoutes:
    def __init__(self, nodes: Mapping[str, type[ComfyNode]], frontend: Path):
        self.nodes = nodes
        self.frontend = frontend

    def table(self) -> list[web.RouteDef]:
        return [
            web.get("/object_info", self.get_object_info),
            web.get("/object_info/{node}", self.get_node_info),
            web.get("/extensions", self.get_extensions),
            web.get("/features", self.get_features),
            web.get("/system_stats", self.get_system_stats),
            web.get("/global_subgraphs", self.get_blueprints),
            web.get("/global_subgraphs/{id}", self.get_blueprint),
            web.get("/node_replacements", self.get_nothing),
            web.get("/internal/folder_paths", self.get_folder_paths),
        ]

    async def get_object_info(self, request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(self.descriptions, list(self.nodes)))

    async def get_node_info(self, request: web.Request) -> web.Response:
        wanted = [request.match_info["node"]]
        return web.json_response(await asyncio.to_thread(self.descriptions, wanted))

    def descriptions(self, names: Iterable[str]) -> dict[str, dict]:
        return {name: _described(self.nodes[name]) for name in names if name in self.nodes}

    async def get_extensions(self, request: web.Request) -> web.Response:
        return web.json_response(extensions(self.frontend))

    async def get_features(self, request: web.Request) -> web.Response:
        return web.json_response(FEATURES)

    async def get_system_stats(self, request: web.Request) -> web.Response:
        return web.json_response(system_stats())

    async def get_blueprints(self, request: web.Request) -> web.Response:
        return web.json_response({file.stem: _blueprint(file) for file in _blueprints()})

    async def get_blueprint(self, request: web.Request) -> web.Response:
        for file in _blueprints():
            if file.stem == request.match_info["id"]:
                return web.json_response(_blueprint(file) | {"data": file.read_text("utf-8")})
        return web.json_response(None)  # as ComfyUI answers

    async def get_nothing(self, request: web.Request) -> web.Response:
        return web.json_response({})  # there are none

    async def get_folder_paths(self, request: web.Request) -> web.Response:
        names = model_folder_names()
        return web.json_response(
            {name: [str(folder) for folder in folders.model_folders(name)] for name in names}
        )


def _described(node: type[ComfyNode]) -> dict[str, Any]:
    is_core = node.__module__.endswith(".nodes.core")
    return describe(node) | {"python_module": "nodes" if is_core else f"custom_nodes.{PACK}"}


def _blueprints() -> list[Path]:
    return sorted(BLUEPRINTS.glob("*.json"))


def _blueprint(file: Path) -> dict[str, Any]:
    node_pack = {"node_pack": f"custom_nodes.{PACK}"}
    return {"source": "custom_node", "name": file.stem, "info": node_pack}


def system_stats() -> dict[str, Any]:
    from ..host import host_name
    from ..model.checkpoint import torch_device

    device = torch_device()
    memory = psutil.virtual_memory()
    if device.type == "cuda":
        there, whole = torch.cuda.mem_get_info(device)
        name = torch.cuda.get_device_name(device)
    else:
        there, whole, name = memory.available, memory.total, device.type
    described = {
        "name": name,
        "type": device.type,
        "index": device.index,
        "vram_total": whole,
        "vram_free": there,
        "torch_vram_total": whole,
        "torch_vram_free": there,
    }
    return {
        "system": {
            "os": sys.platform,
            "ram_total": memory.total,
            "ram_free": memory.available,
            "comfyui_version": host_name(),
            "python_version": platform.python_version(),
            "pytorch_version": torch.__version__,
            "embedded_python": False,
            "argv": ["hypernet", "serve"],
        },
        "devices": [described],
    }
