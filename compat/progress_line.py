"""Shows the progress of long work on stderr: in a terminal, one line that is rewritten by tqdm.

A file or a log can't rewrite a line. It gets a new line every half minute, and one at the end:

    Training "ink":  25% 500/2000 [02:11<06:33,  3.81it/s, loss 0.0123, rate 0.0001]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from tqdm import tqdm

BETWEEN = 30.0  # seconds between lines in a file or log
REDRAWN = 0.2  # seconds between updates of the line in a terminal


class ProgressLine:
    """done: steps of total that were done earlier, and so don't count for the speed."""

    def __init__(self, total: int, done: int, title: str, say: Callable[[str], object]):
        self._total, self._first, self._step, self._title = total, done, done, title
        self._say = say  # called with each new line for a file or log
        self._words = ""
        self._began = self._told = time.monotonic()
        self._is_open = True
        self._bar = None
        if sys.stderr.isatty():
            self._bar = tqdm(
                total=total, initial=done, desc=title, file=sys.stderr, mininterval=REDRAWN
            )

    def beside(self, words: str) -> None:
        """Show these words at the end of the line, from the next update on."""
        self._words = words

    def update(self, step: int) -> None:
        self._step = step
        if self._bar is not None:
            self._bar.set_postfix_str(self._words, refresh=False)
            self._bar.update(step - self._bar.n)
        if step >= self._total:
            self.close()
        elif self._bar is None and time.monotonic() - self._told >= BETWEEN:
            self._tell()

    def close(self) -> None:
        """End the line; nothing is shown afterwards. A second call does nothing."""
        if not self._is_open:
            return
        self._is_open = False
        if self._bar is not None:
            self._bar.close()
        elif self._step > self._first:
            self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        self._say(
            tqdm.format_meter(
                self._step, self._total, self._told - self._began,
                ncols=0, prefix=self._title, postfix=self._words, initial=self._first,
            )
        )  # fmt: skip
