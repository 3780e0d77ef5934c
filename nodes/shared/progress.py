"""Shows progress over many pictures, and stops when the user interrupts."""

import time
from collections.abc import Callable

from ...compat import Progress, raise_if_interrupted

PATIENCE = 1.0  # seconds until a bar is shown; it is updated every fifth of that


def watch() -> Callable[[int, int], None]:
    """A callback each(done, total) for the library's functions.

    It shows progress if the work takes long enough, and raises the user's interrupt.
    """
    bars: dict[int, Progress] = {}
    due = time.monotonic() + PATIENCE

    def each(done: int, total: int) -> None:
        nonlocal due
        raise_if_interrupted()
        if time.monotonic() < due and not (bars and done == total):
            return
        due = time.monotonic() + PATIENCE / 5
        if total not in bars:
            bars[total] = Progress(total)
        bars[total].update(done)

    return each
