"""The types of MODEL, CLIP, VAE and CONDITIONING, as far as nodes may use what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch

# (n, context, value, extra_options) -> (n, context, value), called before to_q, to_k and to_v. A
# patch may also have to(device or dtype), which returns the patch to use; models(); and cleanup(),
# which is called when sampling ends, even by an error. extra_options has "sigmas",
# "cond_or_uncond", "sample_sigmas", "block" and "block_index", with ComfyUI's meanings.
AttentionPatch = Any


class Model(Protocol):
    """MODEL: a UNet with its patches and changes."""

    model_options: dict[str, Any]

    def clone(self) -> Model:
        """A copy that shares the weights, but has its own patches and attachments."""
        ...

    def set_model_attn1_patch(self, patch: AttentionPatch) -> None: ...

    def set_model_attn2_patch(self, patch: AttentionPatch) -> None: ...

    def get_model_object(self, name: str) -> Any:
        """Every host has at least "model_sampling", with percent_to_sigma(percent)."""
        ...

    def set_attachments(self, key: str, value: Any) -> None: ...

    def get_attachment(self, key: str) -> Any:
        """The attachment, or None. Clones keep attachments."""
        ...

    def model_dtype(self) -> torch.dtype:
        """The type of the UNet's stored weights."""
        ...


class Clip(Protocol):
    """CLIP: text encoders and their tokenizers. Only the host looks inside."""


class Vae(Protocol):
    """VAE. Only the host looks inside."""


Conditioning = Sequence[Any]  # prompts as the host encodes them; only the host looks inside
