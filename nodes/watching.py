"""The bar of a node that goes through many pictures, and the user's wish to stop."""

from collections.abc import Callable

from ..compat import Progress, raise_if_interrupted

UPDATES = 200  # of the bar: more only keep the host busy


def watch() -> Callable[[int, int], None]:
    """each(done, total) for the library's functions: shows progress, and raises the interrupt."""
    bars: dict[int, Progress] = {}

    def each(done: int, total: int) -> None:
        raise_if_interrupted()
        if total not in bars:
            bars[total] = Progress(total)
        if done == total or done % max(1, total // UPDATES) == 0:
            bars[total].update(done)

    return each
