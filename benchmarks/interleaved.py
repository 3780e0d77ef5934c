"""Times several ways to do a step, in turns, so that whatever slows the machine slows all of them.

The fastest round counts, for a way as for the bare step: what else a machine does only adds time.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator

import torch

Step = Callable[[], object]


def measure(
    bare: Step, ways: dict[str, Step], rounds: int, each: Callable[[int], object] = lambda n: None
) -> list[dict]:
    """Rows {"what", "seconds", "bare_seconds", "ratio"}; each(n) is told of every round."""
    steps = {"": bare, **ways}
    for step in steps.values():
        step()  # the first one allocates
    times: dict[str, list[float]] = {what: [] for what in steps}
    for number in range(rounds):
        for what in rotated(list(steps), number):
            begin = time.perf_counter()
            steps[what]()
            times[what].append(time.perf_counter() - begin)
        each(number + 1)
    bare_seconds = min(times[""])
    return [
        {
            "what": what,
            "seconds": round(min(times[what]), 4),
            "bare_seconds": round(bare_seconds, 4),
            "ratio": round(min(times[what]) / bare_seconds, 4),
        }
        for what in ways
    ]


def rotated(names: list[str], by: int) -> Iterator[str]:
    """No way is always the one that comes first."""
    yield from (names[(i + by) % len(names)] for i in range(len(names)))


def machine() -> str:
    return (
        f"{platform.machine()} {platform.system()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}"
    )
