"""Pictures and words as the UNet sees them, encoded once, before training.

Every picture is encoded once and every prompt that the templates can make of its caption once; the
encoders can then leave the accelerator. A batch is a pure function of its place in the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from .captions import prompt_of, template_at
from .chance import generator, sample_order
from .dataset import Dataset, Item, read_pixels
from .diffusion import Batch
from .train import Probe

Condition = Mapping[str, Tensor]

PROBED = 8  # samples of a probe
ENOUGH = 40  # pictures, to keep one in 20 out of training


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Encoded pictures (N, c, h, w) and prompts, on the CPU.

    hold_out: how many pictures training does not see, −1 for as many as is good.
    """

    dataset: Dataset
    name: str  # what [name] stands for
    seed: int
    latents: Tensor
    conditions: Mapping[str, Condition]  # by prompt
    hold_out: int = 0

    def __post_init__(self) -> None:
        if self.hold_out >= len(self.dataset.items):
            raise ValueError(
                f"held_out {self.hold_out} would leave none of {len(self.dataset.items)} pictures "
                "to train on: give less, or 0."
            )

    @cached_property
    def held_out(self) -> list[int]:
        """Places of the pictures that training does not see."""
        count = len(self.dataset.items)
        number = self.hold_out
        if number < 0:
            number = min(PROBED, count // 20) if count >= ENOUGH else 0
        shuffled = torch.randperm(count, generator=generator(self.seed, "held out", 0))
        return sorted(shuffled[:number].tolist())

    @cached_property
    def shown(self) -> list[int]:
        """One pass: places of pictures, each as often as it is repeated."""
        hidden = set(self.held_out)
        return [place for place in self.dataset.shown if place not in hidden]

    def batch_at(self, first: int, number: int) -> Batch:
        """Samples first … first+number−1 of the endless shuffled stream."""
        order = sample_order(self.seed, len(self.shown), first, number)
        items = [self.shown[place] for place in order]
        return self._batch(items, [first + place for place in range(number)])

    def probe(self, size: int) -> Probe:
        """PROBED samples, or one of each picture if there are more held out, `size` at a time."""
        pool = self.held_out or self.shown
        number = max(PROBED, len(self.held_out))
        items = [pool[place * len(pool) // number] for place in range(number)]
        starts = range(0, number, size)
        batches = [self._batch(items[at : at + size], list(range(at, number))) for at in starts]
        return Probe(batches, held_out=bool(self.held_out))

    def _batch(self, items: list[int], samples: list[int]) -> Batch:
        prompts = [
            prompt_of(
                template_at(self.dataset.templates, self.seed, sample),
                self.dataset.items[item].caption,
                self.name,
            )
            for item, sample in zip(items, samples, strict=False)
        ]
        return Batch(self.latents[items], stack([self.conditions[prompt] for prompt in prompts]))


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
    return found, torch.cat(latents)
