"""The rest of what the stand-in offers nodes, besides folders, progress, routes and models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .graph import io

if TYPE_CHECKING:
    from hypernet.apply.effect import Effect
    from hypernet.formats.hns import Network


class ComfyExtension:
    """Base of the object that comfy_entrypoint returns."""

    async def on_load(self) -> None:
        """Called once, before get_node_list."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        raise NotImplementedError(f"{type(self).__name__} has no get_node_list.")


def host_name() -> str:
    return "hypernet stand-in"


def has_prompt_hooks() -> bool:
    return False


def hooks_with_network(network: Network, effect: Effect, hooks: object | None) -> object:
    raise NotImplementedError("This host has no hooks.")
