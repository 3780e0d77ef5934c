"""The two hosts behind one face: run(prompt) -> Outcome, object_info(), and where their files lie.

Prompts are in API format, so that a test says the same to both. Each host has a checkpoint with
random weights: of SD 1.5's shape in ComfyUI, a tiny one in the stand-in.
"""

from __future__ import annotations

import asyncio
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from comfyui_server import CHECKPOINT, ComfyUI, Outcome

HERE = Path(__file__).parent
PROBE = HERE / "probe_nodes.py"


@dataclass(frozen=True)
class Host:
    """What tests use of either host."""

    name: str
    base: Path
    checkpoint: str
    self_widths: tuple[int, ...]
    text_width: int
    blocks: int  # attention blocks of each kind

    def run(self, prompt: dict) -> Outcome:
        raise NotImplementedError

    def object_info(self) -> dict[str, dict]:
        raise NotImplementedError

    @property
    def input_folder(self) -> Path:
        return self.base / "input"

    @property
    def output_folder(self) -> Path:
        return self.base / "output"

    @property
    def network_folder(self) -> Path:
        return self.base / "models" / "hypernetworks"


@dataclass(frozen=True)
class RealHost(Host):
    server: ComfyUI

    def run(self, prompt: dict) -> Outcome:
        return self.server.run(prompt)

    def object_info(self) -> dict[str, dict]:
        return self.server.object_info()


@dataclass(frozen=True)
class StandInHost(Host):
    executor: object

    def run(self, prompt: dict) -> Outcome:
        from hypernet_pack.compat.standalone.folders import configured

        with configured(
            input=self.input_folder, output=self.output_folder, models=self.base / "models"
        ):
            run = self.executor.run(prompt)
        return Outcome(run.status, run.outputs, run.error or {}, run.node_errors)

    def object_info(self) -> dict[str, dict]:
        from hypernet_pack.compat.standalone.graph.object_info import describe

        return {name: describe(node) for name, node in self.executor.nodes.items()}


def real_host(server: ComfyUI) -> RealHost:
    return RealHost(
        name="ComfyUI",
        base=server.base,
        checkpoint=CHECKPOINT,
        self_widths=(320, 640, 1280),
        text_width=768,
        blocks=16,
        server=server,
    )


def stand_in(base: Path) -> StandInHost:
    from hypernet_pack import comfy_entrypoint
    from hypernet_pack.compat.standalone.graph.executor import Executor
    from hypernet_pack.compat.standalone.nodes.core import CORE_NODES

    for name in ("input", "output", "models/hypernetworks", "models/checkpoints"):
        (base / name).mkdir(parents=True)
    tiny = _load(HERE.parent / "compat" / "conftest.py", "hypernet_tiny_checkpoint")
    tiny.write_tiny_checkpoint(base / "models" / "checkpoints" / "tiny")
    probe = _load(PROBE, "hypernet_probe_nodes")

    async def pack_nodes() -> list:
        extension = await comfy_entrypoint()
        await extension.on_load()
        return await extension.get_node_list()

    return StandInHost(
        name="stand-in",
        base=base,
        checkpoint="tiny",
        self_widths=(16, 32),
        text_width=tiny.TEXT_WIDTH,
        blocks=4,
        executor=Executor([*CORE_NODES, *asyncio.run(pack_nodes()), *probe.NODES]),
    )


def _load(file: Path, name: str):
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
