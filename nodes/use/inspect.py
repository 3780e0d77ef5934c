"""InspectHypernet describes a network's file; EstimateHypernet estimates a network's size."""

import json

from hypernet.formats.networks import open_network
from hypernet.tools import estimate
from hypernet.tools.report import describe, report_text
from hypernet.training.presets import AUTO

from ...compat import io, network_folders, ui
from ..shared.sockets import TOOLS, ConfigSocket
from ..train.hypernet_config import chosen_spec
from .load_save import LoadHypernet, find, found_by


class InspectHypernet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetInspect",
            display_name="Inspect Hypernet",
            category=TOOLS,
            description="What a network file is: structure, activation, steps, base model, sizes, "
            "and how much it changes keys and values of each width.",
            search_aliases=["hypernetwork info", "metadata"],
            is_output_node=True,
            inputs=[
                io.String.Input("name", tooltip="File in models/hypernetworks, with its suffix.")
            ],
            outputs=[
                io.String.Output("description", display_name="description"),
                io.String.Output("json", display_name="json"),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, name: str) -> str:
        return LoadHypernet.fingerprint_inputs(name)

    @classmethod
    def validate_inputs(cls, name: str | None = None) -> bool | str:
        try:
            return True if name is None else bool(find(name))
        except (OSError, ValueError) as fault:
            return str(fault)

    @classmethod
    def execute(cls, name: str) -> io.NodeOutput:
        match, path = found_by(name)
        found = describe(path, open_network(path, network_folders()))
        shown = ui.PreviewText(f"{match.note}\n{report_text(found)}".lstrip())
        return io.NodeOutput(report_text(found), json.dumps(found), ui=shown)


class EstimateHypernet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetEstimate",
            display_name="Estimate Hypernet",
            category=TOOLS,
            description="Foretells the size of the file and the memory that it takes to generate "
            "and to train.",
            search_aliases=["hypernetwork size", "file size", "memory"],
            is_output_node=True,
            inputs=[
                ConfigSocket.Input("config", tooltip="From Hypernet Config."),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="The model to train on. Without it, SD 1.x or the config's is assumed.",
                ),
            ],
            outputs=[io.String.Output("estimate", display_name="estimate")],
        )

    @classmethod
    def execute(cls, config, model=None) -> io.NodeOutput:
        spec = config.spec if model is None else chosen_spec(config, model, AUTO)
        text = estimate.estimate_text(estimate.estimate(spec))
        return io.NodeOutput(text, ui=ui.PreviewText(text))
