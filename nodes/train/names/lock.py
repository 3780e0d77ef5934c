"""Locks a name, so that only one training at a time uses it; see hypernet/runs/lock_files.py."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout  # torch brings it

from hypernet.runs.lock_files import lock_file

from .naming import LOAD, Found

log = logging.getLogger(__name__)


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
