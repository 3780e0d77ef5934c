"""The stand-in host: runs the same nodes and the same workflow JSON without ComfyUI.

graph: node types, and the way from a workflow file to results. model: checkpoints and sampling with
diffusers. nodes: ComfyUI's core nodes. serve: the graph editor in the browser. Importing the pack
must not import diffusers, so everything in model is imported when it is first used.
"""

from ..on_demand import on_demand
from .folders import (
    dataset_folders,
    input_folder,
    lora_folder,
    model_folders,
    network_folders,
    network_names,
    output_folder,
)
from .graph import io, ui
from .host import ComfyExtension, has_prompt_hooks, hooks_with_network, host_name
from .many_processes import gather_processes
from .progress import Interrupted, Progress, is_interrupted, raise_if_interrupted
from .routes import add_route, kept, queued_prompts, send_event

__getattr__ = on_demand(
    __name__,
    {
        ".model.checkpoint": ("load_demo_model", "torch_device"),
        ".model.models": (
            "architecture",
            "attention_weights",
            "attention_widths",
            "changes_of",
            "conditioning",
            "denoiser",
            "encode_pictures",
            "encode_texts",
            "free_memory",
            "generate",
            "model_file",
            "model_name",
            "pixels_per_latent",
            "prediction",
            "read_conditioning",
            "release",
            "scale_latents",
            "unload",
            "with_network",
            "with_weight_changes",
        ),
    },
)

__all__ = [
    "ComfyExtension",
    "Interrupted",
    "Progress",
    "add_route",
    "dataset_folders",
    "gather_processes",
    "has_prompt_hooks",
    "hooks_with_network",
    "host_name",
    "input_folder",
    "io",
    "is_interrupted",
    "kept",
    "lora_folder",
    "model_folders",
    "network_folders",
    "network_names",
    "output_folder",
    "queued_prompts",
    "raise_if_interrupted",
    "send_event",
    "ui",
]
