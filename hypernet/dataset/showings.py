"""One pass over a dataset as a sequence, in which pictures can be repeated.

Its length counts every repeat; its memory grows only with the number of pictures.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate


class Showings(Sequence[int]):
    """Indices, each as often as it is repeated: (4, 3), (7, 1) gives [4, 4, 4, 7]."""

    def __init__(self, repeated: Iterable[tuple[int, int]]):
        kept = [(place, count) for place, count in repeated if count > 0]
        self._places = [place for place, _ in kept]
        self._ends = list(accumulate(count for _, count in kept))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._places[bisect_right(self._ends, index)]
