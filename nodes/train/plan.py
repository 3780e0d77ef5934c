"""Decides what a training will do, before any time is spent. The plan does not change afterwards.

From what was asked (asked.py) and what lies on the disk follow the run's name, what it begins with,
and which processes train. All errors that can be known in advance are raised here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hypernet.runs.disk_check import check_disk
from hypernet.training.parallel import ALONE, Processes, present

from ... import compat
from ..use.load_save import runs_folder
from .asked import Asked
from .beginning import Beginning, continue_from, further, resume
from .names.lock import held
from .names.naming import FURTHER, LOAD, RESUME, Found
from .names.search import Search

Say = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be done.

    found: the run's name and what lies under it. beginning: what has been learnt before.
    processes: those that train together.
    """

    asked: Asked
    found: Found
    beginning: Beginning
    processes: Processes

    @property
    def is_trained(self) -> bool:
        """Is the network trained already, so that it only needs to be loaded?"""
        return self.found.kind == LOAD

    @property
    def folder(self) -> Path:
        return runs_folder() / self.found.name

    def previewed_steps(self) -> list[int]:
        """The steps after which a preview is drawn, ascending, including the last step."""
        start = self.beginning.step
        last = max(self.asked.settings.steps, start)
        return [n for n in range(start + 1, last) if self.asked.preview.is_due(n)] + [last]


@contextmanager
def planned(asked: Asked, say: Say) -> Iterator[Plan]:
    """The plan. The run's name is locked until the block ends. say: is told warnings.

    Raises ValueError, FileNotFoundError, FileExistsError or OSError if it cannot be done.
    """
    for sentence in asked.check():
        say(sentence)
    with found_name(asked) as found:
        for sentence in found.said:
            say(sentence)
        if found.kind == LOAD:
            yield Plan(asked=asked, found=found, beginning=Beginning(), processes=ALONE)
            return
        # The leading process finds all faults before it starts the others, which see the same.
        beginning = begin_with(asked, found, say) if present().leads else None
        processes = compat.gather_processes()
        if processes.leads:
            processes.told(found)
        yield Plan(
            asked=asked,
            found=found,
            beginning=beginning or begin_with(asked, found, say),
            processes=processes,
        )


@contextmanager
def found_name(asked: Asked) -> Iterator[Found]:
    """What the leading process finds, with its name locked. Other processes get the same."""
    if not present().leads:
        yield present().told()
        return
    search = Search(
        wish=asked.wish, spec=asked.spec, architecture=asked.architecture,
        pictures=lambda: asked.pictures,
    )  # fmt: skip
    with held(search.plan, runs_folder()) as found:
        yield found


def begin_with(asked: Asked, found: Found, say: Say) -> Beginning:
    """What the run begins with. Raises all errors that depend on the name."""
    steps, folder = asked.settings.steps, runs_folder() / found.name
    if found.kind == RESUME:
        beginning = resume(folder, found.name, asked.spec, say)
    elif found.kind == FURTHER:
        beginning = further(found.before, asked.spec, asked.architecture, steps, say)
    elif asked.earlier is not None and asked.before is not None:
        beginning = continue_from(asked.earlier, asked.before, asked.spec, steps)
    else:
        beginning = Beginning()
    start = beginning.step
    check_disk(folder, asked.spec, asked.settings, asked.keeping, start)
    if start > steps:
        say(f"The run has had {start} updates; steps {steps} is less.")
    asked.settings.require_rate(start)
    return beginning
