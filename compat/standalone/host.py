"""The rest of what the stand-in offers nodes, besides folders, progress, routes and models."""

from __future__ import annotations

from typing import Any

from .graph import io


class ComfyExtension:
    """Base of the object that comfy_entrypoint returns."""

    async def on_load(self) -> None:
        """Called once, before get_node_list."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        raise NotImplementedError(f"{type(self).__name__} has no get_node_list.")


def host_name() -> str:
    return "hypernet stand-in"


def manage(module: Any) -> list:
    return []  # this host doesn't count memory; patches move their weights in to(device)


def track_changes(model: Any) -> None:
    """Nothing to do: `run_unet` passes ordinary tensors to every model."""
