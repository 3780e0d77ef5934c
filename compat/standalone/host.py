"""What the stand-in is to nodes beside its folders, progress, routes and models."""

from __future__ import annotations

from typing import Any

from .graph import io


class ComfyExtension:
    """Base of the object that comfy_entrypoint returns."""

    async def on_load(self) -> None:
        """Called once, before the nodes are asked for."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        raise NotImplementedError(f"{type(self).__name__} has no get_node_list.")


def host_name() -> str:
    return "hypernet stand-in"


def manage(module: Any) -> list:
    return []  # no memory is counted here; patches bring their weights with to(device)


def track_changes(model: Any) -> None:
    """Nothing to do: `run_unet` gives ordinary tensors to every model."""
