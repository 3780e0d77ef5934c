"""Loss masks: how much each part of a picture counts in training.

A mask is the picture's alpha channel, or a picture `name_mask.png` beside it: white counts, black
doesn't. The mask is cut like its picture and averaged down to the size of the latents. It is then
divided by its mean, so a picture with a mask counts as much in total as one without. A uniform mask
therefore changes nothing, and neither does one that is entirely black.

The weights multiply the squared error element by element, before its mean is taken.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..pictures.crop import Cut, difference
from ..pictures.reading import open_alpha, open_grey, picture_size
from .items import Dataset, Item, cut_of

LOSS_MASKS = ("none", "alpha", "mask file")
OTHER_SHAPE = 0.02  # how much the shapes of a mask and its picture may differ, see `difference`


def loss_weights(item: Item, dataset: Dataset, height: int, width: int) -> Tensor:
    """(1, height, width) float32 with mean 1, for latents of that size; all ones without a mask.

    Raises ValueError naming the mask if it cannot be read or doesn't have its picture's shape.
    """
    mask = read_mask(item, dataset)
    if mask is None:
        return torch.ones(1, height, width)
    small = cut_mask(mask.convert("F"), item, cut_of(item, dataset), width, height)
    weights = torch.from_numpy(np.array(small))[None]
    mean = weights.mean()
    return weights / mean if mean > 0 else torch.ones_like(weights)


def cut_mask(mask: Image.Image, item: Item, cut: Cut, width: int, height: int) -> Image.Image:
    """Cut a mask of the whole file, of any size, like its picture, and average it down."""
    x, y = mask.width / item.width, mask.height / item.height
    left, top, right, bottom = cut.box
    box = (left * x, top * y, min(right * x, mask.width), min(bottom * y, mask.height))
    part = mask.resize((width, height), Image.Resampling.BOX, box=box)
    return ImageOps.mirror(part) if cut.flipped else part


def read_mask(item: Item, dataset: Dataset) -> Image.Image | None:
    """The mask of the whole file, as "L"; None if there is none."""
    if dataset.loss_mask == "alpha":
        return open_alpha(item.path)
    if dataset.loss_mask == "mask file" and item.mask:
        mask = open_grey(item.mask)
        if fault := other_shape(mask.size, item):
            raise ValueError(fault)
        return mask
    return None


def check_masks(dataset: Dataset) -> str:
    """A sentence that says how many pictures have a mask file.

    Raises ValueError naming the masks that cannot be read or don't have their picture's shape.
    """
    owners = {item.mask: item for item in dataset.items if item.mask}
    faults = []
    for mask, item in owners.items():
        try:
            faults.append(other_shape(picture_size(mask), item))
        except ValueError as fault:
            faults.append(f'Mask "{mask.name}" cannot be read: {fault}.')
    if faults := [fault for fault in faults if fault]:
        raise ValueError(" ".join(faults[:10]))
    files = len({item.path for item in dataset.items})
    return f"{len(owners)} of {files} pictures have a mask; the others count everywhere alike."


def other_shape(size: tuple[int, int], item: Item) -> str:
    """What is wrong with the item's mask, which has this size; "" if nothing is."""
    assert item.mask is not None
    if difference(size[0] / size[1], item.width / item.height) <= OTHER_SHAPE:
        return ""
    return (
        f'Mask "{item.mask.name}" is {size[0]}×{size[1]} pixels and its picture '
        f"{item.width}×{item.height}. Give it the picture's shape; its size may differ."
    )
