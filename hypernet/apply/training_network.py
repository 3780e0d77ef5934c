"""A network as it acts on a model in training: by the weights that are updated.

Its strength is 1, or follows the noise of each sample where the training has a strength curve.

UNets call its attention patches, at the inputs of to_k and to_v. For other models a host changes
the inputs of their projections, site by site (sites.py). Both ways go through the same network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ..network.hypernetwork import Hypernetwork
from ..network.places import UNCHANGING, Pair
from .patches import TrainingPatch, for_samples

if TYPE_CHECKING:
    from ..families import Site


class TrainingNetwork:
    """Serves one forward pass.

    remember: a text that several blocks read goes through the network only once, and the gradients
    of all blocks add up there. Must be off with gradient checkpointing, where computing a block
    again must repeat the same computation.
    """

    def __init__(self, network: Hypernetwork, remember: bool = False):
        self.network = network
        self.attn1 = TrainingPatch(network)
        self.attn2 = TrainingPatch(network, remember)
        self.strength: Tensor | float = 1.0
        self._remembers = remember
        self._last: dict[tuple[str, Pair], tuple[Tensor, Tensor]] = {}

    def act_with(self, strength: Tensor) -> None:
        """From now on, act on each sample with its strength (B,)."""
        self.strength = self.attn1.strength = self.attn2.strength = strength

    def change(self, site: Site, side: str, x: Tensor) -> Tensor:
        """What keys ("k") or values ("v") at this site are made of, instead of x (…, C)."""
        pair = self.network.spec.pair_at(x.shape[-1], site.place)
        if pair is None:
            return x
        before, made = self._last.get((side, pair), (None, None))
        if before is x and made is not None:
            return made
        transform = self.network.keys if side == "k" else self.network.values
        made = transform(x, for_samples(self.strength, x), place=site.place)
        if self._remembers and site.place.stream in UNCHANGING:
            self._last[side, pair] = x, made
        return made
