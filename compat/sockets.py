"""What the sockets MODEL, CLIP, VAE and CONDITIONING carry, as far as nodes may look into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch

# (n, context, value, extra_options) -> (n, context, value), before to_q, to_k and to_v. A patch may
# have to(device or dtype), which returns the patch to use, models(), and cleanup(), which ends a
# sampling run also when that is broken off. extra_options["sigmas"], ["cond_or_uncond"],
# ["sample_sigmas"], ["block"] and ["block_index"] mean what they mean in ComfyUI.
AttentionPatch = Any


class Model(Protocol):
    """MODEL: a UNet with the patches and changes that it carries."""

    model_options: dict[str, Any]

    def clone(self) -> Model:
        """The same weights, with patches and attachments of its own."""
        ...

    def set_model_attn1_patch(self, patch: AttentionPatch) -> None: ...

    def set_model_attn2_patch(self, patch: AttentionPatch) -> None: ...

    def get_model_object(self, name: str) -> Any:
        """ "model_sampling" is there on both sides, and its percent_to_sigma(percent)."""
        ...

    def set_attachments(self, key: str, value: Any) -> None: ...

    def get_attachment(self, key: str) -> Any:
        """Clones keep attachments."""
        ...

    def model_dtype(self) -> torch.dtype:
        """The type of the UNet's stored weights."""
        ...


class Clip(Protocol):
    """CLIP: text encoders and their tokenizers. Only the host looks inside."""


class Vae(Protocol):
    """VAE. Only the host looks inside."""


Conditioning = Sequence[Any]  # prompts as the host encodes them; only the host looks inside
