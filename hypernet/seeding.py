"""Randomness by counting: what chance decides at step n follows from (seed, purpose, n) alone.

A resumed run therefore draws what the unbroken run would have drawn, and nothing about a run
depends on what other code did to the global random state.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import torch


def seed_for(seed: int, purpose: str, step: int) -> int:
    """A 63-bit number, well mixed, for one purpose at one step."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, purpose: str, step: int) -> torch.Generator:
    """On the CPU, so that every device sees the same numbers."""
    return torch.Generator().manual_seed(seed_for(seed, purpose, step))


@contextlib.contextmanager
def global_chance(seed: int, purpose: str, step: int, device: torch.device) -> Iterator[None]:
    """For layers that draw from the global state (dropout): seeded inside, restored after."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed_for(seed, purpose, step))
        yield


def sample_order(seed: int, count: int, first: int, number: int) -> list[int]:
    """Items first … first+number−1 of an endless stream of shuffled passes over `count` items."""
    order: list[int] = []
    while len(order) < number:
        epoch, place = divmod(first + len(order), count)
        shuffled = torch.randperm(count, generator=generator(seed, "order", epoch))
        order += shuffled[place : place + number - len(order)].tolist()
    return order
