"""Estimates the size of a network: on disk, while generating, and while training.

Weights are float32, 4 bytes each, in a file and on the accelerator; a network that computes in
bfloat16 has 2 bytes each there. Training takes 16 bytes per weight for the weight, its gradient and
AdamW's two moments, besides the model and its activations, and 2 more for the bfloat16 that it
computes with. The state for resuming consists of the two moments.
"""

from __future__ import annotations

from ..disk_space import as_size
from ..network.spec import HypernetSpec
from .known_models import KnownModel

# Inferred, not measured: the inputs of 57 blocks of 4608 tokens of 3072 bfloat16 numbers (Flux.1 at
# 1024 x 1024, checkpointed), what one block computes, and what the driver takes
WORKING = 3 * 2**30
NUMBERS = {"bfloat16": 16, "8 bits": 8}


def estimate(spec: HypernetSpec) -> dict[str, int]:
    """The number of parameters, and the bytes for each purpose."""
    short = spec.arithmetic == "bfloat16"
    return {
        "parameters": spec.parameters,
        "file": spec.file_bytes,
        "file_float16": spec.file_bytes - 2 * spec.parameters,
        "generating": (2 if short else 4) * spec.parameters,
        "training": (18 if short else 16) * spec.parameters,
        "optimizer_file": 8 * spec.parameters,
    }


def way_onto(card: float, model: KnownModel) -> str:
    """How a model is trained on, with its usual network, on a card of so many GiB.

    "bfloat16" or "8 bits": with its weights in these numbers, as a whole. "in parts": the host
    keeps weights in RAM and brings them block by block.
    """
    room = card * 2**30 - WORKING - estimate(model.spec)["training"]
    fitting = [name for name, bits in NUMBERS.items() if model.weights(bits) <= room]
    return fitting[0] if fitting else "in parts"


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
