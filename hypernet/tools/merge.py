"""Merges several networks into one: by mixing weights, side by side, or in sequence.

    weighted        each weight is Σ wᵢ·Wᵢ; needs equal shapes, and does not add up effects
    side_by_side    x + Σ wᵢ·fᵢ(x), exact: a wider network with all hidden layers beside each other
    in_sequence     what a chain of Apply nodes does, exact; needs linear networks

A linear network of any depth equals a single matrix. So the exact merges of linear networks have
structure 1, 1, which is the smallest file possible.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import reduce
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ..apply.patches import leaves
from ..apply.residuals import (
    Linear,
    Residual,
    nonlinear_parts,
    require_linear,
    residual_of,
    residual_of_chain,
)
from ..families import misfit
from ..network.hypernetwork import Hypernetwork, Record
from ..network.places import Pair
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
    require_one_architecture(parts)
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

    For a width or place that only some of them have, only those count.

    Raises ValueError quoting the networks and why they cannot be joined.
    """
    require_one_architecture(parts)
    networks = [network for network, _ in parts]
    if not any(map(nonlinear_parts, networks)):

        def summed(pair: Pair, side: str, groups: int) -> Residual:
            at = pair.width, side
            each = (residual_of(net, *at, factor, pair.place(groups)) for net, factor in parts)
            return reduce(Residual.plus, each)

        return from_residuals(summed, parts, name, " + ")
    singles = joinable(networks)
    spec = joined_spec(singles)
    merged = Hypernetwork(spec, record_of(parts, name, " + "))
    factors = [factor for _, factor in parts]
    for pair in spec.pairs:
        for side in ("k", "v"):
            columns = [layers_of(net, pair, side, spec.groups) for net in singles]
            fill_joined(merged.mlp(pair, side), columns, factors)
    return merged


def in_sequence(parts: Parts, name: str) -> Hypernetwork:
    """Linear networks applied one after the other, the first one first, as one of structure 1, 1.

    A single network becomes the same in a smaller file. Raises ValueError if one is not linear.
    """
    require_one_architecture(parts)
    for network, _ in parts:
        require_linear(network)

    def chained(pair: Pair, side: str, groups: int) -> Residual:
        return residual_of_chain(parts, pair.width, side, pair.place(groups))

    return from_residuals(chained, parts, name, ", then ")


# Checking which networks fit together


def require_one_architecture(parts: Parts) -> None:
    first = parts[0][0]
    for other, _ in parts:
        try:
            differs = misfit(first.record.architecture, other.record.architecture)
        except ValueError as fault:
            differs = str(fault)
        if differs or bool(first.spec.places) != bool(other.spec.places):
            one, another = (net.record.architecture or "Stable Diffusion" for net in (first, other))
            raise ValueError(
                f'"{first.record.name}" is for {one}, "{other.record.name}" for {another}: '
                "networks for different models cannot become one."
            )


def places_of(networks: Sequence[Linear]) -> dict[str, Any]:
    """The fields of a spec that say where a network of all of them acts, and how it computes.

    Its groups are as many as are needed for each to lie within one group of every network.
    """
    specs = [leaf.spec for network in networks for leaf in leaves(network)]
    exact = any(spec.arithmetic == "float32" for spec in specs)
    return {
        "widths": tuple({width for spec in specs for width in spec.widths}),
        "places": tuple({place for spec in specs for place in spec.places}),
        "groups": math.lcm(*(spec.groups for spec in specs)),
        "arithmetic": "float32" if exact else "bfloat16",
        "bias": any(spec.bias for spec in specs),
    }


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

    def text(name: str, value: Any) -> str:
        if name == "places":
            return ", ".join(f"{stream} {width}" for stream, width in value)
        return listed(value) if isinstance(value, tuple) else str(value)

    said = (f"{each.replace('_', ' ')} {text(each, getattr(network.spec, each))}" for each in names)
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
    shared = places_of(networks)
    for width in shared["widths"]:
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
        layer_structure=(1, *inside, 1),
        dropout_structure=(),
        **shared,
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
        if layer.bias is not None:
            layer.bias.copy_(torch.cat([bias_of(column[place]) for column in columns]))
    ends = [column[-1] for column in columns]
    scaled = [factor * end.weight for factor, end in zip(factors, ends, strict=True)]
    last.weight.copy_(torch.cat(scaled, dim=1))
    if last.bias is not None:
        last.bias.copy_(total(factors, [bias_of(end) for end in ends]))


def bias_of(layer: nn.Linear) -> Tensor:
    found: Tensor | None = layer.bias
    return torch.zeros(layer.out_features) if found is None else found


def layers_of(network: Hypernetwork, pair: Pair, side: str, groups: int) -> list[nn.Linear]:
    """The network's layers for a pair of the joined one, or layers that do nothing."""
    own = network.spec.pair_at(pair.width, pair.place(groups))
    if own is not None:
        return linears(network.mlp(own, side))
    sizes = [int(pair.width * factor) for factor in network.spec.layer_structure]
    layers = [nn.Linear(*each) for each in pairwise(sizes)]
    for layer in layers:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    return layers


@torch.no_grad()
def from_residuals(
    residual: Callable[[Pair, str, int], Residual], parts: Parts, name: str, word: str
) -> Hypernetwork:
    """A network of structure 1, 1 whose matrix and bias for each pair and side are given."""
    spec = HypernetSpec(layer_structure=(1, 1), **places_of([network for network, _ in parts]))
    merged = Hypernetwork(spec, record_of(parts, name, word))
    for pair in spec.pairs:
        for side in ("k", "v"):
            (layer,) = linears(merged.mlp(pair, side))
            found = residual(pair, side, spec.groups)
            layer.weight.copy_(found.matrix)
            if layer.bias is not None:
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
        architecture=parts[0][0].record.architecture,
        sd_checkpoint=agreed("sd_checkpoint"),
        sd_checkpoint_name=agreed("sd_checkpoint_name"),
        optional_info=word.join(f"{factor:g} × {network.record.name}" for network, factor in parts),
    )


MERGES: dict[str, Callable[[Parts, str], Hypernetwork]] = {
    "weighted": weighted,
    "side by side": side_by_side,
    "in sequence": in_sequence,
}
