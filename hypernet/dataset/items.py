"""The dataset: a light description of the pictures to train on. Pixels are read on demand.

A Dataset holds paths, sizes and captions, never pixels. A Cut (crop.py) brings every picture to its
training size; by default it is scaled to cover that size and cropped around the middle. Nothing is
stretched. Pictures in a folder named as for kohya's trainers, `10_fox`, are shown ten times as
often as others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..captions.prompts import AS_CAPTIONED, Words
from ..pictures.crop import Cut, cover, take
from ..pictures.reading import open_picture
from .showings import Showings

SKIPPED = 20  # unreadable files that the report names, each with its reason


@dataclass(frozen=True, kw_only=True)
class Item:
    """One picture and its caption. A file may give several items, each with its own cut."""

    path: Path
    caption: str
    width: int  # of the file, in pixels
    height: int
    repeats: int = 1  # how often a pass over the dataset shows it
    written: str = ""  # the text about it in a caption file or table
    cut: Cut | None = None  # None: the dataset's size, cropped around the middle
    mask: Path | None = None  # its loss mask, if the folder has one


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The items, the size they are trained at, and how prompts are made from captions."""

    folder: Path
    items: tuple[Item, ...]
    width: int
    height: int
    unreadable: tuple[tuple[str, str], ...] = ()  # (file name, reason)
    words: Words = AS_CAPTIONED
    captioned: bool = False  # captions were chosen by a node, not just found beside the pictures
    skip_unreadable: bool = False  # also skip pictures that fail only when their pixels are read
    loss_mask: str = "none"  # one of masks.LOSS_MASKS
    alike: tuple[tuple[str, ...], ...] = ()  # groups of names of pictures that look the same
    notes: tuple[str, ...] = ()  # sentences for the report
    held_out: tuple[int, ...] = ()  # indices of items that training does not see

    def with_captions(self, captions: list[str]) -> Dataset:
        pairs = zip(self.items, captions, strict=True)
        items = tuple(replace(item, caption=text) for item, text in pairs)
        return replace(self, items=items, captioned=True)

    @cached_property
    def shown(self) -> Showings:
        """One pass: the index of every item, as often as it is repeated."""
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
        """One pass, grouped by training size, as buckets.order_in_groups takes it."""
        groups: dict[tuple[int, int], list[int]] = {}
        for place, count in self._repeated(range(len(self.items))):
            if count:
                groups.setdefault(self.sizes[place], []).append(place)
        return [Showings(self._repeated(places)) for places in groups.values()]


def cut_of(item: Item, dataset: Dataset) -> Cut:
    """The item's cut, or the default one if nothing was prepared."""
    return item.cut or cover(item.width, item.height, dataset.width, dataset.height)


def read_pixels(item: Item, dataset: Dataset) -> torch.Tensor:
    """(1, H, W, 3) float32 in 0..1, at the item's training size.

    Raises ValueError naming the file if it cannot be read.
    """
    picture = open_picture(item.path)
    try:
        return pixels_of(picture, cut_of(item, dataset))
    except ValueError as fault:
        raise ValueError(f'"{item.path}": {fault}.') from fault


def pixels_of(picture: Image.Image, cut: Cut) -> torch.Tensor:
    """A part of an RGB picture, (1, H, W, 3) float32 in 0..1. Raises ValueError as `take` does."""
    return torch.from_numpy(np.array(take(picture, cut))).float().div_(255)[None]
