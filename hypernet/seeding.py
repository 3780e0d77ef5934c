"""Counter-based randomness: every random draw depends only on (seed, purpose, step).

A resumed run therefore draws the same numbers as an uninterrupted one, and no run depends on what
other code did to the global random state.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import torch


def seed_for(seed: int, purpose: str, step: int) -> int:
    """A 63-bit seed, hashed from the three, for one purpose at one step."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, purpose: str, step: int) -> torch.Generator:
    """A generator on the CPU, so that every device gets the same numbers."""
    return torch.Generator().manual_seed(seed_for(seed, purpose, step))


@contextlib.contextmanager
def global_chance(seed: int, purpose: str, step: int, device: torch.device) -> Iterator[None]:
    """Seed the global random state inside the block and restore it afterwards.

    For layers that can't be given a generator, such as dropout.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed_for(seed, purpose, step))
        yield


def sample_order(seed: int, count: int, first: int, number: int) -> list[int]:
    """Items first … first+number−1 of an endless stream of passes over `count` items.

    Every pass is shuffled differently.
    """
    order: list[int] = []
    while len(order) < number:
        epoch, place = divmod(first + len(order), count)
        shuffled = torch.randperm(count, generator=generator(seed, "order", epoch))
        order += shuffled[place : place + number - len(order)].tolist()
    return order
