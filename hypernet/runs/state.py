"""Saves and reads the state that a run resumes from: step, weights and optimizer in one file.

    state.pt          the newest state
    state-before.pt   the one before, in case state.pt cannot be read
    state-next.pt     exists only between two renames; whole, and newer than both

torch's weights-only reader ignores the checksums in the file, and would accept a file with damaged
numbers. So they are checked here.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..atomic_files import settle, write_whole
from ..formats.networks import read_payload
from ..formats.optim_file import on_cpu
from ..network.hypernetwork import Hypernetwork, load_weights
from ..network.spec import HypernetSpec, listed

NEXT, NEWEST, BEFORE = "state-next.pt", "state.pt", "state-before.pt"

# Settings of a parameter group that users choose. The rate is not among them, because training
# sets it before every update. All else in a group, such as Prodigy's d, was learnt.
CHOSEN = ("weight_decay", "betas", "eps", "momentum")

# Fields of the spec that may change when a run resumes: they only affect how weights begin or are
# trained, not their shapes.
FREE = ("seed", "weight_initialization", "dropout_structure")


@dataclass(frozen=True, kw_only=True)
class State:
    """A run after `step` updates."""

    step: int
    spec: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]  # its state_dict
    settings: Mapping[str, Any] = field(default_factory=dict)
    written: Mapping[str, list[int]] = field(default_factory=dict)  # see Run.written


def state_of(
    network: Hypernetwork,
    optimizer: Any,
    settings: Mapping[str, Any],
    written: Mapping[str, list[int]],
) -> State:
    """The state of a run, copied to RAM. optimizer: any object with state_dict()."""
    return State(
        step=network.record.step,
        spec=through_json(asdict(network.spec)),
        weights=on_cpu(network.state_dict()),
        optimizer=on_cpu(optimizer.state_dict()),
        settings=through_json(settings),
        written=dict(written),
    )


def save_state(folder: Path, state: State) -> None:
    """Write the state. At every moment the folder holds a whole state, if it held one before."""
    content = vars(state) | {
        name: json.dumps(getattr(state, name)) for name in ("spec", "settings", "written")
    }
    write_whole(folder / NEXT, lambda file: torch.save(content, file))
    if (folder / NEWEST).exists():
        os.replace(folder / NEWEST, folder / BEFORE)
    os.replace(folder / NEXT, folder / NEWEST)
    settle(folder)


def is_unfinished(folder: Path) -> bool:
    return any((folder / name).exists() for name in (NEXT, NEWEST, BEFORE))


def bytes_of_states(folder: Path) -> int:
    """The bytes that the states in the folder take on the disk."""
    paths = [folder / name for name in (NEXT, NEWEST, BEFORE)]
    return sum(path.stat().st_size for path in paths if path.exists())


def newest_state(folder: Path) -> tuple[State | None, str]:
    """(the newest whole state, a message on files that are damaged).

    (None, "") if there are no files. Raises ValueError when all files are damaged.
    """
    faults = []
    for name in (NEXT, NEWEST, BEFORE):
        if not (folder / name).exists():
            continue
        try:
            found = read_state(folder / name)
        except (OSError, ValueError) as fault:
            faults.append(str(fault))
            continue
        if faults:
            faults.append(f"Going on from {name} instead, after step {found.step}.")
        return found, " ".join(faults)
    if faults:
        raise ValueError(
            f"The run in {folder} cannot be resumed. {' '.join(faults)} Copy its newest "
            "checkpoint into models/hypernetworks and continue from that."
        )
    return None, ""


def read_state(path: Path) -> State:
    """Read and check a state. Raises OSError, or ValueError naming the file if it is damaged."""
    content = read_payload(path)
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except zipfile.BadZipFile as fault:  # torch's format before 2020, which has no checksums
        raise not_a_state(path, fault) from fault
    if damaged:
        raise ValueError(f'"{path}" is damaged: {damaged} in it is not what was written.')
    try:
        entries = dict(content)
        texts = {
            name: json.loads(entries[name])
            for name in ("spec", "settings", "written")
            if name in entries
        }
        return State(**entries | texts)
    except (KeyError, TypeError, ValueError) as fault:
        raise not_a_state(path, fault) from fault


def not_a_state(path: Path, fault: Exception) -> ValueError:
    return ValueError(f'"{path}" is not the state of a run: {fault}.')


def check_same_network(state: State, spec: HypernetSpec, what: str) -> None:
    """Raises ValueError, with the differences, if the state's network has another shape.

    what: whose state it is, such as 'The unfinished run "style" in …'.
    """
    differences = spec_differences(SHAPE | dict(state.spec), through_json(asdict(spec)))
    if differences:
        raise ValueError(
            f"{what} trains another network: {differences}. To go on with it, use the same network "
            "in Hypernet Config."
        )


def spec_differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """ "layer_structure 1, 2, 1 (now 1, 3, 1)"; "" if the weights of one fit the other."""
    return "; ".join(
        f"{key} {in_text(was.get(key))} (now {in_text(now[key])})"
        for key in now
        if key not in FREE and was.get(key) != now[key]
    )


def in_text(value: Any) -> str:
    """ "1, 2, 1" for factors; "image 3072, joint 3072" for places; "none" for an empty list."""
    if not isinstance(value, list):
        return str(value)
    if value and isinstance(value[0], list):
        return ", ".join(" ".join(map(str, each)) for each in value)
    return listed(value) or "none"


def load_state(state: State, network: Hypernetwork, optimizer: Any) -> None:
    """Restore network and optimizer from the state. Raises ValueError if it does not fit them."""
    with torch.inference_mode(False):
        try:
            load_weights(network, state.weights)
        except (RuntimeError, ValueError) as fault:
            raise does_not_fit(network, fault) from fault
        network.record.step = state.step
        load_optimizer(optimizer, state.optimizer)


def load_optimizer(optimizer: Any, state: Mapping[str, Any]) -> None:
    """Restore the optimizer from its state, but keep the settings that the user chose now.

    Raises ValueError when the state belongs to other parameters.
    """
    groups = getattr(optimizer, "param_groups", [])
    chosen = [{key: group[key] for key in CHOSEN if key in group} for group in groups]
    try:
        optimizer.load_state_dict(state)
    except (KeyError, ValueError) as fault:
        raise does_not_fit(optimizer, fault) from fault
    for group, kept in zip(getattr(optimizer, "param_groups", []), chosen, strict=True):
        group.update(kept)


def does_not_fit(what: Any, fault: Exception) -> ValueError:
    return ValueError(f"The saved state does not fit this {type(what).__name__}: {fault}.")


def through_json(value: Any) -> Any:
    """The value after a round trip through JSON; tuples become lists."""
    return json.loads(json.dumps(value, default=str))


SHAPE = through_json(asdict(HypernetSpec()))  # defaults for spec fields that older runs lack


def bytes_in(value: Any) -> int:
    """The bytes of all tensors in nested dicts and lists."""
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, Mapping):
        return sum(map(bytes_in, value.values()))
    return sum(map(bytes_in, value)) if isinstance(value, (list, tuple)) else 0
