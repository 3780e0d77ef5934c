"""Folding into a transformer, at the layers that make keys and values.

    W_k += W_k·R_k        b_k += W_k·c_k        and the same for values

Where one layer makes queries, keys and values, only the rows of keys and values change. Unlike in a
UNet, a constant on keys counts, because they are normalised before they meet the queries; and one
on values differs by stream. So a layer without a bias takes only networks that add no constant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch import Tensor

from ..families import Site
from ..network.places import Place
from .patches import leaves
from .residuals import Chain, Residual, require_linear, residual_of_chain

# Of a weight: its name; or its name and the first row, where only some of its rows are meant
Target = str | tuple[str, int]
# (width, "k" or "v", place in a transformer) → what is added there
Residuals = Callable[[int, str, Place | None], Residual]


@dataclass(frozen=True)
class SiteWeights:
    """A layer that makes keys, values or both, and the dtype that it has in the model.

    prefix: what loaders of LoRA files expect before the layer's path. parts: names by which they
    also know the rows of keys ("k") and of values ("v") of a fused layer, if they do.
    """

    site: Site
    weight: Tensor  # (rows, C) float32
    has_bias: bool
    dtype: torch.dtype
    prefix: str = "diffusion_model."
    parts: Mapping[str, str] = field(default_factory=dict)

    def rows_of(self, side: str) -> tuple[int, Tensor]:
        """The first of the rows that make keys ("k") or values ("v"), and the rows (D, C)."""
        if self.site.side != "kv":
            return 0, self.weight
        first = [0, *accumulate(self.site.rows)]["qkv".index(side)]
        return first, self.weight[first : first + self.site.rows["qkv".index(side)]]

    def target(self, part: str, first: int) -> Target:
        name = f"{self.site.path}.{part}"
        return (name, first) if self.site.side == "kv" else name


def residuals_at(chain: Chain, folded: Chain = ()) -> Residuals:
    """What a chain adds, beyond what its folded beginning adds; computed once for each pair.

    Raises ValueError if a network is not linear.
    """
    for network, _ in chain:
        require_linear(network)
    specs = [leaf.spec for network, _ in (*chain, *folded) for leaf in leaves(network)]
    known: dict[object, Residual] = {}

    def residual(width: int, side: str, place: Place | None) -> Residual:
        key = (side, width, tuple(spec.pair_at(width, place) for spec in specs))
        if key not in known:
            before = residual_of_chain(folded, width, side, place)
            known[key] = residual_of_chain(chain, width, side, place).plus(before, -1.0)
        return known[key]

    return residual


def is_held(chain: Chain, site: Site) -> bool:
    return any(network.holds(site.width, site.place) for network, _ in chain)


@torch.no_grad()
def site_changes(
    block: SiteWeights, chain: Chain, residual: Residuals
) -> Iterator[tuple[Target, Tensor]]:
    """(target, change) of a layer. Raises ValueError if it cannot hold a constant of the chain."""
    for side in block.site.side:
        first, rows = block.rows_of(side)
        found = residual(block.site.width, side, block.site.place)
        yield block.target("weight", first), rows @ found.matrix.to(rows)
        constant = constant_on(block, chain, found, rows)
        if constant is not None:
            yield block.target("bias", first), constant


def constant_on(
    block: SiteWeights, chain: Chain, residual: Residual, rows: Tensor
) -> Tensor | None:
    """What the bias of these rows takes; None for nothing."""
    if not residual.constant.any():
        return None
    if not block.has_bias:
        names = ", ".join(f'"{network.record.name}"' for network, _ in chain)
        raise ValueError(
            f"The hypernetwork {names} cannot be folded into {block.site.path}: it adds a "
            "constant, and this layer has no bias to hold it. Use Apply Hypernet; a network that "
            "was trained with bias off in Hypernet Config folds."
        )
    return rows @ residual.constant.to(rows)
