"""Finds out what lies under a name: a run's folder, a network's file, both or nothing.

    free        nothing of value
    file        a network's file, but not of a run that is there
    finished    a finished run and its network
    lost        a finished run whose network is gone
    unfinished  a run with a state to resume from
    leftovers   files of a run, but no state to resume from
    damaged     a run whose manifest can no longer be read

`standing_of` is quick and reads nothing large. `finished_fault` also checks the network's file.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..formats.hns import Network
from ..formats.networks import SUFFIXES, open_network
from ..formats.optim_file import file_hash
from ..text.file_names import check_path
from .history import LOG, logged
from .manifest import read_manifest
from .request import Request, request_in
from .snapshots import holds_snapshots
from .state import State, is_unfinished, newest_state

MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What lies under a name, such as "styles/ink".

    file: the network, if it is there. done: how many updates, as far as is known.
    """

    name: str
    kind: str
    folder: Path
    file: Path | None = None
    request: Request | None = None
    asked: str = ""  # the name as the user typed it; `name` may have a number added
    done: int = 0
    ended: float = 0.0  # seconds since 1970
    manifest: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""

    @property
    def is_free(self) -> bool:
        return self.kind == "free"


def standing_of(name: str, runs: Path, networks: Sequence[Path]) -> Standing:
    """What lies under this name in the folder of runs and the folders of networks."""
    folder = runs / name
    there = {"name": name, "folder": folder, "asked": name}
    file = network_in([name + suffix for suffix in SUFFIXES], networks)
    if not (folder / MANIFEST).exists() and not is_unfinished(folder):
        if holds_files(folder):
            return Standing(kind="leftovers", file=file, **there)
        return Standing(kind="file" if file else "free", file=file, **there)
    manifest = read_manifest(folder)
    try:
        request = request_in(manifest)
        finished = finished_in(manifest)
    except ValueError as fault:
        if manifest.keys().isdisjoint(("request", "seconds")) and (
            manifest or not (folder / MANIFEST).exists()
        ):  # an unfinished run of an early version, or without manifest; its state is enough
            return Standing(kind="unfinished", file=file, done=updates(folder), **there)
        return Standing(kind="damaged", file=file, fault=f"{fault} ({folder})", **there)
    there |= {
        "request": request,
        "manifest": manifest,
        "asked": str(manifest.get("asked", name)),
        "done": int(finished.get("step", 0)) or updates(folder),
        "ended": float(finished.get("at", 0)) or (folder / MANIFEST).stat().st_mtime,
    }
    if "seconds" not in manifest and not (file and is_by(folder, file)):
        if is_unfinished(folder):
            return Standing(kind="unfinished", file=file, **there)
        kind = "leftovers" if holds_networks(folder) else "file" if file else "free"
        return Standing(kind=kind, file=file, **there)
    written = network_in([finished["file"]], networks) if "file" in finished else file
    return Standing(kind="finished" if written else "lost", file=written, **there)


def finished_in(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """{"file", "sha256", "step", "at"} of a finished run; {} if an earlier version made it.

    Raises ValueError if the entry is damaged.
    """
    found = manifest.get("finished", {})
    kinds = {"file": str, "sha256": str, "step": int, "at": (int, float)}
    if not isinstance(found, Mapping) or (
        found and not all(isinstance(found.get(name), kind) for name, kind in kinds.items())
    ):
        raise ValueError("manifest.json is damaged, or was edited")
    if found:
        check_path(found["file"])
    return found


def finished_entry(file: Path, networks: Path, step: int) -> dict[str, Any]:
    """The manifest's entry for a run that has finished with its network in this file."""
    return {
        "file": file.relative_to(networks).as_posix(),
        "sha256": file_hash(file),
        "step": step,
        "at": round(time.time(), 3),
    }


def network_in(names: Sequence[str], networks: Sequence[Path]) -> Path | None:
    """The first of these files that is in one of the folders."""
    files = (folder / name for folder in networks for name in names)
    return next((file for file in files if file.is_file()), None)


def holds_networks(folder: Path) -> bool:
    return any(file.suffix in SUFFIXES for file in folder.glob("*.*"))


def holds_files(folder: Path) -> bool:
    """Does the folder hold visible files, previews, or snapshots of averages?"""
    if not folder.is_dir():
        return False
    found = [*folder.iterdir(), *(folder / "previews").glob("*.png")]
    return holds_snapshots(folder) or any(
        each.is_file() and not each.name.startswith(".") for each in found
    )


def updates(folder: Path) -> int:
    """The last update in the run's log; 0 if there is none."""
    return max((step for step, _, _ in logged(folder / LOG)), default=0)


def numbered(asked: str, runs: Path, networks: Sequence[Path]) -> list[str]:
    """The name itself, and its numbered forms that exist: my_style, my_style_2, …"""
    stem = Path(asked).name
    pattern = re.compile(re.escape(stem) + r"_([1-9][0-9]{0,5})(\.pt|\.safetensors)?")
    numbers = {
        int(match[1])
        for folder in (runs, *networks)
        if (folder / asked).parent.is_dir()
        for each in (folder / asked).parent.iterdir()
        if (match := pattern.fullmatch(each.name))
    }
    return [asked, *(f"{asked}_{number}" for number in sorted(numbers - {1}))]


def free_name(asked: str, taken: set[str], runs: Path, networks: Sequence[Path]) -> str:
    """The name itself if it is free, or else with the first number that makes it free."""
    name, number = asked, 1
    while name in taken or not standing_of(name, runs, networks).is_free:
        number += 1
        name = f"{asked}_{number}"
    return name


def finished_fault(standing: Standing) -> str:
    """Why the file of a finished run is not the network that the run wrote; "" if it is."""
    file, folder = standing.file, standing.folder
    assert file is not None
    try:
        told = finished_in(standing.manifest).get("sha256")
        fits = file_hash(file) == told if told else is_by(folder, file)
    except OSError as fault:
        return f'"{file.name}" cannot be read: {fault.strerror or fault}'
    return "" if fits else f'"{file}" is not the network that the run in {folder} wrote'


def is_by(folder: Path, file: Path) -> bool:
    """Does the file have the weights of the run's newest state?"""
    try:
        state, _ = newest_state(folder)
        network = open_network(file)
        return state is not None and is_result(state, network)
    except (AttributeError, OSError, ValueError):
        return False


def is_result(state: State, network: Network) -> bool:
    """Is this the network that a run in this state gives? It gives the average, if it has one."""
    weights = state.optimizer.get("average") or state.weights
    told, found = list(weights.values()), list(network.state_dict().values())
    return (
        state.step == network.record.step
        and len(told) == len(found)
        and all(torch.equal(a.float(), b.float()) for a, b in zip(told, found, strict=True))
    )
