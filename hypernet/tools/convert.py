"""One network in another form: other widths, or one that ComfyUI's own loader reads as A1111
meant it.

The file format and the type of its numbers are save_network's; one matrix per width out of a deep
linear network is merge.in_sequence of it alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ..network.hypernetwork import Hypernetwork, Record
from ..network.spec import HypernetSpec, as_text

CORE_ACTIVATIONS = {  # ours -> the name by which ComfyUI's loader knows the same function
    "linear": "linear", "relu": "relu", "leakyrelu": "leakyrelu", "elu": "elu", "swish": "swish",
    "hardswish": "swish", "tanh": "tanh", "sigmoid": "sigmoid", "softsign": "softsign",
    "mish": "mish",
}  # fmt: skip
NUMBERS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def with_spec(network: Hypernetwork, **changes: Any) -> Hypernetwork:
    """A network of the changed spec, with the weights of every width that both have."""
    if not isinstance(network, Hypernetwork):
        raise ValueError(
            f'"{network.record.name}" is a tree of networks. Convert each of them, or merge them.'
        )
    twin = Hypernetwork(replace(network.spec, **changes), Record(**vars(network.record)))
    for width in set(twin.spec.widths) & set(network.spec.widths):
        for side in ("k", "v"):
            copy_weights(network.pairs[str(width)][side], twin.pairs[str(width)][side])
    return twin


@torch.no_grad()
def copy_weights(source: nn.Module, target: nn.Module) -> None:
    for old, new in zip(source.parameters(), target.parameters(), strict=True):
        new.copy_(old)


def with_widths(
    network: Hypernetwork, *, keep: Iterable[int] = (), add: Iterable[int] = ()
) -> Hypernetwork:
    """Only the widths to keep (none named: all), and new ones that do nothing until trained.

    Raises ValueError quoting a width that is not there, or is there already, or for a network
    whose last layer cannot be zero and learn.
    """
    held, keep, add = set(network.spec.widths), set(keep), set(add)
    faults = []
    if keep - held:
        faults.append(f"has no width {as_text(sorted(keep - held))} to keep")
    if add & held:
        faults.append(f"has width {as_text(sorted(add & held))} already")
    if add and network.spec.is_activated(len(network.spec.layer_structure) - 2):
        faults.append("has an activation on its output, where a new width could not learn from 0")
    if faults:
        raise ValueError(
            f'The hypernetwork "{network.record.name}" {" and ".join(faults)}; '
            f"it holds {as_text(sorted(held))}."
        )
    twin = with_spec(network, widths=tuple((keep or held) | add))
    for width in add:
        for side in ("k", "v"):
            silence(twin.pairs[str(width)][side], width)
    return twin


@torch.no_grad()
def silence(mlp: nn.Module, width: int) -> None:
    """Zero the last layer, so that the residual is zero, and can still be learnt."""
    *_, last = (layer for layer in mlp.modules() if isinstance(layer, nn.Linear))
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    if mlp(torch.ones(1, width)).any():
        raise ValueError(
            "A new width that does nothing cannot be added to a network with skip connections."
        )


def for_core(network: Hypernetwork) -> Hypernetwork:
    """The same network so that ComfyUI's own Hypernetwork Loader draws what A1111 draws.

    Dropout, which that loader leaves on while generating, goes; Hardswish gets the name it knows.

    Raises ValueError with every reason why the loader cannot draw this one right.
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
    if faults:
        raise ValueError(
            f'ComfyUI\'s own loader cannot draw "{network.record.name}" right: '
            f"{'; '.join(faults)}. Use Load Hypernet and Apply Hypernet."
        )
    return with_spec(network, activation=CORE_ACTIVATIONS[activation], dropout_structure=())


def uses_activation(spec: HypernetSpec) -> bool:
    return any(spec.is_activated(layer) for layer in range(len(spec.layer_structure) - 1))
