"""Reads the next batch while the UNet works on the current one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from .diffusion import Batch


class Prefetched:
    """batch_at(first, number) that also begins to read the following batch, on another thread.

    Batches follow each other at equal distances, so the following one is guessed from the last
    two. A wrong guess wastes only its own work; its errors are discarded.
    """

    def __init__(self, batch_at: Callable[[int, int], Batch], pin: bool = False):
        """pin: put conditions and weights into pinned memory, for faster copies to the device."""
        self._batch_at, self._pin = batch_at, pin
        self._pool = ThreadPoolExecutor(1, "next batch")
        self._last = 0
        self._guess: tuple[tuple[int, int], Future[Batch]] | None = None

    def __call__(self, first: int, number: int) -> Batch:
        guess, self._guess = self._guess, None
        if guess is not None and guess[0] == (first, number):
            batch = guess[1].result()
        else:
            batch = self._read(first, number)
        distance = first - self._last if first > self._last else number
        self._last = first
        following = (first + distance, number)
        self._guess = following, self._pool.submit(self._read, *following)
        return batch

    def _read(self, first: int, number: int) -> Batch:
        batch = self._batch_at(first, number)
        if not self._pin:
            return batch
        condition = {name: tensor.pin_memory() for name, tensor in batch.condition.items()}
        weights = None if batch.weights is None else batch.weights.pin_memory()
        return Batch(batch.latents, condition, weights)
