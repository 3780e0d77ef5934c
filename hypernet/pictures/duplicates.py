"""Finds pictures that look alike, even at another size or in another format.

A picture's look is a difference hash and its mean colour. The hash has 64 bits: whether each pixel
of an 8 × 8 miniature is darker than its right neighbour. Two pictures look alike if at most 4 bits
differ and no channel of the mean differs by more than 12 of 255. The same picture saved again
always matches, the next frame of a video mostly, a different picture hardly ever. The mean colour
tells flat pictures apart, whose bits are all zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from .reading import in_eight_bits, on_white, opened, upright

BITS, SHADES = 4, 12  # how many bits, and how much of a channel's mean, may differ
ROWS = 256  # pictures compared with all others at a time
MOST = 20_000  # pictures compared at most; time grows with the square


def look_of(path: Path) -> str:
    """22 hex digits: 64 bits, then the means of red, green and blue.

    Raises ValueError if the picture cannot be read.
    """

    def miniature(picture: Image.Image, file: BinaryIO) -> Image.Image:
        picture.draft("RGB", (64, 64))  # lets a JPEG be decoded at a smaller size
        small = on_white(in_eight_bits(upright(picture, file)))
        small.thumbnail((64, 64), Image.Resampling.BOX)
        return small

    small = opened(path, miniature)
    grey = np.asarray(small.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = np.packbits(grey[:, :-1] < grey[:, 1:])
    mean = np.asarray(small).reshape(-1, 3).mean(0).round().astype(np.uint8)
    return (bits.tobytes() + mean.tobytes()).hex()


def alike(looks: Sequence[str]) -> list[list[int]]:
    """Groups of two or more indices that look alike, directly or through others of the group."""
    if not looks:
        return []
    table = np.frombuffer(bytes.fromhex("".join(looks)), np.uint8).reshape(len(looks), 11)
    bits = np.ascontiguousarray(table[:, :8]).view(np.uint64)[:, 0]
    mean = table[:, 8:].astype(np.int16)
    parent = list(range(len(looks)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    ones = np.array([value.bit_count() for value in range(256)], dtype=np.uint8)
    for start in range(0, len(looks), ROWS):
        rows = slice(start, start + ROWS)
        differing = np.ascontiguousarray(bits[rows, None] ^ bits[None, start:])
        count = ones[differing.view(np.uint8)].reshape(*differing.shape, 8).sum(-1)
        for row, other in np.argwhere(count <= BITS):
            a, b = start + int(row), start + int(other)
            if a < b and np.abs(mean[a] - mean[b]).max() <= SHADES:
                parent[root(b)] = root(a)
    groups: dict[int, list[int]] = {}
    for place in range(len(looks)):
        groups.setdefault(root(place), []).append(place)
    return [group for group in groups.values() if len(group) > 1]
