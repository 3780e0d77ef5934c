"""Compares networks in one picture: a grid with a row per network and a column per strength.

Pictures are (H, W, 3) float32 in 0..1, all of one size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from torch import Tensor

from ..apply.prompt_tags import LIMIT
from ..formats.hns import Network
from ..pictures.grid import grid
from ..text.parsing import read_numbers

Drawn = TypeVar("Drawn", bound=Network)


def compared(
    networks: Sequence[Drawn],
    strengths: Sequence[float],
    draw: Callable[[Drawn | None, float], Tensor],
) -> Tensor:
    """The grid (1, H', W', 3) of draw(network, strength), a row per network.

    At strength 0 all networks give the same picture, so draw(None, 0) is called only once.
    """
    plain = draw(None, 0) if 0 in strengths else None
    rows = [
        [draw(network, strength) if strength or plain is None else plain for strength in strengths]
        for network in networks
    ]
    return grid(rows, [f"{strength:g}" for strength in strengths], names_of(networks))


def read_strengths(text: str) -> tuple[float, ...]:
    """The strengths in "0, 0.5, 1". Raises ValueError quoting what is no strength."""

    def are_in_reach(numbers: tuple[float, ...]) -> bool:
        return all(abs(number) <= LIMIT for number in numbers)

    strengths = read_numbers(text, "Strengths", "0, 0.5, 1", are_in_reach)
    if not are_in_reach(strengths):
        beyond = max(strengths, key=abs)
        raise ValueError(f'Strengths "{text}": {beyond:g} is beyond ±{LIMIT:g}.')
    return strengths


def names_of(networks: Sequence[Network]) -> list[str]:
    """The networks' names. Those that share a name, like A1111's checkpoints, get their steps."""
    names = [network.record.name for network in networks]
    return [
        name if names.count(name) == 1 else f"{name}, {network.record.step} steps"
        for name, network in zip(names, networks, strict=True)
    ]
