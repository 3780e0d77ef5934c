"""How nodes are described, and those of ComfyUI that the stand-in lacks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")

# ComfyUI's nodes that the stand-in lacks, as ComfyUI's /object_info describes them. A live test
# compares them.
FACTOR = {"default": 1.0}
OTHERS = {
    "LoraLoader": {
        "input": {
            "required": {
                "model": ["MODEL"],
                "clip": ["CLIP"],
                "lora_name": ["COMBO"],
                "strength_model": ["FLOAT", FACTOR],
                "strength_clip": ["FLOAT", FACTOR],
            }
        },
        "output": ["MODEL", "CLIP"],
        "output_name": ["MODEL", "CLIP"],
    },
    "ControlNetLoader": {
        "input": {"required": {"control_net_name": ["COMBO"]}},
        "output": ["CONTROL_NET"],
        "output_name": ["CONTROL_NET"],
    },
    "ControlNetApplyAdvanced": {
        "input": {
            "required": {
                "positive": ["CONDITIONING"],
                "negative": ["CONDITIONING"],
                "control_net": ["CONTROL_NET"],
                "image": ["IMAGE"],
                "strength": ["FLOAT", FACTOR],
                "start_percent": ["FLOAT", {"default": 0.0}],
                "end_percent": ["FLOAT", {"default": 1.0}],
            },
            "optional": {"vae": ["VAE"]},
        },
        "output": ["CONDITIONING", "CONDITIONING"],
        "output_name": ["positive", "negative"],
    },
}


def fields(inputs: dict[str, dict]) -> Iterable[tuple[str, str, dict]]:
    """(name, type, options) of a description's inputs, in the editor's order."""
    for group in ("required", "optional"):
        for name, (io_type, *options) in inputs.get(group, {}).items():
            yield name, io_type, options[0] if options else {}


def first_value(options: dict) -> Any:
    """The value of a widget in a new node."""
    choices = options.get("options") or [""]
    first = choices[0]["key"] if isinstance(choices[0], dict) else choices[0]
    return options.get("default", first)
