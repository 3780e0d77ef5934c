"""A linear network as one matrix and one vector for each place: what it adds to keys or values.

Without activation and layer norm, a network of any depth computes x + Rx + c, and so does a chain
or a tree of them. R and c are found by running it on zero and on the unit vectors.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn

from ..formats.hns import Leaf, Network, NetworkTree, Part, Sequential
from ..network.places import Place

Linear = Network  # one that is linear, see require_linear
Chain = Sequence[tuple[Linear, float]]  # networks with strengths, in the order they act

LINEAR_PARTS = (nn.Linear, nn.Dropout, nn.Identity)


@dataclass(frozen=True)
class Residual:
    """x + matrix·x + constant, in float64: (C, C) and (C,)."""

    matrix: Tensor
    constant: Tensor

    def then(self, other: Residual) -> Residual:
        """The effect of this one followed by the other."""
        a, b = self, other
        return Residual(
            a.matrix + b.matrix + b.matrix @ a.matrix,
            a.constant + b.constant + b.matrix @ a.constant,
        )

    def plus(self, other: Residual, factor: float = 1.0) -> Residual:
        """The effect of both on the same input, added up."""
        return Residual(
            self.matrix + factor * other.matrix, self.constant + factor * other.constant
        )


def nothing(width: int) -> Residual:
    zeros = torch.zeros(width, width + 1, dtype=torch.float64)
    return Residual(zeros[:, 1:], zeros[:, 0])


@torch.no_grad()
def residual_of(
    network: Linear, width: int, side: str, strength: float = 1.0, place: Place | None = None
) -> Residual:
    """The residual of a linear network on keys ("k") or values ("v") of one width, at a place."""
    if isinstance(network, NetworkTree):
        return residual_of_part(network, network.part, width, side, strength, place)
    pair = network.spec.pair_at(width, place)
    if pair is None:
        return nothing(width)
    mlp = copy.deepcopy(network.mlp(pair, side)).to("cpu", torch.float64).eval()
    constant = mlp(torch.zeros(1, width, dtype=torch.float64))
    columns = mlp(torch.eye(width, dtype=torch.float64)) - constant
    return Residual(columns.T * strength, constant[0] * strength)


def residual_of_part(
    tree: NetworkTree, part: Part, width: int, side: str, strength: float, place: Place | None
) -> Residual:
    if isinstance(part, Leaf):
        return residual_of(tree.named(part.name), width, side, strength * part.strength, place)
    found = [residual_of_part(tree, each, width, side, strength, place) for each in part.parts]
    if isinstance(part, Sequential):
        return reduce(Residual.then, found)
    total = nothing(width)
    for residual, weight in zip(found, part.weights, strict=True):
        total = total.plus(residual, weight)
    return total


def residual_of_chain(chain: Chain, width: int, side: str, place: Place | None = None) -> Residual:
    """The residual of linear networks that act one after the other."""
    held = [(network, strength) for network, strength in chain if network.holds(width, place)]
    each = (residual_of(network, width, side, strength, place) for network, strength in held)
    return reduce(Residual.then, each) if held else nothing(width)


def chain_widths(chain: Chain) -> tuple[int, ...]:
    return tuple(sorted({width for network, _ in chain for width in network.spec.widths}))


def nonlinear_parts(network: Linear) -> list[str]:
    """Names of the modules that make the network nonlinear, such as ["ReLU", "LayerNorm"]."""
    leaves = (part for part in network.modules() if not list(part.children()))
    kinds = (type(part).__name__ for part in leaves if not isinstance(part, LINEAR_PARTS))
    return list(dict.fromkeys(kinds))


def require_linear(network: Linear) -> None:
    parts = nonlinear_parts(network)
    if parts:
        raise ValueError(
            f'The hypernetwork "{network.record.name}" cannot be folded into weights: it has '
            f"{' and '.join(parts)}, which no change of weights equals. Only linear networks "
            "without layer norm fold; use Apply Hypernet for this one."
        )
