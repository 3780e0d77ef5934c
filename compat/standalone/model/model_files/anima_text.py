"""Anima's text model, as the object behind the socket CLIP.

It reads a prompt as it stands, without a template, and gives T5's tokens of the prompt beside: the
adapter in the transformer's file makes one text of both (flow.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from ..patched_model import Model
    from ..sampling import Conditioning

TOKENS_OF_T5 = "t5xxl_ids"  # beside Anima's context, as in ComfyUI


class AnimaText:
    """qwen: a Qwen3Model. words: its tokenizer. tokens: T5's."""

    def __init__(self, qwen: nn.Module, words: Any, tokens: Any, load_device: torch.device) -> None:
        self.module: Any = qwen
        self.words = words
        self.tokens = tokens
        self.load_device = load_device

    def with_layer(self, layer: int) -> AnimaText:
        """Raises ValueError: Anima reads the last layer."""
        raise ValueError(
            "Anima reads the last layer of its text model: leave out CLIP Set Last Layer."
        )

    @torch.inference_mode(False)
    @torch.no_grad()
    def encode(self, text: str) -> tuple[Tensor, Tensor]:
        """Context (1, T, C), float32, and T5's tokens (T',), both on the CPU."""
        self.module.to(self.load_device)
        numbers = self.words(text, verbose=False).input_ids or [self.words.pad_token_id]
        asked = torch.tensor([numbers], device=self.load_device)
        context = self.module(input_ids=asked, use_cache=False).last_hidden_state
        return context.float().cpu(), torch.tensor(self.tokens(text, verbose=False).input_ids)


def adapted(model: Model, conditioning: Conditioning) -> Conditioning:
    """Texts of Anima after the model's adapter, once for all steps; others as they are.

    Raises ValueError if such a text is for a model without an adapter.
    """
    found = []
    for context, options in conditioning:
        rest = {key: each for key, each in options.items() if key != TOKENS_OF_T5}
        if len(rest) < len(options):
            adapter = getattr(model.model, "adapter", None)
            if adapter is None:
                raise ValueError(
                    "this text is encoded for Anima, and the model is another: give Load CLIP the "
                    "text model of this model."
                )
            context = through(adapter, context, options[TOKENS_OF_T5], model.load_device)
        found.append([context, rest])
    return found


@torch.inference_mode(False)
@torch.no_grad()
def through(adapter: Any, context: Tensor, tokens: Tensor, device: torch.device) -> Tensor:
    """(1, T', C) of (1, T, C) and T5's tokens (T',), float32, on the CPU.

    The adapter is on the device only for this call.
    """
    adapter.to(device)
    found = adapter(context.to(device, adapter.dtype), tokens[None].to(device).long())
    adapter.to("cpu")
    return found.float().cpu()
