"""Chooses the pictures that are held out of training, and those that the probe measures."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..dataset.items import Dataset
from ..seeding import generator

PROBED = 8  # pictures in a probe
ENOUGH = 40  # pictures; from here on, one in 20 is held out


def hold_out(dataset: Dataset, number: int, seed: int) -> Dataset:
    """The dataset with `number` files held out; −1 chooses a number.

    All items of a file are held out together. Raises ValueError when none would be left to train
    on.
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
    """The indices of the items in the probe: PROBED of them, or all held-out ones if more."""
    pool = dataset.held_out or dataset.shown
    number = max(PROBED, len(dataset.held_out))
    return [pool[place * len(pool) // number] for place in range(number)]
