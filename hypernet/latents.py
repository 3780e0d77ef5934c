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

from .buckets import order_in_groups
from .chance import generator
from .dataset import Dataset, Item, read_pixels
from .diffusion import Batch
from .shelf import Shelf
from .train import Probe
from .words import every_prompt, prompt_at

Condition = Mapping[str, Tensor]

PROBED = 8  # samples of a probe
ENOUGH = 40  # pictures, to keep one in 20 out of training


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Encoded pictures and prompts, on the CPU. A batch has pictures of one size."""

    dataset: Dataset
    name: str  # what [name] stands for
    seed: int
    latents: Sequence[Tensor]  # (c, h, w) by item
    conditions: Mapping[str, Condition]  # by prompt
    weights: Sequence[Tensor] | None = None  # of the loss, (1, h, w) with mean 1 by item

    def batch_at(self, first: int, number: int) -> Batch:
        """Samples first … first+number−1 of the endless shuffled stream."""
        items = items_at(self.dataset, self.seed, first, number)
        return self._batch(items, range(first, first + number))

    def probe(self, size: int) -> Probe:
        """The probed pictures, at most `size` at a time."""
        by_size: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for sample, item in enumerate(probed_items(self.dataset)):
            by_size.setdefault(self.dataset.sizes[item], []).append((sample, item))
        batches = []
        for group in by_size.values():
            for at in range(0, len(group), size):
                samples, items = zip(*group[at : at + size], strict=True)
                batches.append(self._batch(items, samples))
        return Probe(batches, held_out=bool(self.dataset.held_out))

    def _batch(self, items: Sequence[int], samples: Sequence[int]) -> Batch:
        prompts = prompts_at(self.dataset, self.name, self.seed, samples, items)
        return Batch(
            torch.stack([self.latents[item] for item in items]),
            stack([self.conditions[prompt] for prompt in prompts]),
            None if self.weights is None else torch.stack([self.weights[item] for item in items]),
        )


def hold_out(dataset: Dataset, number: int, seed: int) -> Dataset:
    """The dataset with so many pictures that training does not see, −1 for as many as is good.

    All items of a file are held out together.

    Raises ValueError when none would be left.
    """
    files = list(dict.fromkeys(item.path for item in dataset.items))
    if number >= len(files):
        raise ValueError(
            f"held_out {number} would leave none of {len(files)} pictures to train on: give less, "
            "or 0."
        )
    if number < 0:
        number = min(PROBED, len(files) // 20) if len(files) >= ENOUGH else 0
    shuffled = torch.randperm(len(files), generator=generator(seed, "held out", 0)).tolist()
    hidden = {files[place] for place in shuffled[:number]}
    places = tuple(place for place, item in enumerate(dataset.items) if item.path in hidden)
    return replace(dataset, held_out=places)


def probed_items(dataset: Dataset) -> list[int]:
    """Places of the items that the probe shows: PROBED of them, or each held-out one if there are
    more."""
    pool = dataset.held_out or dataset.shown
    number = max(PROBED, len(dataset.held_out))
    return [pool[place * len(pool) // number] for place in range(number)]


def items_at(dataset: Dataset, seed: int, first: int, number: int) -> list[int]:
    """Places of the items that the batch of samples first … first+number−1 shows."""
    order = order_in_groups(seed, dataset.shown_groups, first, number)
    return [dataset.shown[place] for place in order]


def prompts_at(
    dataset: Dataset, name: str, seed: int, samples: Sequence[int], items: Sequence[int]
) -> list[str]:
    """The prompts of these samples of the stream, which show these items."""
    return [
        prompt_at(dataset.words, dataset.items[item].caption, name, seed, sample)
        for sample, item in zip(samples, items, strict=True)
    ]


def all_prompts(
    dataset: Dataset, name: str, seed: int = 0, samples: int | None = None, batch_size: int = 1
) -> list[str]:
    """Every prompt that training and its probe can ask for, each once; no more than a run of so
    many samples will, where that is less."""
    words = dataset.words
    most = len(dataset.items) * len(words.templates) * words.pool
    if samples is not None and samples < most:
        made = (
            prompt
            for first in range(0, samples, batch_size)
            for prompt in prompts_at(
                dataset,
                name,
                seed,
                range(first, first + batch_size),
                items_at(dataset, seed, first, batch_size),
            )
        )
    else:
        made = (
            prompt
            for item in dataset.items
            for prompt in every_prompt(words, item.caption, name, seed)
        )
    probed = probed_items(dataset)
    shown = prompts_at(dataset, name, seed, range(len(probed)), probed)
    return list(dict.fromkeys([*made, *shown]))


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
