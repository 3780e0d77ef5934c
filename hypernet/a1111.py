"""A1111's `.pt` format: what a network is on disk, as plain Python types and tensors.

A dict with one integer key per width, whose value is a pair of state dicts (keys, values) named
`linear.N.weight` and `linear.N.bias`, and string keys for the settings. N counts every slot of
A1111's Sequential, activations and dropouts included, and differs between versions, so layers are
read by their shapes: a matrix is a Linear, a vector a LayerNorm, a single number a PReLU.

A missing setting means what it meant to A1111 when the file was written; read_spec says what.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .network import Hypernetwork, Record, ResidualMlp
from .spec import HypernetSpec, as_text, dropout_from_flags

SETTINGS = {
    "step", "name", "layer_structure", "activation_func", "is_layer_norm",
    "weight_initialization", "activate_output", "use_dropout", "dropout_structure",
    "last_layer_dropout", "sd_checkpoint", "sd_checkpoint_name", "optional_info",
}  # fmt: skip


def to_payload(network: Hypernetwork) -> dict[Any, Any]:
    """Everything A1111 writes, every key, on the CPU in float32, ready for torch.save."""
    spec, record = network.spec, network.record
    payload: dict[Any, Any] = dict(record.extra)
    for width in spec.widths:
        pair = network.pairs[str(width)]
        payload[int(width)] = tuple(
            {name: t.detach().cpu().float().clone() for name, t in pair[side].state_dict().items()}
            for side in ("k", "v")
        )
    payload |= {
        "step": int(record.step),
        "name": record.name,
        "layer_structure": [number(f) for f in spec.layer_structure],
        "activation_func": spec.activation,
        "is_layer_norm": spec.layer_norm,
        "weight_initialization": spec.weight_initialization,
        "activate_output": spec.activate_output,
        "use_dropout": any(p > 0 for p in spec.dropout_structure),
        "dropout_structure": [number(p) for p in spec.dropout_structure],
        "last_layer_dropout": spec.dropout_structure[-2] != 0,
        "sd_checkpoint": record.sd_checkpoint,
        "sd_checkpoint_name": record.sd_checkpoint_name,
        "optional_info": record.optional_info,
    }
    return payload


def number(value: float) -> float | int:
    return int(value) if float(value).is_integer() else float(value)


def from_payload(payload: Any, file_name: str) -> Hypernetwork:
    """The network that a loaded payload describes; file_name is for messages and a missing name.

    Raises ValueError that names the file and what is wrong with it.
    """
    if not isinstance(payload, Mapping):
        raise ValueError(f'"{file_name}" holds a {type(payload).__name__}, not a hypernetwork.')
    if payload.get("skip_connection"):
        raise ValueError(
            f'"{file_name}" has skip connections (aria1th\'s extension), which is not supported.'
        )
    pairs = {}
    for key, value in payload.items():
        if isinstance(key, int) or (isinstance(key, str) and key.isdigit()):
            pairs[int(key)] = [
                read_layers(side, int(key), file_name) for side in split(value, key, file_name)
            ]
    if not pairs:
        found = ", ".join(map(str, list(payload)[:5]))
        raise ValueError(
            f'"{file_name}" is not a hypernetwork: no attention width among its keys ({found} …).'
        )
    spec = read_spec(payload, pairs, file_name)
    network = Hypernetwork(spec, read_record(payload, file_name))
    for width, sides in pairs.items():
        for side, layers in zip(("k", "v"), sides, strict=True):
            fill(network.pairs[str(width)][side], layers, f'"{file_name}", width {width}, {side}')
    return network


@dataclass
class Layers:
    """Tensors of one MLP in the order of the file."""

    linears: list[tuple[Tensor, Tensor]]
    norms: list[tuple[Tensor, Tensor]]
    slopes: list[Tensor]  # of PReLU


def split(value: Any, key: Any, file_name: str) -> tuple[Mapping, Mapping]:
    good = isinstance(value, (list, tuple)) and len(value) == 2
    if not good or not all(isinstance(side, Mapping) for side in value):
        raise ValueError(f'"{file_name}": width {key} should hold a pair of state dicts (k, v).')
    return tuple(value)


def read_layers(state: Mapping, width: int, file_name: str) -> Layers:
    """Sort the tensors of one state dict by slot and recognise them by shape."""
    where = f'"{file_name}", width {width}'
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        # the oldest files say linear1, linear2 for slots 0, 1
        match = re.fullmatch(r"linear(?:\.(\d+)|([12]))\.(weight|bias)", str(name))
        if not match or not isinstance(tensor, Tensor):
            raise ValueError(f'{where}: "{name}" is no layer of a hypernetwork.')
        slot = int(match[1]) if match[1] else int(match[2]) - 1
        slots.setdefault(slot, {})[match[3]] = tensor
    layers = Layers([], [], [])
    for slot in sorted(slots):
        weight, bias = slots[slot].get("weight"), slots[slot].get("bias")
        if weight is not None and weight.ndim == 1 and weight.numel() == 1 and bias is None:
            layers.slopes.append(weight)
        elif weight is None or bias is None or weight.shape[0] != bias.numel():
            raise ValueError(f"{where}: slot {slot} lacks a weight or a bias that fit together.")
        elif weight.ndim == 2:
            layers.linears.append((weight, bias))
        elif weight.ndim == 1:
            layers.norms.append((weight, bias))
        else:
            raise ValueError(f"{where}: slot {slot} has a weight of shape {tuple(weight.shape)}.")
        for tensor in (weight, bias):
            if tensor is not None and not bool(torch.isfinite(tensor).all()):
                raise ValueError(f"{where}: slot {slot} holds NaN or infinite numbers.")
    sizes = [width, *(weight.shape[0] for weight, _ in layers.linears)]
    inputs = [weight.shape[1] for weight, _ in layers.linears]
    if not inputs or inputs != sizes[:-1] or sizes[-1] != width:
        raise ValueError(f"{where}: layers of sizes {inputs} → {sizes[1:]} do not form a chain.")
    if layers.norms and len(layers.norms) != len(layers.linears):
        raise ValueError(f"{where}: {len(layers.norms)} norms for {len(layers.linears)} layers.")
    return layers


def read_spec(payload: Mapping, pairs: Mapping[int, list[Layers]], file_name: str) -> HypernetSpec:
    sizes = {
        width: [weight.shape[0] for weight, _ in layers.linears]
        for width, sides in pairs.items()
        for layers in sides
    }
    written = payload.get("layer_structure") or (1, 2, 1)
    structure = tuple(number(float(f)) for f in written)
    for width, found in sizes.items():
        if [int(width * f) for f in structure[1:]] != found:
            structure = (1, *(number(size / width) for size in found))
    for width, found in sizes.items():
        if [int(width * f) for f in structure[1:]] != found:
            raise ValueError(
                f'"{file_name}": width {width} has layers {found}, which no structure shared by '
                f"all widths gives (its record says {as_text(tuple(written))})."
            )
    dropout = payload.get("dropout_structure") or dropout_from_flags(
        len(structure), bool(payload.get("use_dropout")), bool(payload.get("last_layer_dropout"))
    )
    if len(dropout) != len(structure):
        dropout = (0.0,) * len(structure)  # A1111 never checked; it has no effect when generating
    try:
        return HypernetSpec(
            widths=tuple(pairs),
            layer_structure=structure,
            activation=(payload.get("activation_func") or "linear").lower(),
            weight_initialization=payload.get("weight_initialization") or "Normal",
            layer_norm=any(layers.norms for sides in pairs.values() for layers in sides),
            dropout_structure=tuple(number(float(p)) for p in dropout),
            activate_output=bool(payload.get("activate_output", True)),
        )
    except ValueError as fault:
        raise ValueError(f'"{file_name}": {fault}') from None


def read_record(payload: Mapping, file_name: str) -> Record:
    def text(key: str) -> str | None:
        return None if payload.get(key) is None else str(payload[key])

    known = {k: v for k, v in payload.items() if isinstance(k, str) and not k.isdigit()}
    return Record(
        name=text("name") or file_name.rsplit("/", 1)[-1].rsplit(".", 1)[0],
        step=int(payload.get("step") or 0),
        sd_checkpoint=text("sd_checkpoint"),
        sd_checkpoint_name=text("sd_checkpoint_name"),
        optional_info=text("optional_info"),
        extra={key: value for key, value in known.items() if key not in SETTINGS},
    )


@torch.no_grad()
def fill(mlp: ResidualMlp, layers: Layers, where: str) -> None:
    """Copy the file's tensors into a freshly built MLP, kind by kind."""
    kinds = {
        torch.nn.Linear: layers.linears,
        torch.nn.LayerNorm: layers.norms,
        torch.nn.PReLU: [(slope,) for slope in layers.slopes],
    }
    for kind, found in kinds.items():
        slots = [layer for layer in mlp.linear if isinstance(layer, kind)]
        if len(slots) != len(found):
            raise ValueError(
                f"{where}: {len(found)} {kind.__name__} layers in the file, "
                f"{len(slots)} by its record."
            )
        for slot, tensors in zip(slots, found, strict=True):
            for parameter, tensor in zip(slot.parameters(), tensors, strict=True):
                parameter.copy_(tensor.reshape(parameter.shape))
