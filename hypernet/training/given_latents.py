"""Batches from latents and conditions that a graph has made, without a dataset.

Latents (c, h, w) are as the UNet sees them. As in batches.py, a batch is a pure function of its
first sample's number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..seeding import sample_order
from .batches import stack
from .diffusion import Batch


@dataclass(frozen=True, kw_only=True)
class Given:
    """Latents, with one condition for each or one for all.

    Raises ValueError when the numbers of latents and conditions do not fit, or when latents of
    different sizes would share a batch.
    """

    latents: Sequence[Tensor]
    conditions: Sequence[Mapping[str, Tensor]]
    seed: int
    batch_size: int

    def __post_init__(self) -> None:
        pictures, texts = len(self.latents), len(self.conditions)
        if not pictures or texts not in (1, pictures):
            raise ValueError(
                f"latents hold {pictures} pictures and conditioning {texts} texts: give one text "
                "for each picture, or one for all."
            )
        sizes = sorted({f"{x.shape[-1]}×{x.shape[-2]}" for x in self.latents})
        if len(sizes) > 1 and self.batch_size > 1:
            raise ValueError(
                f"latents of different sizes ({', '.join(sizes)}) cannot share a batch: set "
                "batch_size 1 and use accumulation, or make them of one size."
            )

    def places_at(self, first: int, number: int) -> list[int]:
        """The indices of the latents that samples first … first+number−1 show."""
        return sample_order(self.seed, len(self.latents), first, number)

    def condition_of(self, place: int) -> int:
        """The index of the condition that belongs to a latent."""
        return place if len(self.conditions) > 1 else 0

    def batch_at(self, first: int, number: int) -> Batch:
        places = self.places_at(first, number)
        conditions = [self.conditions[self.condition_of(place)] for place in places]
        return Batch(torch.stack([self.latents[place] for place in places]), stack(conditions))
