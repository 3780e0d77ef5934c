"""Pictures that are held out of training, and those that the probe measures."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..dataset.items import Dataset
from ..seeding import generator

PROBED = 8  # samples of a probe
ENOUGH = 40  # pictures, to keep one in 20 out of training


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
