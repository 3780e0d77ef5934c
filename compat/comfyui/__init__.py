"""ComfyUI's side of the contract. Only this package imports ComfyUI.

Tested with ComfyUI 0.33; uses only what has existed since 0.25. host.py is imported at once, every
other module when one of its names is first used.
"""

from typing import Any

from comfy_api.latest import io, ui

from ..on_demand import on_demand
from .host import (
    ComfyExtension,
    Interrupted,
    Progress,
    add_route,
    dataset_folders,
    gather_processes,
    has_prompt_hooks,
    host_name,
    input_folder,
    is_interrupted,
    kept,
    lora_folder,
    model_folders,
    network_folders,
    network_names,
    output_folder,
    queued_prompts,
    raise_if_interrupted,
    send_event,
)

_find = on_demand(
    __name__,
    {
        ".demo_model": ("load_demo_model",),
        ".encoders": (
            "conditioning",
            "encode_pictures",
            "encode_texts",
            "read_conditioning",
            "scale_latents",
        ),
        ".fold": ("attention_weights", "with_weight_changes"),
        ".memory": ("free_memory", "release", "torch_device", "unload"),
        ".model": (
            "architecture",
            "attention_widths",
            "changes_of",
            "model_file",
            "model_name",
            "pixels_per_latent",
        ),
        ".prompt_hooks": ("hooks_with_network",),
        ".sampling": ("generate",),
        ".sites": ("with_network",),
        ".training": ("denoiser", "prediction"),
    },
)


class HostChanged(ValueError):
    """This ComfyUI lacks something that a feature of the pack needs."""


def __getattr__(name: str) -> Any:
    try:
        return _find(name)
    except ImportError as fault:
        raise HostChanged(
            f"This does not work with {host_name()}, which has changed: {fault}. Update the "
            "Hypernet nodes; other nodes of the pack work as before."
        ) from fault


__all__ = [
    "ComfyExtension",
    "Interrupted",
    "Progress",
    "add_route",
    "dataset_folders",
    "gather_processes",
    "has_prompt_hooks",
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
