"""How a network is applied at the sites of any architecture: transformers, and UNets as well.

A SitePatch lies among a model's patches, where hosts move, count and clean it, and is asked anew in
each call of the model, because noise level and prompts differ. Several act in their order, each on
what the one before has made. Like a HypernetPatch it never changes, so clones share it.

Tokens of a given text or picture reach all blocks unchanged in the streams "cross" and
"cross_image" alone; only there a result is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..formats.hns import Network
from ..network.places import UNCHANGING
from .effect import Effect
from .memo import Memo
from .patches import PlacedEffect, PlacedWeights, change_chunks, full_precision
from .sites import Change, Read, installed, read_plain

if TYPE_CHECKING:
    from ..families import Site


class SitePatch(PlacedEffect):
    """Sends the inputs of keys and values through a network, at the sites that it holds."""

    def __init__(self, network: Network | PlacedWeights, effect: Effect | None = None):
        weights = network if isinstance(network, PlacedWeights) else PlacedWeights(network)
        super().__init__(weights, effect or Effect())
        self._memos: dict[object, Memo] = {}

    def acts_at(self, site: Site) -> bool:
        """Does it ever change anything there?"""
        if not self.weights.home.holds(site.width, site.place):
            return False
        return any(self._strength(side, site.width) for side in site.side)  # "k", "v" or both

    def in_call(self, options: Mapping[str, Any]) -> Change | None:
        """What it does in one call of the model; None if that is nothing.

        options: "cond_or_uncond" and "sigmas", as ComfyUI gives them to a model's patches.
        """
        chosen = self.effect.chosen(options.get("cond_or_uncond"))
        moment = self._moment(options.get("sigmas"))
        if not any(chosen) or (isinstance(moment, float) and moment == 0):
            return None
        if isinstance(moment, float) and moment != 1:
            # A compiled model takes a tensor as an input, but is compiled again for a new number
            moment = torch.tensor([moment])

        def change(site: Site, side: str, x: Tensor) -> Tensor:
            return self._changed(site, side, x, chosen, moment)

        return change

    def _strength(self, side: str, width: int) -> float:
        return self.effect.on_keys(width) if side == "k" else self.effect.on_values(width)

    def _changed(
        self, site: Site, side: str, x: Tensor, chosen: tuple[bool, ...], moment: float | Tensor
    ) -> Tensor:
        network, strength = self.weights.on(x.device), self._strength(side, site.width)
        if strength == 0 or not network.holds(site.width, site.place):
            return x
        if isinstance(moment, Tensor):
            moment = moment.to(x.device)
        transform = network.keys if side == "k" else network.values

        def compute() -> tuple[Tensor]:
            with full_precision(x.device):
                placed = at_place(transform, site)
                return (change_chunks(x, chosen, placed, strength, moment),)

        if site.place.stream not in UNCHANGING or torch.compiler.is_compiling():
            return compute()[0]
        pairs = side, network.pairs_at(site.width, site.place)
        memo = self._memos.setdefault(pairs, Memo())
        inputs = (x, moment) if isinstance(moment, Tensor) else (x,)
        (made,) = memo.recall((chosen, self.weights.writes()), inputs, compute)
        return made

    def cleanup(self) -> None:
        super().cleanup()
        self._memos.clear()


def at_place(
    transform: Callable[..., Tensor], site: Site
) -> Callable[[Tensor, float | Tensor], Tensor]:
    return lambda tokens, strength: transform(tokens, strength, site.place)


@contextmanager
def applied(
    model: nn.Module,
    sites: Sequence[Site],
    patches: Sequence[SitePatch],
    options: Mapping[str, Any],
    read: Read = read_plain,
) -> Iterator[None]:
    """Inside the block, for one call of the model, the patches act on it in their order.

    Where none of them acts, nothing is installed.
    """
    acting = [(patch, does) for patch in patches if (does := patch.in_call(options)) is not None]
    reached = [site for site in sites if any(patch.acts_at(site) for patch, _ in acting)]

    def change(site: Site, side: str, x: Tensor) -> Tensor:
        for _, does in acting:
            x = does(site, side, x)
        return x

    with installed(model, reached, change, read):
        yield
