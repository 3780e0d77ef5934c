"""Shows progress over many pictures, and stops when the user interrupts."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from ...compat import Progress, raise_if_interrupted

PATIENCE = 1.0  # seconds until a bar is shown; it is updated every fifth of that


class Bar(Protocol):
    def update(self, step: int) -> None: ...


_make_bar: ContextVar[Callable[[int], Bar] | None] = ContextVar("make_bar", default=None)


@contextmanager
def shown_by(make_bar: Callable[[int], Bar]) -> Iterator[None]:
    """Within, make_bar(total) makes the bars that watch() shows; else the node's own are shown."""
    token = _make_bar.set(make_bar)
    try:
        yield
    finally:
        _make_bar.reset(token)


def watch(make_bar: Callable[[int], Bar] | None = None) -> Callable[[int, int], None]:
    """A callback each(done, total) for the library's functions.

    It shows progress if the work takes long enough, and raises the user's interrupt.
    make_bar(total): if not the bar of shown_by.
    """
    bars: dict[int, Bar] = {}
    make_bar = make_bar or _make_bar.get() or Progress
    due = time.monotonic() + PATIENCE

    def each(done: int, total: int) -> None:
        nonlocal due
        raise_if_interrupted()
        if time.monotonic() < due and not (bars and done == total):
            return
        due = time.monotonic() + PATIENCE / 5
        if total not in bars:
            bars[total] = make_bar(total)
        bars[total].update(done)

    return each
