"""Estimates the size of a network: on disk, while generating, and while training.

Weights are float32, 4 bytes each, in a file and on the accelerator. Training takes 16 bytes per
weight for the weight, its gradient and AdamW's two moments, besides the model and its activations.
The state for resuming consists of the two moments.
"""

from __future__ import annotations

from ..disk_space import as_size
from ..network.spec import HypernetSpec


def estimate(spec: HypernetSpec) -> dict[str, int]:
    """The number of parameters, and the bytes for each purpose."""
    return {
        "parameters": spec.parameters,
        "file": spec.file_bytes,
        "file_float16": spec.file_bytes - 2 * spec.parameters,
        "generating": 4 * spec.parameters,
        "training": 16 * spec.parameters,
        "optimizer_file": 8 * spec.parameters,
    }


def estimate_text(found: dict[str, int]) -> str:
    return "\n".join(
        [
            f"parameters   {found['parameters']:,}",
            f"file         {as_size(found['file'])}; {as_size(found['file_float16'])} in float16",
            f"generating   {as_size(found['generating'])} beside the model",
            f"training     {as_size(found['training'])} beside the model and its activations",
            f"to resume    {as_size(found['optimizer_file'])} of optimizer state per checkpoint",
        ]
    )
