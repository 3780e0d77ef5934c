"""The text models of a transformer's pipeline, as the object behind the socket CLIP.

Prompts are encoded by the pipeline's own `encode_prompt`, with its template and its length. They
are read as they stand: brackets are letters, and no word has a weight. Contexts of two prompts may
have different lengths.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from hypernet.diffusers.prompts import encode_prompt


class PipelineText:
    """A pipeline of diffusers without its VAE.

    transformer: the name of the class whose prompts it encodes.
    """

    def __init__(self, pipeline: Any, transformer: str, load_device: torch.device) -> None:
        self.pipeline = pipeline
        self.transformer = transformer
        self.load_device = load_device
        parts = [part for part in pipeline.components.values() if isinstance(part, nn.Module)]
        self.module = nn.ModuleList(parts)

    def with_layer(self, layer: int) -> PipelineText:
        """Raises ValueError: such a model reads its text models as it was trained to."""
        raise ValueError(
            f"{type(self.pipeline).__name__} reads fixed layers of its text models: leave out "
            "CLIP Set Last Layer."
        )

    @torch.inference_mode(False)
    @torch.no_grad()
    def encode(self, text: str) -> tuple[Tensor, Tensor | None]:
        """Context (1, T, C), and pooled (1, P) if the model reads one; float32 on the CPU."""
        self.module.to(self.load_device)
        found = encode_prompt(self.pipeline, self.transformer, text)
        pooled = found.get("pooled")
        return found["context"][None], None if pooled is None else pooled[None]


class NoChecker:
    """In the place of a checker. No module: the pipeline asks its modules for their device."""


def text_pipeline(kind: Any, parts: dict[str, Any]) -> Any:
    """A pipeline of this class with these parts alone: it encodes prompts.

    Cosmos' pipeline asks for a checker of pictures, from a package of its own, which encodes
    nothing.
    """
    known = inspect.signature(kind).parameters
    given: dict[str, Any] = {
        name: None for name, each in known.items() if each.default is each.empty
    }
    if "safety_checker" in known:
        given["safety_checker"] = NoChecker()
    return kind(**given | parts)
