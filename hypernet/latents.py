"""Pictures and words as the UNet sees them, encoded once, before training.

Every picture is encoded once and every prompt that the run will show once; the encoders can then
leave the accelerator. A batch is a pure function of its place in the stream. Prompts are encoded
in small groups and kept on the disk, so memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .buckets import batch_order
from .dataset import Dataset, Item, read_pixels
from .shelf import Shelf
from .train import Batch
from .words import every_prompt, prompt_at

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
        items = items_at(self.dataset, self.seed, first, number)
        prompts = prompts_at(self.dataset, self.name, self.seed, first, items)
        latents = torch.stack([self.latents[item] for item in items])
        return latents, stack([self.conditions[prompt] for prompt in prompts])

    def weights_at(self, first: int, number: int) -> Tensor | None:
        """(B, 1, h, w) with mean 1, for the samples of batch_at; None if nothing is weighed."""
        if self.weights is None:
            return None
        items = items_at(self.dataset, self.seed, first, number)
        return torch.stack([self.weights[item] for item in items])


def items_at(dataset: Dataset, seed: int, first: int, number: int) -> list[int]:
    """Places of the items that the batch of samples first … first+number−1 shows."""
    order = batch_order(seed, dataset.shown_sizes, first, number)
    return [dataset.shown[place] for place in order]


def prompts_at(
    dataset: Dataset, name: str, seed: int, first: int, items: Sequence[int]
) -> list[str]:
    """The prompts of samples first, first+1, …, which show these items."""
    return [
        prompt_at(dataset.words, dataset.items[item].caption, name, seed, first + place)
        for place, item in enumerate(items)
    ]


def all_prompts(
    dataset: Dataset, name: str, seed: int = 0, samples: int | None = None, batch_size: int = 1
) -> list[str]:
    """Every prompt that training can ask for, each once; no more than a run of so many samples
    will, where that is less."""
    words = dataset.words
    most = len(dataset.items) * len(words.templates) * words.pool
    if samples is not None and samples < most:
        made = (
            prompt
            for first in range(0, samples, batch_size)
            for prompt in prompts_at(
                dataset, name, seed, first, items_at(dataset, seed, first, batch_size)
            )
        )
    else:
        made = (
            prompt
            for item in dataset.items
            for prompt in every_prompt(words, item.caption, name, seed)
        )
    return list(dict.fromkeys(made))


def encode_prompts(
    prompts: Sequence[str],
    encode: Callable[[list[str]], list[Condition]],
    shelf: Shelf,
    each: Callable[[int], object] = lambda done: None,
    group: int = 32,
) -> Shelf:
    """The shelf, with the conditions of all prompts by prompt; calls each(done) before every group.

    Only one group is in memory at a time.
    """
    for first in range(0, len(prompts), group):
        each(first)
        texts = list(prompts[first : first + group])
        for text, condition in zip(texts, encode(texts), strict=True):
            shelf.add(text, condition)
    return shelf


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
    alike = len({latent.shape for latent in latents}) == 1
    return found, torch.cat(latents) if alike else [latent[0] for latent in latents]
