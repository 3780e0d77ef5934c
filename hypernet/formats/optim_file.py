"""A1111's `.optim` files: the optimizer's state, stored beside a network and tied to it by a hash.

    <name>.pt.optim     {"optimizer_name", "hash": sha256(<name>.pt)[:10], "optimizer_state_dict"}

The state numbers the parameters in the order of the widths in the `.pt`, keys before values. A1111
writes 768 first by default, while ours are sorted. A state whose hash doesn't match the file beside
it belongs to another network and is ignored.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..atomic_files import write_whole
from ..network.hypernetwork import Hypernetwork
from .networks import read_payload


def optimizer_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.optim")


def short_hash(path: Path) -> str:
    """The first ten digits of a file's sha256; A1111 identifies files by them."""
    return file_hash(path)[:10]


def file_hash(path: Path) -> str:
    """A file's sha256."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def save_optimizer(path: Path, name: str, state: Mapping[str, Any]) -> Path:
    """Write an optimizer's state_dict beside the network file `path`, which must already exist.

    name: torch's name, such as "AdamW". An older state beside the file is replaced.
    """
    content = {"optimizer_name": name, "hash": short_hash(path), "optimizer_state_dict": state}
    target = optimizer_file(path)
    write_whole(target, lambda file: torch.save(on_cpu(content), file))
    return target


def open_optimizer(path: Path, network: Hypernetwork) -> tuple[str, dict[str, Any]] | None:
    """(name, state_dict) for network.parameters(), or None if no state belongs to `path`.

    network: the result of open_network(path). Raises ValueError naming the file if the state is
    damaged or its shapes don't match the network.
    """
    beside = optimizer_file(path)
    if not beside.is_file():
        return None
    content = read_payload(beside)
    if not isinstance(content, Mapping) or content.get("hash") != short_hash(path):
        return None
    state = content.get("optimizer_state_dict")
    if state is None:
        return None
    order = parameter_order(path, network)
    check_state(state, order, network, beside.name)
    numbers = {old: new for new, old in enumerate(order)}
    renumbered = {
        "state": {numbers[old]: dict(entry) for old, entry in state["state"].items()},
        "param_groups": [
            {**group, "params": sorted(numbers[old] for old in group["params"])}
            for group in state["param_groups"]
        ],
    }
    return str(content.get("optimizer_name") or "AdamW"), renumbered


def parameter_order(path: Path, network: Hypernetwork) -> list[int]:
    """For each parameter of the network, its number in the file."""
    widths = [int(key) for key in read_payload(path) if str(key).isdecimal()]
    counts = {w: len(list(network.pairs[str(w)].parameters())) for w in network.spec.widths}
    first, total = {}, 0
    for width in widths:
        first[width] = total
        total += counts[width]
    return [first[w] + i for w in network.spec.widths for i in range(counts[w])]


def check_state(state: Any, order: list[int], network: Hypernetwork, file_name: str) -> None:
    """Raises ValueError unless every tensor is a scalar or has the shape of its parameter."""
    fault = f'"{file_name}" is no optimizer state of its network'
    shapes = {old: p.shape for old, p in zip(order, network.parameters(), strict=True)}
    if not isinstance(state, Mapping) or not isinstance(state.get("state"), Mapping):
        raise ValueError(f"{fault}: it is not what a torch optimizer saves.")
    groups = state.get("param_groups")
    counted = []
    if isinstance(groups, list) and all(
        isinstance(group, Mapping) and isinstance(group.get("params"), list) for group in groups
    ):
        counted = [number for group in groups for number in group["params"]]
    if sorted(map(repr, counted)) != sorted(map(repr, shapes)):
        raise ValueError(f"{fault}: it is of {len(counted)} parameters, not {len(shapes)}.")
    for number, entry in state["state"].items():
        if number not in shapes or not isinstance(entry, Mapping):
            raise ValueError(f"{fault}: it speaks of a parameter {str(number)[:20]}.")
        for name, value in entry.items():
            if isinstance(value, torch.Tensor):
                if value.ndim and value.shape != shapes[number]:
                    raise ValueError(
                        f"{fault}: {str(name)[:40]} of parameter {number} has shape "
                        f"{list(value.shape)}, not {list(shapes[number])}."
                    )
                if not bool(torch.isfinite(value).all()):
                    raise ValueError(f"{fault}: {str(name)[:40]} holds NaN or infinite numbers.")


def on_cpu(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, Mapping):
        return {key: on_cpu(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(on_cpu(entry) for entry in value)
    return copy.copy(value)
