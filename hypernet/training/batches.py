"""Batches of encoded pictures and prompts. A batch is a pure function of its first sample's number.

Latents and contexts were encoded before (hypernet/encoding) and are read when a batch needs them,
so memory does not grow with the dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..captions.prompts import every_prompt, prompt_at
from ..dataset.items import Dataset, Item, cut_of
from ..pictures.buckets import order_in_groups
from ..pictures.sdxl_sizes import sizes_of_cut
from ..seeding import generator
from .diffusion import TOKENS, Batch
from .held_out import probed_items
from .probe import Probe
from .settings import TrainSettings

Condition = Mapping[str, Tensor]
MASK = "attention_mask"


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Encoded pictures and prompts, on the CPU. All pictures of a batch have one size.

    A latent is stored as mean and standard deviation. sampling "deterministic" uses the mean,
    "once" draws from the distribution once per picture, "random" draws anew at each showing.
    The probe always uses the means.
    """

    dataset: Dataset
    name: str  # what [name] stands for
    seed: int
    latents: Sequence[Mapping[str, Tensor]]  # by item "mean" and "std", (c, h, w) or (c, 1, h, w)
    conditions: Mapping[str, Condition]  # by prompt
    weights: Sequence[Mapping[str, Tensor]] | None = (
        None  # by item "weights" of the loss, (1, h, w)
    )
    sampling: str = "deterministic"  # which of diffusion.LATENT_SAMPLING

    def batch_at(self, first: int, number: int) -> Batch:
        """The batch of samples first … first+number−1 of the endless shuffled stream."""
        items = items_at(self.dataset, self.seed, first, number)
        samples = range(first, first + number)
        pairs = zip(items, samples, strict=True)
        return self._batch(items, samples, [self.latent(*pair) for pair in pairs])

    def latent(self, item: int, sample: int) -> Tensor:
        """The latent (c, …) of an item when it is shown as this sample."""
        known = self.latents[item]
        if self.sampling == "deterministic":
            return known["mean"]
        place = item if self.sampling == "once" else sample
        chance = generator(self.seed, f"latent {self.sampling}", place)
        return known["mean"] + known["std"] * torch.randn(known["mean"].shape, generator=chance)

    def probe(self, size: int) -> Probe:
        """The probe, in batches of at most `size` pictures."""
        by_size: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for sample, item in enumerate(probed_items(self.dataset)):
            by_size.setdefault(self.dataset.sizes[item], []).append((sample, item))
        batches = []
        for group in by_size.values():
            for at in range(0, len(group), size):
                samples, items = zip(*group[at : at + size], strict=True)
                means = [self.latents[item]["mean"] for item in items]
                batches.append(self._batch(items, samples, means))
        return Probe(batches, held_out=bool(self.dataset.held_out))

    def _batch(
        self, items: Sequence[int], samples: Sequence[int], latents: Sequence[Tensor]
    ) -> Batch:
        prompts = prompts_at(self.dataset, self.name, self.seed, samples, items)
        condition = stack([self.conditions[prompt] for prompt in prompts])
        if "pooled" in condition:  # only SDXL reads both
            condition["sizes"] = torch.tensor([self._sizes(self.dataset.items[i]) for i in items])
        weights = self.weights
        return Batch(
            torch.stack(list(latents)),
            condition,
            None if weights is None else torch.stack([weights[n]["weights"] for n in items]),
        )

    def _sizes(self, item: Item) -> list[float]:
        cut = cut_of(item, self.dataset)
        return [float(size) for size in sizes_of_cut(cut, item.width, item.height)]


def items_at(dataset: Dataset, seed: int, first: int, number: int) -> list[int]:
    """The indices of the items that samples first … first+number−1 show."""
    return order_in_groups(seed, dataset.shown_groups, first, number)


def prompts_at(
    dataset: Dataset, name: str, seed: int, samples: Sequence[int], items: Sequence[int]
) -> list[str]:
    """The prompts for these samples, where samples[i] shows items[i]."""
    return [
        prompt_at(dataset.words, dataset.items[item].caption, name, seed, sample)
        for sample, item in zip(samples, items, strict=True)
    ]


def prompts_of_run(dataset: Dataset, name: str, settings: TrainSettings) -> list[str]:
    """All prompts that a run with these settings can use, its probe included."""
    samples = settings.steps * settings.accumulation * settings.batch_size
    probes = settings.probe_every > 0
    return all_prompts(dataset, name, settings.seed, samples, settings.batch_size, probes)


def all_prompts(
    dataset: Dataset,
    name: str,
    seed: int = 0,
    samples: int | None = None,
    batch_size: int = 1,
    probes: bool = True,
) -> list[str]:
    """All prompts that training, and the probe if there is one, can use; each appears once.

    samples: the length of the run, if known. A short run uses fewer prompts, and only those are
    returned.
    """
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
    probed = probed_items(dataset) if probes else []
    shown = prompts_at(dataset, name, seed, range(len(probed)), probed)
    return list(dict.fromkeys([*made, *shown]))


def stack(conditions: list[Condition]) -> dict[str, Tensor]:
    """Stack conditions into one for the batch.

    Shorter prompts are extended to the longest by repeating their last 77 tokens, as A1111 does,
    and masks by zeros. For models that do otherwise, "<key> tokens" (B,) tells the prompts' own
    lengths where they differ.
    """
    stacked = {}
    masks = [MASK] if any(MASK in condition for condition in conditions) else []
    for key in dict.fromkeys([*conditions[0], *masks]):
        # encoders leave out a mask that hides nothing
        tensors = [
            condition[key] if key in condition or key != MASK else nothing_hidden(condition)
            for condition in conditions
        ]
        lengths = [length_of(tensor) for tensor in tensors]
        if len(set(lengths)) > 1:
            tensors = [lengthen(tensor, max(lengths)) for tensor in tensors]
            stacked[key + TOKENS] = torch.tensor(lengths)
        stacked[key] = torch.stack(tensors)
    return stacked


def nothing_hidden(condition: Condition) -> Tensor:
    return torch.ones(length_of(condition["context"]), dtype=torch.int64)


def length_of(tensor: Tensor) -> int:
    """The number of tokens in the encoded prompt (…, T, C) or in its mask (T,)."""
    return tensor.shape[token_dimension(tensor)]


def token_dimension(tensor: Tensor) -> int:
    return -1 if tensor.ndim == 1 else -2


def own_length(condition: Condition, row: int) -> dict[str, Tensor]:
    """One prompt of a batch as a batch of one, each tensor in its own length."""
    found = {}
    for key, each in condition.items():
        if key.endswith(TOKENS):
            continue
        one = each[row]
        lengths = condition.get(key + TOKENS)
        if lengths is not None:
            one = one.narrow(token_dimension(one), 0, int(lengths[row]))
        found[key] = one[None]
    return found


def lengthen(tokens: Tensor, length: int, part: int = 77) -> Tensor:
    """(…, T, C) → (…, length, C), by repeating the last `part` tokens. A mask (T,) ends in 0."""
    missing = length - length_of(tokens)
    if missing <= 0:
        return tokens
    if tokens.ndim == 1:
        return torch.cat([tokens, tokens.new_zeros(missing)])
    last = tokens[..., -part:, :]
    times = -(-missing // last.shape[-2])
    again = last.repeat(*(1,) * (tokens.ndim - 2), times, 1)[..., :missing, :]
    return torch.cat([tokens, again], dim=-2)
