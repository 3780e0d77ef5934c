"""Merges several networks into one: by mixing weights, side by side, or in sequence.

    weighted        each weight is Σ wᵢ·Wᵢ; needs equal shapes, and does not add up effects
    side_by_side    x + Σ wᵢ·fᵢ(x), exact: a wider network with all hidden layers beside each other
    in_sequence     what a chain of Apply nodes does, exact; needs linear networks

A linear network of any depth equals a single matrix. So the exact merges of linear networks have
structure 1, 1, which is the smallest file possible.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import reduce
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..apply.residuals import (
    Linear,
    Residual,
    chain_widths,
    nonlinear_parts,
    require_linear,
    residual_of,
    residual_of_chain,
)
from ..network.hypernetwork import Hypernetwork, Record
from ..network.spec import HypernetSpec, listed
from ..text.parsing import read_numbers

Parts = Sequence[tuple[Linear, float]]  # networks with their factors

# Settings that only matter in training, not for what a finished network does.
ONLY_FOR_TRAINING = {"seed", "weight_initialization", "dropout_structure"}
# These work on a whole row or have weights, so hidden layers side by side would affect each other.
NOT_ELEMENTWISE = {"softmax", "softmin", "logsoftmax", "softmax2d", "prelu"}


def read_factors(text: str, count: int | None = None) -> tuple[float, ...]:
    """The factors in "0.5, 0.5". count: how many are needed, if known. Raises ValueError."""
    factors = read_numbers(text, "Factors", "0.5, 0.5", lambda found: len(found) == count)
    if count not in (None, len(factors)):
        raise ValueError(f'Factors "{text}": {len(factors)} for {count} networks; give one each.')
    return factors


def weighted(parts: Parts, name: str) -> Hypernetwork:
    """A network whose weights are the sums of the networks' weights times their factors.

    Raises ValueError quoting two networks that differ in shape.
    """
    first = single(parts[0][0])
    for other, _ in parts:
        require_same_shape(first, single(other))
    merged = Hypernetwork(without_dropout(first.spec), record_of(parts, name, " + "))
    factors = [factor for _, factor in parts]
    sources = zip(*(network.parameters() for network, _ in parts), strict=True)
    with torch.no_grad():
        for weight, found in zip(merged.parameters(), sources, strict=True):
            weight.copy_(total(factors, found))
    return merged


def side_by_side(parts: Parts, name: str) -> Hypernetwork:
    """A network that adds the residuals of all networks, times their factors, to the same input.

    For a width that only some of them have, only those count.

    Raises ValueError quoting the networks and why they cannot be joined.
    """
    networks = [network for network, _ in parts]
    if not any(map(nonlinear_parts, networks)):

        def summed(width: int, side: str) -> Residual:
            each = (residual_of(network, width, side, factor) for network, factor in parts)
            return reduce(Residual.plus, each)

        return from_residuals(summed, parts, name, " + ")
    singles = joinable(networks)
    spec = joined_spec(singles)
    merged = Hypernetwork(spec, record_of(parts, name, " + "))
    factors = [factor for _, factor in parts]
    for width in spec.widths:
        for side in ("k", "v"):
            columns = [layers_of(network, width, side) for network in singles]
            fill_joined(merged.mlp(width, side), columns, factors)
    return merged


def in_sequence(parts: Parts, name: str) -> Hypernetwork:
    """Linear networks applied one after the other, the first one first, as one of structure 1, 1.

    A single network becomes the same in a smaller file. Raises ValueError if one is not linear.
    """
    for network, _ in parts:
        require_linear(network)

    def chained(width: int, side: str) -> Residual:
        return residual_of_chain(parts, width, side)

    return from_residuals(chained, parts, name, ", then ")


# Checking which networks fit together


def single(network: Linear) -> Hypernetwork:
    """The network. Raises ValueError if it is a tree of networks."""
    if not isinstance(network, Hypernetwork):
        raise ValueError(
            f'"{network.record.name}" is a tree of networks, which has no weights of its own to '
            "mix. Give its networks, or chain Apply Hypernet nodes."
        )
    return network


def require_same_shape(first: Hypernetwork, other: Hypernetwork) -> None:
    differing = [
        field.name
        for field in fields(HypernetSpec)
        if field.name not in ONLY_FOR_TRAINING
        and getattr(first.spec, field.name) != getattr(other.spec, field.name)
    ]
    if differing:
        raise ValueError(
            f"These networks cannot be mixed weight by weight. {described(first, differing)}; "
            f"{described(other, differing)}. Take networks of one shape, or join them side by side."
        )


def described(network: Hypernetwork, names: Sequence[str]) -> str:
    """ "a" has layer structure 1, 2, 1 and activation relu."""

    def text(value: object) -> str:
        return listed(value) if isinstance(value, tuple) else str(value)

    said = (f"{name.replace('_', ' ')} {text(getattr(network.spec, name))}" for name in names)
    return f'"{network.record.name}" has {" and ".join(said)}'


def joinable(networks: Sequence[Linear]) -> list[Hypernetwork]:
    """The networks. Raises ValueError if they cannot stand side by side in one."""
    first = single(networks[0])
    found: list[Hypernetwork] = []
    for each in networks:
        network = single(each)
        found.append(network)
        spec = network.spec
        problem = ""
        if spec.layer_norm:
            problem = f'"{network.record.name}" has layer norm, which looks at a whole layer'
        elif spec.activation in NOT_ELEMENTWISE:
            problem = f"{described(network, ['activation'])}, which looks at a whole layer"
        elif spec.activate_output and spec.activation != "linear":
            problem = f'"{network.record.name}" has an activation on its output'
        elif spec.skip_connection:
            problem = f'"{network.record.name}" has skip connections'
        elif spec.activation != first.spec.activation:
            problem = f"{described(first, ['activation'])}, {described(network, ['activation'])}"
        elif len(spec.layer_structure) != len(first.spec.layer_structure):
            both = (described(one, ["layer_structure"]) for one in (first, network))
            problem = ", ".join(both)
        if problem:
            raise ValueError(
                f"These networks cannot stand side by side in one: {problem}. "
                "Chain Apply Hypernet nodes instead."
            )
    return found


def joined_spec(networks: Sequence[Hypernetwork]) -> HypernetSpec:
    structures = [network.spec.layer_structure for network in networks]
    inside = tuple(sum(factors) for factors in zip(*structures, strict=True))[1:-1]
    widths = {width for network in networks for width in network.spec.widths}
    for width in widths:
        for place, factor in enumerate(inside, start=1):
            sizes = [int(width * structure[place]) for structure in structures]
            if int(width * factor) != sum(sizes):
                both = "; ".join(described(each, ["layer_structure"]) for each in networks)
                raise ValueError(
                    f"These networks cannot stand side by side in one: {both}, and at width "
                    f"{width} their layers of {listed(sizes)} are no layer of factor {factor:g}. "
                    "Chain Apply Hypernet nodes instead."
                )
    return replace(
        without_dropout(networks[0].spec),
        widths=tuple(widths),
        layer_structure=(1, *inside, 1),
        dropout_structure=(),
    )


def without_dropout(spec: HypernetSpec) -> HypernetSpec:
    return replace(spec, dropout_structure=())


# Filling the result


def total(factors: Sequence[float], tensors: Sequence[Tensor]) -> Tensor:
    """Σ factor·tensor, added up in float64."""
    scaled = (f * tensor.double() for f, tensor in zip(factors, tensors, strict=True))
    return sum(scaled, torch.zeros((), dtype=torch.float64))


def linears(mlp: nn.Module) -> list[nn.Linear]:
    return [layer for layer in mlp.modules() if isinstance(layer, nn.Linear)]


@torch.no_grad()
def fill_joined(
    mlp: nn.Module, columns: Sequence[Sequence[nn.Linear]], factors: Sequence[float]
) -> None:
    """Stack the first layers, put the inner ones on a block diagonal, concatenate the last ones.

    columns: the layers of each network.
    """
    *before, last = linears(mlp)
    for place, layer in enumerate(before):
        weights = [column[place].weight for column in columns]
        layer.weight.copy_(torch.block_diag(*weights) if place else torch.cat(weights))
        layer.bias.copy_(torch.cat([column[place].bias for column in columns]))
    ends = [column[-1] for column in columns]
    scaled = [factor * end.weight for factor, end in zip(factors, ends, strict=True)]
    last.weight.copy_(torch.cat(scaled, dim=1))
    last.bias.copy_(total(factors, [end.bias for end in ends]))


def layers_of(network: Hypernetwork, width: int, side: str) -> list[nn.Linear]:
    """The network's layers for a width, or layers of the same sizes that do nothing."""
    if width in network.spec.widths:
        return linears(network.mlp(width, side))
    sizes = [int(width * factor) for factor in network.spec.layer_structure]
    layers = [nn.Linear(*pair) for pair in pairwise(sizes)]
    for layer in layers:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    return layers


@torch.no_grad()
def from_residuals(
    residual: Callable[[int, str], Residual], parts: Parts, name: str, word: str
) -> Hypernetwork:
    """A network of structure 1, 1 whose matrix and bias for each width and side are given."""
    spec = HypernetSpec(widths=chain_widths(parts), layer_structure=(1, 1))
    merged = Hypernetwork(spec, record_of(parts, name, word))
    for width in spec.widths:
        for side in ("k", "v"):
            (layer,) = linears(merged.mlp(width, side))
            found = residual(width, side)
            layer.weight.copy_(found.matrix)
            layer.bias.copy_(found.constant)
    return merged


def record_of(parts: Parts, name: str, word: str) -> Record:
    """The record of a merged network. Its note lists the parts; what they share is kept."""

    def agreed(field: str) -> str | None:
        values = {getattr(network.record, field) for network, _ in parts}
        return values.pop() if len(values) == 1 else None

    return Record(
        name=name,
        step=max(network.record.step for network, _ in parts),
        sd_checkpoint=agreed("sd_checkpoint"),
        sd_checkpoint_name=agreed("sd_checkpoint_name"),
        optional_info=word.join(f"{factor:g} × {network.record.name}" for network, factor in parts),
    )


MERGES: dict[str, Callable[[Parts, str], Hypernetwork]] = {
    "weighted": weighted,
    "side by side": side_by_side,
    "in sequence": in_sequence,
}
