"""A1111's `.pt` format: a network on disk, as plain Python types and tensors.

The file is a dict. It has one integer key per width, whose value is a pair of state dicts (keys,
values) with the names `linear.N.weight` and `linear.N.bias`, and string keys for the settings. N
counts every slot of A1111's Sequential, including activations and dropouts, and differs between
versions. Layers are therefore recognised by their shapes: a matrix is a Linear, a vector a
LayerNorm, a single number a PReLU. Networks of aria1th's extension are nested:
`linear.N.linear.M.weight` and `linear.N.upsample_layer.weight`.

A missing setting means what it meant to A1111 when the file was written, see `read_spec`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..network.hypernetwork import Hypernetwork, Record, ResidualMlp
from ..network.places import Pair
from ..network.spec import HypernetSpec, dropout_from_flags, listed
from .plain_values import json_value

NUMBER = (int, float)
NUMBERS = (list, tuple)
NO = ("", "False", "None")  # spellings from command lines

# What each setting must be. A setting may always be None or missing.
SETTINGS: dict[str, tuple[tuple[type, ...], str]] = {
    "step": (NUMBER, "a whole number"),
    "name": ((str,), "text"),
    "layer_structure": (NUMBERS, "a list of numbers"),
    "activation_func": ((str,), "text"),
    "is_layer_norm": ((bool, int, str), "yes or no"),  # losalina's are texts; the layers decide
    "weight_initialization": ((str,), "text"),
    "activate_output": ((bool, int), "yes or no"),
    "use_dropout": ((bool, int), "yes or no"),
    "dropout_structure": (NUMBERS, "a list of numbers"),
    "last_layer_dropout": ((bool, int), "yes or no"),
    "sd_checkpoint": ((str, int), "text"),
    "sd_checkpoint_name": ((str,), "text"),
    "optional_info": ((str,), "text"),
    "skip_connection": ((bool, int, str), "yes or no"),
    "upsample_linear": ((bool, int, str), "text"),
    "bias": ((bool, int), "yes or no"),  # ours; False where all of them are 0, and not trained
    "enable_sizes": (NUMBERS, "a list of numbers"),  # losalina's, repeats the widths
}


# Writing


def to_payload(network: Hypernetwork, dtype: torch.dtype = torch.float32) -> dict[Any, Any]:
    """The content of the file, with every key that A1111 writes, on the CPU.

    Raises ValueError if a weight is not finite or too large for dtype.
    """
    pairs = to_states(network, dtype)
    return {**{pair.width: sides for pair, sides in pairs.items()}, **to_settings(network)}


def to_states(network: Hypernetwork, dtype: torch.dtype) -> dict[Pair, tuple[dict, dict]]:
    """The state dicts of keys and values of every pair. Raises as to_payload does."""
    pairs = {}
    for pair in network.spec.pairs:
        sides = to_state(network.mlp(pair, "k"), dtype), to_state(network.mlp(pair, "v"), dtype)
        if not all(is_finite(tensor) for state in sides for tensor in state.values()):
            raise ValueError(
                f'The network "{network.record.name}" holds NaN or infinite numbers at width '
                f"{pair.name} as {str(dtype).removeprefix('torch.')}: it is not saved. A file with "
                "them would draw nothing but black."
            )
        pairs[pair] = sides
    return pairs


def to_settings(network: Hypernetwork) -> dict[str, Any]:
    """The string keys: spec and record under A1111's names, as plain types."""
    spec, record = network.spec, network.record
    settings = dict(record.extra) | {
        "step": int(record.step),
        "name": record.name,
        "layer_structure": [number(f) for f in spec.layer_structure],
        "activation_func": spec.activation,
        "is_layer_norm": bool(spec.layer_norm),
        "weight_initialization": spec.weight_initialization,
        "activate_output": bool(spec.activate_output),
        "use_dropout": any(p > 0 for p in spec.dropout_structure),
        "dropout_structure": [number(p) for p in spec.dropout_structure],
        "last_layer_dropout": spec.dropout_structure[-2] != 0,
        "sd_checkpoint": record.sd_checkpoint,
        "sd_checkpoint_name": record.sd_checkpoint_name,
        "optional_info": record.optional_info,
    }
    if spec.skip_connection:
        settings["skip_connection"] = True
        settings["upsample_linear"] = "Linear" if spec.upsample_linear else None
    if not spec.bias:
        settings["bias"] = False
    return settings


def to_state(mlp: ResidualMlp, dtype: torch.dtype) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for name, tensor in mlp.state_dict().items():
        state[name] = tensor.detach().to("cpu", dtype, copy=True).contiguous()
        if tensor.ndim == 2 and not mlp.skip_connection:  # its bias follows, if it has one
            state[name.replace("weight", "bias")] = torch.zeros(len(tensor), dtype=dtype)
    return state


def number(value: float) -> float | int:
    return int(value) if float(value).is_integer() else float(value)


def is_finite(tensor: Tensor) -> bool:
    """Are all numbers finite? A sum of finite float16 or float32 can't overflow in float64."""
    return bool(torch.isfinite(tensor.sum(dtype=torch.float64)))


# Reading


def from_payload(payload: Any, file_name: str) -> Hypernetwork:
    """The network that a loaded payload describes.

    file_name: used in messages, and as the network's name if it has none. Raises ValueError naming
    the file and what is wrong with it.
    """
    if not isinstance(payload, Mapping):
        raise ValueError(f'"{file_name}" holds a {type(payload).__name__}, not a hypernetwork.')
    pairs = read_pairs(payload, file_name)
    check_settings(payload, file_name)
    spec = read_spec(payload, pairs, file_name)
    network = Hypernetwork(spec, read_record(payload, file_name), blank=True)
    for width, sides in pairs.items():
        for side, layers in zip(("k", "v"), sides, strict=True):
            fill(network.mlp(width, side), layers, f'"{file_name}", width {width}, {side}')
    return network


@dataclass(frozen=True)
class Layer:
    """One layer with weights in a file, recognised by its shape."""

    kind: type[nn.Module]
    weight: Tensor
    bias: Tensor | None
    in_block: bool  # part of a residual block, in a network with skip connections

    @property
    def is_linear(self) -> bool:
        """Is it a Linear of the chain? One without a bias is the skip path of a block."""
        return self.kind is nn.Linear and self.bias is not None

    @property
    def has_constant(self) -> bool:
        """Another program may have trained the biases of a network that is said to have none."""
        return self.kind is nn.Linear and self.bias is not None and bool(self.bias.any())


def read_pairs(payload: Mapping, file_name: str) -> dict[int, list[list[Layer]]]:
    """The layers of every width, as {width: [layers of keys, layers of values]}."""
    pairs: dict[int, list[list[Layer]]] = {}
    for key, value in payload.items():
        is_text = isinstance(key, str)
        if is_text and not re.fullmatch(r"[0-9]{1,9}", key):
            continue  # a setting
        if not is_text and type(key) is not int:
            raise ValueError(
                f'"{file_name}" has a key of type {type(key).__name__}; a hypernetwork has widths '
                "and names of settings."
            )
        width = int(key)
        if width in pairs:
            raise ValueError(f'"{file_name}" holds width {width} twice.')
        pairs[width] = [
            read_layers(side, width, f'"{file_name}", width {width}')
            for side in split(value, width, file_name)
        ]
    if not pairs:
        found = ", ".join(str(key)[:40] for key in list(payload)[:5])
        raise ValueError(
            f'"{file_name}" is not a hypernetwork: no attention width among its keys ({found} …).'
        )
    return pairs


def split(value: Any, width: int, file_name: str) -> tuple[Mapping, Mapping]:
    good = isinstance(value, (list, tuple)) and len(value) == 2
    if not good or not all(isinstance(side, Mapping) for side in value):
        raise ValueError(f'"{file_name}": width {width} should hold a pair of state dicts (k, v).')
    return tuple(value)


SLOT = re.compile(
    # the oldest files call slots 0 and 1 linear1 and linear2
    r"linear(?:\.(?P<plain>[0-9]{1,4})|(?P<old>[12])"
    r"|\.(?P<block>[0-9]{1,4})\.(?:linear\.(?P<inner>[0-9]{1,4})|upsample_layer))"
    r"\.(?P<part>weight|bias)"
)


def read_layers(state: Mapping, width: int, where: str) -> list[Layer]:
    """The layers of one state dict, in slot order. Raises ValueError if they form no chain."""
    slots: dict[tuple[int, ...], dict[str, Tensor]] = {}
    for name, tensor in state.items():
        match = SLOT.fullmatch(str(name))
        if not match or not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            raise ValueError(f'{where}: "{str(name)[:80]}" is no layer of a hypernetwork.')
        if match["block"]:  # the skip path of a block comes before its other layers
            slot = (int(match["block"]), int(match["inner"] or -1))
        else:
            slot = (int(match["plain"]) if match["plain"] else int(match["old"]) - 1,)
        slots.setdefault(slot, {})[match["part"]] = tensor
    if len({len(slot) for slot in slots}) > 1:
        raise ValueError(f"{where}: some layers are in blocks with skip connections, others not.")
    layers = [
        recognise(slots[slot], len(slot) > 1, f"{where}: slot {'.'.join(map(str, slot))}")
        for slot in sorted(slots)
    ]
    inputs = [layer.weight.shape[1] for layer in layers if layer.is_linear]
    outputs = [layer.weight.shape[0] for layer in layers if layer.is_linear]
    if not inputs or [*inputs, width] != [width, *outputs]:
        raise ValueError(f"{where}: layers of sizes {inputs} → {outputs} do not form a chain.")
    return layers


def recognise(parts: Mapping[str, Tensor], in_block: bool, where: str) -> Layer:
    weight, bias = parts.get("weight"), parts.get("bias")
    if weight is None:
        raise ValueError(f"{where} has a bias and no weight.")
    if weight.ndim == 2 and (bias is None) <= in_block:
        kind: type[nn.Module] = nn.Linear
    elif weight.ndim == 1 and bias is not None:
        kind = nn.LayerNorm
    elif weight.shape == (1,):
        kind = nn.PReLU
    else:
        beside = "no bias" if bias is None else "a bias"
        raise ValueError(
            f"{where} has a weight of shape {list(weight.shape)} and {beside}: no layer of a "
            "hypernetwork."
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(
            f"{where} has a weight of shape {list(weight.shape)} and a bias of shape "
            f"{list(bias.shape)}, which do not fit."
        )
    return Layer(kind, weight, bias, in_block)


def check_settings(payload: Mapping, file_name: str) -> None:
    faults = []
    for key, (kinds, words) in SETTINGS.items():
        value = payload.get(key)
        if value is None:
            continue
        good = isinstance(value, kinds)
        if good and kinds is NUMBERS:
            good = len(value) <= 100 and all(is_number(entry) for entry in value)
        if good and key == "step":
            good = is_number(value) and float(value).is_integer() and value >= 0
        if not good:
            faults.append(f'"{key}" should be {words}')
    if faults:
        raise ValueError(
            f'"{file_name}" is no hypernetwork as A1111 writes it: {"; ".join(faults)}.'
        )


def is_number(value: Any) -> bool:
    return type(value) in NUMBER and abs(value) < 2**53  # False for NaN and infinity too


def read_spec(payload: Mapping, pairs: Mapping[int, list[list[Layer]]], name: str) -> HypernetSpec:
    """The spec of these layers. What the tensors don't tell comes from the settings.

    Missing settings: `activation_func` means linear. `activate_output` means yes, because the
    output was activated until 26 October 2022; there, a value of None is A1111's no.
    `dropout_structure` is derived from the two flags, as A1111 does.
    """
    every = [layer for sides in pairs.values() for side in sides for layer in side]
    written = tuple(payload.get("layer_structure") or (1, 2, 1))
    structure = read_structure(written, pairs, name)
    dropout = payload.get("dropout_structure") or dropout_from_flags(
        len(structure), bool(payload.get("use_dropout")), bool(payload.get("last_layer_dropout"))
    )
    if len(dropout) != len(structure):
        dropout = (0.0,) * len(structure)  # A1111 never checked it; images don't depend on it
    in_blocks = any(layer.in_block for layer in every)
    if payload.get("skip_connection") not in (*NO, None, False, 0) and not in_blocks:
        raise ValueError(
            f'"{name}" claims skip connections (aria1th\'s extension), but its layers have none.'
        )
    try:
        return HypernetSpec(
            widths=tuple(pairs),
            layer_structure=structure,
            activation=(payload.get("activation_func") or "linear").lower(),
            weight_initialization=payload.get("weight_initialization") or "Normal",
            layer_norm=any(layer.kind is nn.LayerNorm for layer in every),
            dropout_structure=tuple(number(p) for p in dropout),
            activate_output=bool(payload.get("activate_output", True)),
            skip_connection=in_blocks,
            upsample_linear=any(layer.bias is None and layer.weight.ndim == 2 for layer in every),
            bias=payload.get("bias") is not False
            or in_blocks
            or any(layer.has_constant for layer in every),
        )
    except ValueError as fault:
        raise ValueError(f'"{name}": {fault}') from None


def read_structure(
    written: tuple[float, ...], pairs: Mapping[int, list[list[Layer]]], name: str
) -> tuple[float, ...]:
    """The written structure if the layers match it, otherwise one that they do match."""
    chains = {
        (width, tuple(layer.weight.shape[0] for layer in side if layer.is_linear))
        for width, sides in pairs.items()
        for side in sides
    }

    def fits(structure: tuple[float, ...]) -> bool:
        return all(tuple(int(w * f) for f in structure[1:]) == sizes for w, sizes in chains)

    lengths = {len(sizes) for _, sizes in chains}
    if fits(written):
        return tuple(number(f) for f in written)
    if len(lengths) == 1:
        columns = zip(*([(w, size) for size in sizes] for w, sizes in chains), strict=True)
        found = (1, *(shared_factor(column) for column in columns))
        if fits(found):
            return found
    width, sizes = max(chains)
    raise ValueError(
        f'"{name}": no one layer structure gives the layers of all widths, such as '
        f"{list(sizes)[:20]} at {width}; its record says {listed(written)}."
    )


def shared_factor(column: tuple[tuple[int, int], ...]) -> float | int:
    """The shortest factor for which int(width * factor) gives each size, if there is one."""
    least = max(size / width for width, size in column)
    for digits in range(6):
        factor = math.ceil(round(least * 10**digits, 6)) / 10**digits
        if all(int(width * factor) == size for width, size in column):
            return number(factor)
    while any(int(width * least) < size for width, size in column):
        least = math.nextafter(least, math.inf)
    return least


def read_record(payload: Mapping, file_name: str) -> Record:
    checkpoint = payload.get("sd_checkpoint")
    extra = {}
    for key, value in payload.items():
        if isinstance(key, str) and key not in SETTINGS and not key.isdecimal():
            try:
                extra[key] = json_value(value)
            except ValueError:
                continue  # tensors and other objects have no meaning here
    return Record(
        name=payload.get("name") or file_name.rsplit("/", 1)[-1].rsplit(".", 1)[0],
        step=int(payload.get("step") or 0),
        sd_checkpoint=None if checkpoint is None else str(checkpoint),
        sd_checkpoint_name=payload.get("sd_checkpoint_name"),
        optional_info=payload.get("optional_info"),
        extra=extra,
    )


@torch.no_grad()
def fill(mlp: ResidualMlp, layers: list[Layer], where: str) -> None:
    """Copy the file's tensors into a blank MLP. Raises ValueError if the layers don't match."""
    slots = [m for m in mlp.modules() if isinstance(m, (nn.Linear, nn.LayerNorm, nn.PReLU))]
    found = [(layer.kind.__name__, list(layer.weight.shape)) for layer in layers]
    wanted = [(type(slot).__name__, list(slot.weight.shape)) for slot in slots]
    if found != wanted:
        raise ValueError(
            f"{where}: its layers are {as_words(found)}; its record asks for {as_words(wanted)}."
        )
    for slot, layer in zip(slots, layers, strict=True):
        slot.weight.copy_(layer.weight)
        if layer.bias is not None and slot.bias is not None:
            slot.get_parameter("bias").copy_(layer.bias)
        if not all(is_finite(parameter) for parameter in slot.parameters()):
            raise ValueError(f"{where}: {type(slot).__name__} holds NaN or infinite numbers.")


def as_words(layers: list[tuple[str, list[int]]]) -> str:
    words = [f"{kind} {'×'.join(map(str, shape))}" for kind, shape in layers[:12]]
    return ", ".join([*words, "…"] if len(layers) > 12 else words)
