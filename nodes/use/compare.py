"""CompareHypernets draws with several networks in one grid; LabelGrid labels any pictures."""

import itertools

from hypernet.network.hypernetwork import Hypernetwork
from hypernet.pictures.grid import as_image, grid, in_rows
from hypernet.tools import compare

from ... import compat
from ...compat import Progress, io, ui
from ..shared.sockets import TOOLS
from ..shared.typed_text import fault_of
from .apply import ApplyHypernet
from .convert_merge import given_networks, networks


class CompareHypernets(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetCompare",
            display_name="Compare Hypernets",
            category=TOOLS,
            description="Draws the same picture with each network (rows) at each strength "
            "(columns), in one labelled grid.",
            search_aliases=["xy plot", "grid", "comparison"],
            has_intermediate_output=True,  # lets an editor that is opened later show the picture
            inputs=[
                io.Model.Input("model", tooltip="The model to generate with."),
                io.Vae.Input("vae", tooltip="VAE of the same checkpoint."),
                io.Conditioning.Input("positive", tooltip="What the pictures shall show."),
                io.Conditioning.Input("negative", tooltip="What they shall not show."),
                io.String.Input(
                    "strengths", default="0, 0.5, 1", tooltip="Columns of the grid, -10 to 10."
                ),
                io.Int.Input(
                    "width", default=512, min=16, max=4096, step=8, tooltip="Pixels of a picture."
                ),
                io.Int.Input(
                    "height", default=512, min=16, max=4096, step=8, tooltip="Pixels of a picture."
                ),
                io.Int.Input(
                    "seed", default=0, min=0, max=2**53, control_after_generate=False,
                    tooltip="Every picture begins with the same noise.",
                ),
                io.Int.Input(
                    "steps", default=20, min=1, max=1000, tooltip="Steps of euler per picture."
                ),
                io.Float.Input(
                    "cfg", default=7.0, min=1.0, max=100.0, step=0.1,
                    tooltip="How strongly the prompt is followed.",
                ),
                *networks(),
            ],
            outputs=[io.Image.Output("grid", display_name="grid")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, strengths: str | None = None) -> bool | str:
        return fault_of(compare.read_strengths, strengths)

    @classmethod
    def execute(
        cls, model, vae, positive, negative, strengths: str, width: int, height: int, seed: int,
        steps: int, cfg: float, **given,
    ) -> io.NodeOutput:  # fmt: skip
        chosen, columns = given_networks(given), compare.read_strengths(strengths)
        progress, count = Progress(len(chosen) * len(columns)), itertools.count(1)

        def draw(network: Hypernetwork | None, strength: float):
            patched = ApplyHypernet.execute(model, network, strength)[0] if network else model
            (picture,) = compat.generate(
                patched, vae, positive, negative,
                width=width, height=height, seed=seed, steps=steps, cfg=cfg,
            )  # fmt: skip
            progress.update(next(count), as_image(picture))
            return picture

        compared = compare.compared(chosen, columns, draw)
        return io.NodeOutput(compared, ui=ui.PreviewImage(compared, cls=cls))


class LabelGrid(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetGrid",
            display_name="Label Grid",
            category=TOOLS,
            description="A batch of pictures as one grid, with words above the columns and "
            "beside the rows.",
            search_aliases=["image grid", "contact sheet"],
            has_intermediate_output=True,
            inputs=[
                io.Image.Input("images", tooltip="Pictures of one size, row after row."),
                io.String.Input(
                    "columns", default="", multiline=True,
                    tooltip="A label per column, one a line. Empty: one row without labels.",
                ),
                io.String.Input(
                    "rows", default="", multiline=True,
                    tooltip="A label per row, one a line. Empty: none.",
                ),
            ],
            outputs=[io.Image.Output("grid", display_name="grid")],
        )  # fmt: skip

    @classmethod
    def execute(cls, images, columns: str, rows: str) -> io.NodeOutput:
        across, down = columns.splitlines(), rows.splitlines()
        pictures = in_rows(images, len(across) or -(-len(images) // max(1, len(down))))
        labelled = grid(pictures, across, down)
        return io.NodeOutput(labelled, ui=ui.PreviewImage(labelled, cls=cls))
