"""The bar of a node that goes through many pictures, and the user's wish to stop."""

import time
from collections.abc import Callable

from ...compat import Progress, raise_if_interrupted

PATIENCE = 1.0  # seconds before a bar is shown, and a fifth of that between its updates


def watch() -> Callable[[int, int], None]:
    """each(done, total) for the library's functions: shows progress where there is time to see it,
    and raises the interrupt."""
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
