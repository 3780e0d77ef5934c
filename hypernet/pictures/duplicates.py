"""Pictures that look alike, also at another size or in another format.

A look is 64 bits, whether each pixel of an 8 × 8 miniature is darker than its right neighbour, and
the mean colour. Two pictures look alike if at most 4 bits differ and no channel of the mean by more
than 12 of 255: the same picture saved again does, the next frame of a video mostly, another picture
hardly ever. A flat picture has no bits, but its colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from .reading import in_eight_bits, on_white, opened, upright

BITS, SHADES = 4, 12  # that may differ
ROWS = 256  # compared with all others at a time
MOST = 20_000  # pictures that are compared; time grows with the square


def look_of(path: Path) -> str:
    """22 hex digits: 64 bits and the mean of red, green and blue. Raises ValueError."""

    def miniature(picture: Image.Image, file: BinaryIO) -> Image.Image:
        picture.draft("RGB", (64, 64))  # a JPEG is decoded small
        small = on_white(in_eight_bits(upright(picture, file)))
        small.thumbnail((64, 64), Image.Resampling.BOX)
        return small

    small = opened(path, miniature)
    grey = np.asarray(small.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = np.packbits(grey[:, :-1] < grey[:, 1:])
    mean = np.asarray(small).reshape(-1, 3).mean(0).round().astype(np.uint8)
    return (bits.tobytes() + mean.tobytes()).hex()


def alike(looks: Sequence[str]) -> list[list[int]]:
    """Groups of two or more places whose looks are alike, by way of others of the group too."""
    if not looks:
        return []
    table = np.frombuffer(bytes.fromhex("".join(looks)), np.uint8).reshape(len(looks), 11)
    bits = np.ascontiguousarray(table[:, :8]).view(np.uint64)[:, 0]
    mean = table[:, 8:].astype(np.int16)
    leader = list(range(len(looks)))

    def lead(place: int) -> int:
        while leader[place] != place:
            leader[place] = leader[leader[place]]
            place = leader[place]
        return place

    ones = np.array([value.bit_count() for value in range(256)], dtype=np.uint8)
    for start in range(0, len(looks), ROWS):
        rows = slice(start, start + ROWS)
        differing = np.ascontiguousarray(bits[rows, None] ^ bits[None, start:])
        count = ones[differing.view(np.uint8)].reshape(*differing.shape, 8).sum(-1)
        for row, other in np.argwhere(count <= BITS):
            a, b = start + int(row), start + int(other)
            if a < b and np.abs(mean[a] - mean[b]).max() <= SHADES:
                leader[lead(b)] = lead(a)
    groups: dict[int, list[int]] = {}
    for place in range(len(looks)):
        groups.setdefault(lead(place), []).append(place)
    return [group for group in groups.values() if len(group) > 1]
