"""The lock of a run's name: whoever trains under a name, or moves its folder away, holds it.

It is a file lock of the system, valid for all processes and machines that share the output folder.
It ends with the process that holds it, even if that is killed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout  # torch brings it

log = logging.getLogger(__name__)

LOCKS = ".locks"  # beside the runs' folders, because a run that is stopped early has none


def lock_file(runs: Path, name: str) -> Path:
    file = runs / LOCKS / f"{name}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


@contextmanager
def untrained(runs: Path, name: str) -> Iterator[None]:
    """Inside, nobody trains under this name. Raises ValueError if somebody does already."""
    with ExitStack() as holding:
        try:
            holding.enter_context(FileLock(lock_file(runs, name), blocking=False))
        except Timeout:
            raise being_trained(name) from None
        except NotImplementedError as fault:  # some network drives have no locks
            log.warning("Nobody may train in %s meanwhile: %s", runs, fault)
        yield


def being_trained(name: str) -> ValueError:
    return ValueError(f'The run "{name}" is being trained just now. Stop the training first.')
