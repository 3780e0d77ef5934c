"""Converts a network: to other widths, or for ComfyUI's own Hypernetwork Loader.

save_network chooses the file format and dtype. To turn a deep linear network into one matrix per
width, use merge.in_sequence on it alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ..formats.hns import Network
from ..network.hypernetwork import Hypernetwork, Record
from ..network.spec import HypernetSpec, listed

CORE_ACTIVATIONS = {  # our name -> the name of the same function in ComfyUI's loader
    "linear": "linear", "relu": "relu", "leakyrelu": "leakyrelu", "elu": "elu", "swish": "swish",
    "hardswish": "swish", "tanh": "tanh", "sigmoid": "sigmoid", "softsign": "softsign",
    "mish": "mish",
}  # fmt: skip
NUMBERS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def single(network: Network) -> Hypernetwork:
    """The network. Raises ValueError if it is a tree of networks."""
    if not isinstance(network, Hypernetwork):
        raise ValueError(
            f'"{network.record.name}" is a tree of networks. Convert each of them, or merge them.'
        )
    return network


def with_spec(network: Hypernetwork, **changes: Any) -> Hypernetwork:
    """A network with a changed spec; pairs that both have keep their weights."""
    twin = Hypernetwork(replace(network.spec, **changes), Record(**vars(network.record)))
    for pair in set(twin.spec.pairs) & set(network.spec.pairs):
        for side in ("k", "v"):
            copy_weights(network.mlp(pair, side), twin.mlp(pair, side))
    return twin


@torch.no_grad()
def copy_weights(source: nn.Module, target: nn.Module) -> None:
    for old, new in zip(source.parameters(), target.parameters(), strict=True):
        new.copy_(old)


def with_widths(
    network: Network, *, keep: Iterable[int] = (), add: Iterable[int] = ()
) -> Hypernetwork:
    """Keep only some widths (default: all), and add new ones that do nothing until trained.

    Raises ValueError quoting widths that are missing or exist already, and for a network that
    could not learn if its last layer began at zero.
    """
    network = single(network)
    held, keep, add = set(network.spec.widths), set(keep), set(add)
    faults = []
    if keep - held:
        faults.append(f"has no width {listed(sorted(keep - held))} to keep")
    if add & held:
        faults.append(f"has width {listed(sorted(add & held))} already")
    if add and network.spec.places:
        faults.append("is for a transformer, which has no widths to add")
    elif add and network.spec.is_activated(len(network.spec.layer_structure) - 2):
        faults.append("has an activation on its output, where a new width could not learn from 0")
    if faults:
        raise ValueError(
            f'The hypernetwork "{network.record.name}" {" and ".join(faults)}; '
            f"it holds {listed(sorted(held))}."
        )
    kept = keep or held
    places = tuple(place for place in network.spec.places if place[1] in kept)
    twin = with_spec(network, widths=tuple(kept | add), places=places)
    for width in add:
        for side in ("k", "v"):
            silence(twin.mlp(width, side), width)
    return twin


@torch.no_grad()
def silence(mlp: nn.Module, width: int) -> None:
    """Zero the last layer, so that the residual is zero but can still be trained."""
    *_, last = (layer for layer in mlp.modules() if isinstance(layer, nn.Linear))
    nn.init.zeros_(last.weight)
    if last.bias is not None:
        nn.init.zeros_(last.bias)
    if mlp(torch.ones(1, width)).any():
        raise ValueError(
            "A new width that does nothing cannot be added to a network with skip connections."
        )


def for_core(network: Hypernetwork) -> Hypernetwork:
    """The same network, changed so that ComfyUI's own Hypernetwork Loader draws what A1111 draws.

    Dropout is removed, because that loader leaves it on while generating. Hardswish gets the name
    that the loader knows. Raises ValueError with all reasons why the loader can't draw it right.
    """
    spec = network.spec
    activation = spec.activation if uses_activation(spec) else "linear"
    faults = []
    if activation not in CORE_ACTIVATIONS:
        known = ", ".join(CORE_ACTIVATIONS)
        faults.append(f"it does not know the activation {activation} (it knows {known})")
    if spec.layer_norm and activation != "linear" and not spec.activate_output:
        faults.append("with layer norm it puts the activation on the output too")
    if spec.skip_connection:
        faults.append("it leaves out skip connections")
    if spec.places:
        faults.append("it knows no places in a model, and no file of such networks")
    if faults:
        raise ValueError(
            f'ComfyUI\'s own loader cannot draw "{network.record.name}" right: '
            f"{'; '.join(faults)}. Use Load Hypernet and Apply Hypernet."
        )
    return with_spec(network, activation=CORE_ACTIVATIONS[activation], dropout_structure=())


def uses_activation(spec: HypernetSpec) -> bool:
    return any(spec.is_activated(layer) for layer in range(len(spec.layer_structure) - 1))
