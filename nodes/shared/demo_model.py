"""LoadDemoModel: loads the tiny model that comes with the pack, to try all without a download."""

import json
from functools import cache
from pathlib import Path

from ... import compat
from ...compat import io
from .sockets import CATEGORY

DEMO = Path(__file__).parents[2] / "demo"


@cache
def demo_widths() -> tuple[int, ...]:
    """The widths of its attention layers and of its text."""
    shape = json.loads((DEMO / "tiny-sd" / "unet" / "config.json").read_text("utf-8"))
    return tuple(sorted({shape["cross_attention_dim"], *shape["block_out_channels"]}))


def refuse_demo(folder: Path) -> None:
    """Raises ValueError if the folder is the pack's own, where no captions may be written."""
    if folder.resolve().is_relative_to(DEMO.resolve()):
        raise ValueError(
            f'The pictures in "{folder.name} [demo]" come with Hypernet and stay as they are. Copy '
            "them into the input folder to give them other captions."
        )


class LoadDemoModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetLoadDemoModel",
            display_name="Load Demo Model",
            category=CATEGORY,
            description="The demo model: a tiny Stable Diffusion that comes with Hypernet, so "
            "nothing is downloaded. It draws simple things, such as a red heart, a pizza or a "
            "penguin, in pictures of 128×128 pixels, and learns within a minute, also without a "
            "graphics card. Networks that are trained on it work with no other model.",
            search_aliases=["demo", "tiny model", "example checkpoint", "try hypernetworks"],
            inputs=[],
            outputs=[
                io.Model.Output("model", display_name="model"),
                io.Clip.Output("clip", display_name="clip"),
                io.Vae.Output("vae", display_name="vae"),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(*compat.load_demo_model(DEMO / "tiny-sd"))
