"""Locks a name, so that only one training at a time uses it.

It is a file lock of the system, valid for all processes and machines that share the output folder.
It ends with the process that holds it, even if that is killed.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout  # torch brings it

from .naming import LOAD, Found

log = logging.getLogger(__name__)

LOCKS = ".locks"  # beside the runs' folders, because a run that is stopped early has none


@contextmanager
def held(plan: Callable[[Sequence[str]], Found], runs: Path) -> Iterator[Found]:
    """What plan(busy names) decides. Its name is locked until the block ends.

    If somebody else holds the name, it counts as busy, and plan is called again. It is also called
    again if something has changed between the decision and the lock.
    """
    with ExitStack() as holding:
        busy: list[str] = []
        while True:
            found = plan(busy)
            if found.kind == LOAD:
                break
            try:
                holding.enter_context(FileLock(lock_file(runs, found.name), blocking=False))
            except Timeout:
                busy.append(found.name)
                continue
            except NotImplementedError as fault:  # some network drives have no locks
                log.warning("Nobody else may train in %s meanwhile: %s", runs, fault)
                break
            if plan(busy) == found:
                break
            holding.close()
        yield found


def lock_file(runs: Path, name: str) -> Path:
    file = runs / LOCKS / f"{name}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    return file
