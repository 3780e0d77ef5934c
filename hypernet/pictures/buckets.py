"""Buckets: training sizes for pictures of different shapes, and batches of one size each.

The sides of a bucket are multiples of a step, and its area is at most that of the requested size.
Every picture goes to the bucket nearest to its shape (on a logarithmic scale, where 2:1 and 1:2 are
equally far from a square), so little is cropped and nothing is stretched.

All pictures of a batch have the same size. A pass over N pictures has ⌈N / batch⌉ batches, and a
size with n pictures is due n/N of them. Each size gets the whole batches that it is due. The
remaining batches are drawn at random so that each size gets its share on average: no picture is
favoured for its shape. With a single size the result is that of `sample_order`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch

from ..seeding import generator, sample_order, seed_for

STEP = 64  # pixels
LONGEST = 2.0  # highest ratio of the longer side to the shorter

Size = tuple[int, int]  # width, height


def buckets(width: int, height: int, step: int = STEP, longest: float = LONGEST) -> list[Size]:
    """All sizes whose area is close to width × height but not above, narrowest first.

    Raises ValueError naming a step or ratio that allows no size.
    """
    if step < 8 or step % 8:
        raise ValueError(f"Bucket step {step}: give a multiple of 8 pixels, usually 64.")
    if longest < 1:
        raise ValueError(f"Longest side {longest:g} times the other: give at least 1.")
    area = width * height
    found = set()
    for short in range(step, math.isqrt(area) + 1, step):
        long = area // short // step * step
        if long <= longest * short:
            found |= {(short, long), (long, short)}
    if not found:
        raise ValueError(
            f"No bucket with sides in steps of {step} pixels fits into {width}×{height}. Give a "
            "smaller step or a larger size."
        )
    return sorted(found, key=lambda size: size[0] / size[1])


def nearest_bucket(across: int, down: int, among: Sequence[Size]) -> Size:
    """The bucket closest to the shape of a picture of across × down; of two, the larger."""
    shape = math.log(across / down)
    return min(among, key=lambda size: (abs(math.log(size[0] / size[1]) - shape), -size[0]))


# --- batches -------------------------------------------------------------------------------------


def batch_order(seed: int, sizes: Sequence[Hashable], first: int, number: int) -> list[int]:
    """Samples first … first+number−1 of the endless shuffled stream: one batch, all of one size.

    sizes: the size of each picture in one pass. `first` must be a multiple of `number`, the batch
    size, because the stream is made of whole batches.
    """
    return order_in_groups(seed, groups_of(sizes), first, number)


def groups_of(sizes: Sequence[Hashable]) -> list[list[int]]:
    """The indices of the pictures of each size."""
    groups: dict[Hashable, list[int]] = {}
    for place, size in enumerate(sizes):
        groups.setdefault(size, []).append(place)
    return list(groups.values())


def order_in_groups(
    seed: int, members: Sequence[Sequence[int]], first: int, number: int
) -> list[int]:
    """As `batch_order`, for callers that keep the groups between calls."""
    total = sum(map(len, members))
    if len(members) == 1:
        return [members[0][item] for item in sample_order(seed, total, first, number)]
    if first % number:
        raise ValueError(f"Sample {first} does not begin a batch of {number}.")
    epoch, place = divmod(first // number, -(-total // number))
    group, turn = batches_of_pass([len(g) for g in members], number, seed, epoch)[place]
    chosen = sample_order(
        seed_for(seed, f"size {group}", epoch), len(members[group]), turn * number, number
    )
    return [members[group][item] for item in chosen]


def batches_of_pass(counts: Sequence[int], number: int, seed: int, epoch: int) -> Batches:
    """All batches of a pass in shuffled order, as (group, turn): the turn-th batch of a group."""
    chance = generator(seed, "sizes", epoch)
    total = sum(counts)
    batches = -(-total // number)
    due = [count * batches / total for count in counts]
    turns = [int(share) for share in due]
    for group in systematic([share - int(share) for share in due], batches - sum(turns), chance):
        turns[group] += 1
    return Batches(list(accumulate(turns)), torch.randperm(sum(turns), generator=chance))


@dataclass(frozen=True)
class Batches(Sequence[Size]):
    """The batches of a pass as (group, turn), each made only when it is asked for."""

    ends: list[int]  # running total of each group's batches
    order: torch.Tensor

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, place: int) -> Size:
        chosen = int(self.order[place])
        group = bisect_right(self.ends, chosen)
        return group, chosen - (self.ends[group - 1] if group else 0)


def systematic(chances: Sequence[float], number: int, chance: torch.Generator) -> list[int]:
    """Systematic sampling: `number` different places, each drawn with its own chance.

    Each chance is below 1, and together they add up to `number`.
    """
    start = torch.rand((), generator=chance).item()
    total, chosen = 0.0, []
    for place, each in enumerate(chances):
        total += each
        if len(chosen) < number and total > start + len(chosen):
            chosen.append(place)
    while len(chosen) < number:  # rounding can leave the sum of the chances just below `number`
        chosen.append(max(set(range(len(chances))) - set(chosen), key=chances.__getitem__))
    return chosen
