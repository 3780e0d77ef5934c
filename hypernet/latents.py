"""Pictures and words as the UNet sees them, encoded once, before training.

Every picture is encoded once and every prompt that the templates can make of its caption once; the
encoders can then leave the accelerator. A batch is a pure function of its place in the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .buckets import batch_order
from .captions import prompt_of, template_at
from .dataset import Dataset, Item, read_pixels
from .train import Batch

Condition = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Encoded pictures and prompts, on the CPU. A batch has pictures of one size."""

    dataset: Dataset
    name: str  # what [name] stands for
    seed: int
    latents: Sequence[Tensor]  # (c, h, w) by item
    conditions: Mapping[str, Condition]  # by prompt
    weights: Sequence[Tensor] | None = None  # of the loss, (1, h, w) by item

    def batch_at(self, first: int, number: int) -> Batch:
        """Samples first … first+number−1 of the endless shuffled stream."""
        items = self.items_at(first, number)
        prompts = [
            prompt_of(
                template_at(self.dataset.templates, self.seed, first + place),
                self.dataset.items[item].caption,
                self.name,
            )
            for place, item in enumerate(items)
        ]
        latents = torch.stack([self.latents[item] for item in items])
        return latents, stack([self.conditions[prompt] for prompt in prompts])

    def weights_at(self, first: int, number: int) -> Tensor | None:
        """(B, 1, h, w) with mean 1, for the samples of batch_at; None if nothing is weighed."""
        if self.weights is None:
            return None
        return torch.stack([self.weights[item] for item in self.items_at(first, number)])

    def items_at(self, first: int, number: int) -> list[int]:
        order = batch_order(self.seed, self.dataset.shown_sizes, first, number)
        return [self.dataset.shown[place] for place in order]


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
) -> tuple[Dataset, Sequence[Tensor]]:
    """The dataset and the latents (c, h, w) of each of its pictures, as one tensor where all have
    one size; calls each(item) before every one.

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
        latent = encode(pixels).float().cpu()
        if not bool(torch.isfinite(latent).all()):
            raise ValueError(
                f'The VAE gives NaN for "{item.path}". Run the VAE in float32 or use another one.'
            )
        items.append(item)
        latents.append(latent)
    if not items:
        raise ValueError(f'None of the pictures in "{dataset.folder}" can be read.')
    found = replace(dataset, items=tuple(items), unreadable=dataset.unreadable + tuple(unreadable))
    alike = len({latent.shape for latent in latents}) == 1
    return found, torch.cat(latents) if alike else [latent[0] for latent in latents]
