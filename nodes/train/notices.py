"""Sentences for the user while a node trains: in the log at once, and later on the node."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

log = logging.getLogger(__name__)


class Notices:
    """said: all so far, in order."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._listeners: list[Callable[[str], object]] = []

    def say(self, sentence: str) -> None:
        with tqdm.external_write_mode(sys.stderr):  # or it would end the line of the progress
            log.warning(sentence)
        self.said.append(sentence)
        for hear in self._listeners:
            hear(sentence)

    @contextmanager
    def heard_by(self, hear: Callable[[str], object]) -> Iterator[None]:
        """Inside, it is told each new sentence, too."""
        self._listeners.append(hear)
        try:
            yield
        finally:
            self._listeners.remove(hear)
