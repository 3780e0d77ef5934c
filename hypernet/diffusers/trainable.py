"""What `train` asks of a model: its noise, its checks, and what its pipeline encodes.

TrainableUnet and TrainableTransformer are the two kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..encoding.encode import Encode
from ..network.spec import HypernetSpec
from ..training.diffusion import Denoiser
from ..training.settings import TrainSettings

CPU = torch.device("cpu")

Size = tuple[int, int]  # width and height in pixels


class Trainable(Protocol):
    """A model, or a pipeline with one. Where it is a model alone, nothing can be encoded."""

    @property
    def pipeline(self) -> Any: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def architecture(self) -> str:
        """As a network records it: "" for UNets."""
        ...

    @property
    def prediction(self) -> str: ...

    def check_spec(self, spec: HypernetSpec) -> None:
        """Raises ValueError for widths or places that the model does not have."""
        ...

    def check_batch(self, number: int, latents: Tensor, condition: Mapping[str, Tensor]) -> None:
        """Raises ValueError naming the batch by its number."""
        ...

    def training_size(self, size: Size | None) -> Size:
        """The size, or the one that the model was made for if size is None.

        Raises ValueError if the model can't take such a size.
        """
        ...

    def latent_size(self, size: Size) -> tuple[int, int]:
        """Rows and columns of a latent of that size."""
        ...

    @property
    def encode_picture(self) -> Encode: ...

    def encode_prompt(self, prompt: str) -> dict[str, Tensor]:
        """The condition of one prompt, float32 on the CPU, without the dimension of batches."""
        ...

    def denoiser(
        self, device: torch.device, settings: TrainSettings
    ) -> AbstractContextManager[Denoiser]:
        """Inside, the model is frozen and on the device; then it is as it was."""
        ...


def check_rows(number: int, latents: Tensor, condition: Mapping[str, Tensor]) -> None:
    for key, value in condition.items():
        if len(value) != len(latents):
            raise ValueError(
                f'Item {number}: {len(latents)} latents and {len(value)} rows of "{key}". Give one '
                "for each."
            )


def check_placement(model: nn.Module) -> None:
    if hasattr(model, "_hf_hook"):
        kind = "UNet" if hasattr(model, "mid_block") else "transformer"
        raise ValueError(
            f"The pipeline moves its {kind} to and from the accelerator itself. Load it without "
            "enable_model_cpu_offload, and where memory is short, train with offload."
        )
