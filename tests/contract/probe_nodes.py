"""Nodes that tell a test what a patch sees and what a sampler makes. Both hosts load this file.

In ComfyUI it lies in custom_nodes; in the stand-in the test hands its nodes to the executor.
"""

import json
import sys

import torch

if "comfy_api" in sys.modules:
    from comfy_api.latest import ComfyExtension, io, ui
else:
    from hypernet_pack.compat import ComfyExtension, io, ui

RECORD = io.Custom("HYPERNET_TEST_RECORD")


class Witness:
    """A patch that writes down its calls; it may scale what it passes on."""

    def __init__(self, record: list, kind: str, keys: float, values: float):
        self.record, self.kind, self.keys, self.values = record, kind, keys, values

    def __call__(self, n, context, value, extra_options):
        self.record.append(
            {
                "kind": self.kind,
                "n": list(n.shape),
                "context": list(context.shape),
                "same": torch.equal(context, value),
                "is_n": context is n,
                "block": list(extra_options["block"]),
                "block_index": extra_options["block_index"],
                "sigmas": extra_options["sigmas"].tolist(),
                "sample_sigmas": extra_options["sample_sigmas"].tolist(),
                "cond_or_uncond": list(extra_options["cond_or_uncond"]),
                "inference": torch.is_inference_mode_enabled(),
            }
        )
        return n, context * self.keys, value * self.values


class WatchPatches(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="HypernetTestWatch",
            display_name="Watch Patches",
            category="hypernet/test",
            inputs=[
                io.Model.Input("model"),
                io.Float.Input("keys", default=1.0, min=-10.0, max=10.0),
                io.Float.Input("values", default=1.0, min=-10.0, max=10.0),
            ],
            outputs=[io.Model.Output(), RECORD.Output()],
        )

    @classmethod
    def execute(cls, model, keys, values):
        record = []
        watched = model.clone()
        watched.set_model_attn1_patch(Witness(record, "attn1", keys, values))
        watched.set_model_attn2_patch(Witness(record, "attn2", keys, values))
        return io.NodeOutput(watched, record)


class ShowRecord(io.ComfyNode):
    """Takes the latents only so that it runs after the sampler."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="HypernetTestRecord",
            display_name="Show Record",
            category="hypernet/test",
            inputs=[RECORD.Input("record"), io.Latent.Input("latent")],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, record, latent):
        return io.NodeOutput(ui=ui.PreviewText(json.dumps(record)))


class ShowLatent(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="HypernetTestLatent",
            display_name="Show Latent",
            category="hypernet/test",
            inputs=[io.Latent.Input("latent")],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, latent):
        return io.NodeOutput(
            ui=ui.PreviewText(json.dumps(latent["samples"].double().flatten().tolist()))
        )


NODES = [WatchPatches, ShowRecord, ShowLatent]


class ProbeExtension(ComfyExtension):
    async def get_node_list(self):
        return NODES


async def comfy_entrypoint():
    return ProbeExtension()
