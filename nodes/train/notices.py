"""Sentences for the user while a node trains: logged at once, and shown on the node at the end."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

log = logging.getLogger(__name__)


class Notices:
    """Collects sentences for the user. said: all so far, in order."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._listeners: list[Callable[[str], object]] = []

    def say(self, sentence: str) -> None:
        with tqdm.external_write_mode(sys.stderr):  # keeps the progress bar's line intact
            log.warning(sentence)
        self.said.append(sentence)
        for hear in self._listeners:
            hear(sentence)

    @contextmanager
    def heard_by(self, hear: Callable[[str], object]) -> Iterator[None]:
        """Inside, `hear` is called with each new sentence."""
        self._listeners.append(hear)
        try:
            yield
        finally:
            self._listeners.remove(hear)
