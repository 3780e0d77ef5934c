"""CreateHookHypernet: a network that acts on one conditioning only."""

from hypernet.apply.effect import Effect

from ... import compat
from ...compat import io
from ..shared.sockets import CATEGORY, HypernetSocket
from .apply import LIMIT

Hooks = io.Custom("HOOKS")  # ComfyUI's own


class CreateHookHypernet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetCreateHook",
            display_name="Create Hook Hypernet",
            category=CATEGORY,
            description="Lets a hypernetwork act on one conditioning alone, by ComfyUI's hooks: "
            "give the hooks to Cond Set Props, a region, or Set Hook Keyframes.",
            search_aliases=["regional hypernetwork", "hypernetwork for one prompt"],
            inputs=[
                HypernetSocket.Input("hypernet", tooltip="From Train or Load Hypernet."),
                io.Float.Input(
                    "strength", default=1.0, min=-LIMIT, max=LIMIT, step=0.01,
                    tooltip="Factor on what the network adds: 1 as trained, 0 off, negative "
                    "away from it. Keyframes multiply it.",
                ),
                Hooks.Input(
                    "prev_hooks", optional=True,
                    tooltip="Other hooks, such as those of Create Hook LoRA, for the same "
                    "conditioning.",
                ),
            ],
            outputs=[Hooks.Output("hooks", display_name="hooks")],
        )  # fmt: skip

    @classmethod
    def execute(cls, hypernet, strength: float, prev_hooks=None) -> io.NodeOutput:
        return io.NodeOutput(
            compat.hooks_with_network(hypernet, Effect(strength=strength), prev_hooks)
        )
