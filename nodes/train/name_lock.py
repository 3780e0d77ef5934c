"""One training at a time under one name: a lock of the system's, over processes and machines that
share the output folder. It ends with the process that holds it, however that ends."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout  # torch brings it

from .run_naming import LOAD, Found

log = logging.getLogger(__name__)

LOCKS = ".locks"  # beside the runs, for a run that is stopped early leaves no folder


@contextmanager
def held(plan: Callable[[Sequence[str]], Found], runs: Path) -> Iterator[Found]:
    """What plan(busy names) decides, its name held until the block ends.

    A name that somebody else holds is busy, and it is decided anew. So it is when something has
    changed between the decision and the lock.
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
