"""The progress of the running node, and whether the user wants to stop.

A request to stop (Ctrl-C) concerns the whole process, so there is a single event. The running node
belongs to its run, so it is a context variable. As in ComfyUI, a node's own threads don't see it
unless the node copies its context.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from PIL.Image import Image

from ..progress_line import ProgressLine

_stop = threading.Event()


class Interrupted(BaseException):
    """The user has stopped the prompt. A BaseException, so that `except Exception` misses it."""


def request_interrupt() -> None:
    _stop.set()


def clear_interrupt() -> None:
    _stop.clear()


def is_interrupted() -> bool:
    return _stop.is_set()


def raise_if_interrupted() -> None:
    if _stop.is_set():
        _stop.clear()
        raise Interrupted("The user has stopped the prompt.")


@dataclass(frozen=True, kw_only=True)
class RunningNode:
    node_id: str
    title: str
    notify: Callable[[str, dict], None]
    lines: list[ProgressLine] = field(default_factory=list)


_running: ContextVar[RunningNode | None] = ContextVar("running node", default=None)


def running_node() -> RunningNode | None:
    return _running.get()


@contextmanager
def running(node: RunningNode) -> Iterator[None]:
    """Progress lines started inside the block have the node's title and are closed at its end."""
    token = _running.set(node)
    try:
        yield
    finally:
        _running.reset(token)
        for line in node.lines:
            line.close()


class Progress:
    """The progress line of the running node on stderr, and its bar in an open editor. Doesn't raise
    on an interrupt."""

    def __init__(self, total: int, done: int = 0, title: str = "", on_node: bool = True):
        self._node = running_node()
        self._on_node = on_node
        self._total = total
        if self._node:
            for (
                earlier
            ) in self._node.lines:  # only one line at a time; an earlier may be unfinished
                earlier.close()
        title = title or (self._node.title if self._node else "")
        self._line = ProgressLine(total, done, title, _say)
        if self._node:
            self._node.lines.append(self._line)

    def beside(self, words: str) -> None:
        """Show these words beside the numbers, from the next update on."""
        self._line.beside(words)

    def close(self) -> None:
        """End the line, whether the work is complete or not."""
        self._line.close()

    def update(self, step: int, preview: Image | None = None) -> None:
        """`step` steps of total are done. An open editor shows the preview on the node."""
        self._line.update(step)
        if self._node and self._on_node:
            state = {"node": self._node.node_id, "value": step, "max": self._total}
            self._node.notify("progress", state)
            if preview is not None:
                self._node.notify("preview", {"node": self._node.node_id, "image": preview})


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
