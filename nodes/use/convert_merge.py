"""ConvertHypernet and MergeHypernets: make a new network of one or of several."""

from dataclasses import replace

from hypernet.formats.networks import save_network
from hypernet.network.hypernetwork import Hypernetwork
from hypernet.network.spec import read_widths
from hypernet.tools import convert, merge

from ...compat import Faults, io
from ..shared.sockets import TOOLS, HypernetSocket
from ..shared.typed_text import fault_of
from .load_save import bare_path, new_file

MOST = 4  # networks that one node takes


class ConvertHypernet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetConvert",
            display_name="Convert Hypernet",
            category=TOOLS,
            description="Another form of a network, saved in models/hypernetworks: other widths, "
            "half-size numbers, one matrix per width, or what ComfyUI's own loader reads right. "
            "An existing file is never overwritten.",
            search_aliases=["prune hypernetwork", "fp16", "safetensors", "pt"],
            is_output_node=True,
            inputs=[
                HypernetSocket.Input("hypernet", tooltip="The network to convert."),
                io.String.Input(
                    "name", default="my_style_small",
                    tooltip="File name, without folder and suffix.",
                ),
                io.Combo.Input(
                    "file_format", options=["pt", "safetensors"], default="pt",
                    tooltip="pt is read everywhere; safetensors holds the same.",
                ),
                io.Combo.Input(
                    "numbers", options=list(convert.NUMBERS), default="float32",
                    tooltip="Type of the numbers in the file; the 16-bit ones are half as large.",
                ),
                io.String.Input(
                    "keep_widths", default="", optional=True, advanced=True,
                    tooltip="Widths to keep, such as 768, 1280. Empty: all.",
                ),
                io.String.Input(
                    "add_widths", default="", optional=True, advanced=True,
                    tooltip="Widths to add, which do nothing until trained.",
                ),
                io.Boolean.Input(
                    "one_matrix", default=False, optional=True, advanced=True,
                    tooltip="For linear networks: structure 1, 1 with the same effect, 2 to 20 "
                    "times smaller.",
                ),
                io.Boolean.Input(
                    "for_core", default=False, optional=True, advanced=True,
                    tooltip="Only what ComfyUI's own Hypernetwork Loader draws right: no dropout, "
                    "names that it knows. Refused, with reasons, where that cannot be.",
                ),
            ],
            outputs=[
                HypernetSocket.Output("hypernet", display_name="hypernet"),
                io.String.Output("path", display_name="path"),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(
        cls, name: str | None = None, keep_widths: str | None = None, add_widths: str | None = None
    ) -> bool | str:
        faults = Faults()
        with faults.of("name"):
            if name is not None:
                bare_path(name)
        with faults.of("keep_widths"):
            read_widths(keep_widths or "")
        with faults.of("add_widths"):
            read_widths(add_widths or "")
        return faults.answer()

    @classmethod
    def execute(
        cls, hypernet, name: str, file_format: str, numbers: str, keep_widths: str = "",
        add_widths: str = "", one_matrix: bool = False, for_core: bool = False,
    ) -> io.NodeOutput:  # fmt: skip
        path = new_file(name).with_suffix("")
        path = path.with_name(f"{path.name}.{file_format}")
        result = convert.with_widths(
            hypernet, keep=read_widths(keep_widths), add=read_widths(add_widths)
        )
        if one_matrix:
            result = merge.in_sequence([(result, 1.0)], hypernet.record.name)
        if for_core:
            result = convert.for_core(result)
        result.record = replace(hypernet.record, name=path.stem)
        saved = str(save_network(result, path, dtype=convert.NUMBERS[numbers]))
        return io.NodeOutput(result, saved, ui={"saved": [saved], "text": [f"Saved {saved}"]})


class MergeHypernets(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HypernetMerge",
            display_name="Merge Hypernets",
            category=TOOLS,
            description="One network out of several, to apply or to save. weighted: a mixture of "
            "weights, for networks of one shape. side by side: exactly the sum of their effects, "
            "in a wider network. in sequence: exactly a chain of Apply nodes, for linear networks.",
            search_aliases=["merge hypernetworks", "mix", "parallel", "hns"],
            inputs=[
                io.Combo.Input(
                    "method", options=list(merge.MERGES), default="weighted",
                    tooltip="How the networks become one.",
                ),
                io.String.Input(
                    "factors", default="0.5, 0.5",
                    tooltip="One number per network, in their order.",
                ),
                io.String.Input("name", default="merged", tooltip="Name of the new network."),
                *networks(),
            ],
            outputs=[HypernetSocket.Output("hypernet", display_name="hypernet")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, factors: str | None = None) -> bool | str:
        return fault_of(merge.read_factors, factors)

    @classmethod
    def execute(cls, method: str, factors: str, name: str, **given) -> io.NodeOutput:
        chosen = given_networks(given)
        numbers = merge.read_factors(factors, len(chosen))
        return io.NodeOutput(merge.MERGES[method](list(zip(chosen, numbers, strict=True)), name))


def networks() -> list:
    """Sockets for up to MOST networks; only the first is required."""
    return [
        HypernetSocket.Input(
            f"hypernet_{place}", optional=place > 1, tooltip="From Train or Load Hypernet."
        )
        for place in range(1, MOST + 1)
    ]


def given_networks(given: dict) -> list[Hypernetwork]:
    found = (given.get(f"hypernet_{place}") for place in range(1, MOST + 1))
    return [network for network in found if network is not None]
