"""Pictures and words as the UNet sees them, encoded once, before training.

Every picture is encoded once and every prompt that the templates can make of its caption once; the
encoders can then leave the accelerator. A batch is a pure function of its place in the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .captions import prompt_of, template_at
from .chance import sample_order
from .dataset import Dataset, Item, read_pixels
from .train import Batch

Condition = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Encoded pictures (N, c, h, w) and prompts, on the CPU."""

    dataset: Dataset
    name: str  # what [name] stands for
    seed: int
    latents: Tensor
    conditions: Mapping[str, Condition]  # by prompt

    def batch_at(self, first: int, number: int) -> Batch:
        """Samples first … first+number−1 of the endless shuffled stream."""
        conditions = [self.conditions[prompt] for prompt in self.prompts_at(first, number)]
        return self.latents[self._items_at(first, number)], stack(conditions)

    def prompts_at(self, first: int, number: int) -> list[str]:
        """The prompts of these samples."""
        return [
            prompt_of(
                template_at(self.dataset.templates, self.seed, first + place),
                self.dataset.items[item].caption,
                self.name,
            )
            for place, item in enumerate(self._items_at(first, number))
        ]

    def _items_at(self, first: int, number: int) -> list[int]:
        shown = self.dataset.shown
        return [shown[place] for place in sample_order(self.seed, len(shown), first, number)]


def all_prompts(dataset: Dataset, name: str) -> list[str]:
    """Every prompt that training can ask for, each once."""
    made = (
        prompt_of(template, item.caption, name)
        for item in dataset.items
        for template in dataset.templates
    )
    return list(dict.fromkeys(made))


def stack(conditions: list[Condition]) -> dict[str, Tensor]:
    """One condition for a batch. Prompts of different length are brought to the longest by
    repeating their last 77-token part, as A1111 does."""
    stacked = {}
    for key in conditions[0]:
        tensors = [condition[key] for condition in conditions]
        if tensors[0].ndim == 2:  # (T, C)
            longest = max(len(tensor) for tensor in tensors)
            tensors = [lengthen(tensor, longest) for tensor in tensors]
        stacked[key] = torch.stack(tensors)
    return stacked


def lengthen(tokens: Tensor, length: int, part: int = 77) -> Tensor:
    """(T, C) → (length, C): the last part again and again."""
    missing = length - len(tokens)
    if missing <= 0:
        return tokens
    last = tokens[-part:]
    again = last.repeat(-(-missing // len(last)), 1)[:missing]
    return torch.cat([tokens, again])


def encode_dataset(
    dataset: Dataset,
    encode: Callable[[Tensor], Tensor],
    each: Callable[[Item], object] = lambda item: None,
) -> tuple[Dataset, Tensor]:
    """The dataset and latents (N, c, h, w) of all its pictures; calls each(item) before every one.

    A picture may be whole by its header and still not decode: if the dataset is to skip such ones,
    the dataset that comes back lacks them and names them.

    encode takes (1, H, W, 3) in 0..1. Raises ValueError naming a picture that cannot be read or
    that gives no number.
    """
    items, latents, unreadable = [], [], []
    for item in dataset.items:
        each(item)
        try:
            pixels = read_pixels(item, dataset)
        except ValueError as fault:
            if not dataset.skip_unreadable:
                raise
            unreadable.append((item.path.relative_to(dataset.folder).as_posix(), str(fault)))
            continue
        latent = encode(pixels).float().cpu().contiguous()  # channels-last rounds otherwise
        if not bool(torch.isfinite(latent).all()):
            raise ValueError(
                f'The VAE gives NaN for "{item.path}". Run the VAE in float32 or use another one.'
            )
        items.append(item)
        latents.append(latent)
    if not items:
        raise ValueError(f'None of the pictures in "{dataset.folder}" can be read.')
    found = replace(dataset, items=tuple(items), unreadable=dataset.unreadable + tuple(unreadable))
    return found, torch.cat(latents)
