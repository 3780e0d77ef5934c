"""Pictures to learn from: a light description of a folder, and pixels when somebody asks.

A Dataset holds paths, sizes and words, never pixels. Every picture is brought to its training size
by a Cut (crop.py): unless something else was prepared, it is covered and cropped about the middle.
Nothing is stretched. A folder inside that is named as kohya's trainers want it, `10_fox`, shows its
pictures ten times as often as others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from ..captions.prompts import AS_CAPTIONED, Words
from ..pictures.crop import Cut, cover, take
from ..pictures.reading import open_picture
from .showings import Showings

SKIPPED = 20  # unreadable files that the report names, each with its reason


@dataclass(frozen=True, kw_only=True)
class Item:
    """One picture and what it shows, in words. A file may give several, each with a cut."""

    path: Path
    caption: str
    width: int  # of the file, in pixels
    height: int
    repeats: int = 1  # how often a pass over the dataset shows it
    written: str = ""  # about the picture, in a file beside it or for all
    cut: Cut | None = None  # None: covered and cropped about the middle, to the dataset's size
    mask: Path | None = None  # of the loss, if the folder has one for it


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What the socket carries: items, the size they are trained at, and how prompts are made."""

    folder: Path
    items: tuple[Item, ...]
    width: int
    height: int
    unreadable: tuple[tuple[str, str], ...] = ()  # (file name, reason)
    words: Words = AS_CAPTIONED
    captioned: bool = False  # captions are what somebody chose, not merely what lay beside
    skip_unreadable: bool = False  # also those that turn out so when their pixels are asked for
    loss_mask: str = "none"  # which of masks.LOSS_MASKS weighs the loss
    alike: tuple[tuple[str, ...], ...] = ()  # names of pictures that look the same
    notes: tuple[str, ...] = ()  # sentences for the report
    held_out: tuple[int, ...] = ()  # places of items that training does not see

    def with_captions(self, captions: list[str]) -> Dataset:
        pairs = zip(self.items, captions, strict=True)
        items = tuple(replace(item, caption=text) for item, text in pairs)
        return replace(self, items=items, captioned=True)

    @cached_property
    def shown(self) -> Showings:
        """One pass: the places of the items, each as often as it is repeated."""
        return Showings(self._repeated(range(len(self.items))))

    def _repeated(self, places: Iterable[int]) -> Iterator[tuple[int, int]]:
        hidden = set(self.held_out)
        return ((place, self.items[place].repeats) for place in places if place not in hidden)

    @cached_property
    def sizes(self) -> list[tuple[int, int]]:
        """Training width and height of each item, in pixels."""
        return [
            (item.cut.width, item.cut.height) if item.cut else (self.width, self.height)
            for item in self.items
        ]

    @cached_property
    def shown_groups(self) -> list[Showings]:
        """What is shown of each size; what buckets.order_in_groups wants."""
        groups: dict[tuple[int, int], list[int]] = {}
        for place, count in self._repeated(range(len(self.items))):
            if count:
                groups.setdefault(self.sizes[place], []).append(place)
        return [Showings(self._repeated(places)) for places in groups.values()]


def cut_of(item: Item, dataset: Dataset) -> Cut:
    """What is shown of the file, also where nothing was prepared."""
    return item.cut or cover(item.width, item.height, dataset.width, dataset.height)


def read_pixels(item: Item, dataset: Dataset) -> torch.Tensor:
    """(1, H, W, 3) float32 in 0..1, at the item's training size. Raises ValueError naming it."""
    picture = open_picture(item.path)
    try:
        part = take(picture, cut_of(item, dataset))
    except ValueError as fault:
        raise ValueError(f'"{item.path}": {fault}.') from fault
    return torch.from_numpy(np.array(part)).float().div_(255)[None]


# --- reading a folder ----------------------------------------------------------------------------


# --- words about it ------------------------------------------------------------------------------
