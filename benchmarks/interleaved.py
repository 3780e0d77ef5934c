"""Times several ways to do a step, in turns, so that whatever slows the machine slows all of them.

A ratio is the median, over all rounds, of a way's time ÷ the bare step's time in the same round.
The row "the bare step again" would be 1.000 without noise, so it shows the machine's noise.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from operator import truediv
from statistics import median

import torch

Step = Callable[[], object]
BARE, AGAIN = "the bare step", "the bare step again"


def measure(
    bare: Step, ways: dict[str, Step], rounds: int, each: Callable[[int], object] = lambda n: None
) -> list[dict]:
    """Rows {"what", "seconds", "bare_seconds", "ratio"}. Calls each(n) for every round."""
    steps = {BARE: bare, **ways, AGAIN: bare}
    for step in steps.values():
        step()  # not timed, because the first one allocates memory
    wait_for_card()
    times: dict[str, list[float]] = {what: [] for what in steps}
    for number in range(rounds):
        for what in rotated(list(steps), number):
            begin = time.perf_counter()
            steps[what]()
            wait_for_card()
            times[what].append(time.perf_counter() - begin)
        each(number + 1)
    return [
        {
            "what": what,
            "seconds": round(median(times[what]), 4),
            "bare_seconds": round(median(times[BARE]), 4),
            "ratio": round(median(map(truediv, times[what], times[BARE])), 4),
        }
        for what in (*ways, AGAIN)
    ]


def wait_for_card() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def rotated(names: list[str], by: int) -> Iterator[str]:
    """The names, rotated, so that no way always comes first."""
    yield from (names[(i + by) % len(names)] for i in range(len(names)))


def machine() -> str:
    return (
        f"{platform.machine()} {platform.system()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}"
    )
