"""The entries of the book: what the folder of runs tells of each run, as plain data.

Listing hundreds of runs must be quick. So of a run's log only the end is read: the smoothed loss
forgets what is older (0.98⁵⁰⁰ = 4·10⁻⁵).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...formats.networks import SUFFIXES
from ...network.vocabulary import nearest
from ...text.file_names import check_path
from ...text.links import files_below
from ...training.health import DECAY, smooth
from ..downsampling import rounded
from ..history import LOG, RunHistory, logged
from ..manifest import MANIFEST, read_manifest
from ..preview_files import previewed_steps
from ..seen import SEEN, seen_lines
from ..standing import finished_in, network_in

ENDS = ("finished", "interrupted", "failed")
END_OF_LOG = 16 * 2**10  # bytes, about 500 updates


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A run. None and "" stand for what its folder does not tell.

    state: "finished", "interrupted", "failed", "unfinished" (killed, or still being trained) or
    "damaged" (its manifest cannot be read). network: the finished file, relative to the networks'
    folder; "" also if it is gone. preview: the step of the last one.
    """

    name: str
    state: str
    why: str
    step: int
    steps: int | None
    loss: float | None
    smoothed: float | None
    probe: float | None
    seconds: float | None
    changed: float  # seconds since 1970
    network: str
    preview: int | None
    model: str
    learning_rate: str
    pictures: int | None

    def as_data(self) -> dict[str, Any]:
        return asdict(self)


def run_names(runs: Path) -> list[str]:
    """The names of the runs in a folder, such as "styles/ink", sorted."""
    ending = f"/{MANIFEST}"
    return [name.removesuffix(ending) for name in files_below(runs, [ending[1:]]) if ending in name]


def list_entries(runs: Path, networks: Sequence[Path], most: int = 500) -> list[Entry]:
    """The runs in a folder, the newest first; [] if the folder does not exist."""
    found = [read_entry(runs / name, networks, name) for name in run_names(runs)]
    return sorted(found, key=lambda entry: -entry.changed)[:most]


def read_entry(folder: Path, networks: Sequence[Path], name: str = "") -> Entry:
    """What a run's folder tells. name: the run's, if the folder lies in other folders."""
    name, manifest = name or folder.name, read_manifest(folder)
    settings = manifest.get("settings")
    settings = settings if isinstance(settings, Mapping) else {}
    (step, loss, smoothed), history = losses_at_end(folder), events_of(folder)
    state = history.ended if history.ended in ENDS else ""
    drawn = previewed_steps(folder, folder.name)
    return Entry(
        name=name,
        state=(state or unended(manifest)) if settings else "damaged",
        why=history.why,
        step=step,
        steps=of_kind(int, settings.get("steps")),
        loss=loss,
        smoothed=smoothed,
        probe=rounded(history.probe.last) if history.probe.buckets else None,
        seconds=of_kind((int, float), manifest.get("seconds")),
        changed=last_change(folder),
        network=finished_file(name, manifest, networks),
        preview=drawn[-1] if drawn else None,
        model=of_kind(str, manifest.get("model")) or "",
        learning_rate=of_kind(str, settings.get("learning_rate")) or "",
        pictures=of_kind(int, manifest.get("pictures")),
    )


def unended(manifest: Mapping[str, Any]) -> str:
    """The state of a run that tells no end: early versions did not."""
    return "finished" if "seconds" in manifest else "unfinished"


def losses_at_end(folder: Path) -> tuple[int, float | None, float | None]:
    """(the last step in the log, its loss, the smoothed one); None if there is none."""
    step, total, counted, last = 0, 0.0, 0, None
    for number, loss, _ in logged(folder / LOG, END_OF_LOG):
        step = number
        if math.isfinite(loss):
            total, counted, last = total * DECAY + loss, counted + 1, loss
    return step, last, rounded(smooth(total, counted)) if counted else None


def events_of(folder: Path) -> RunHistory:
    """A history without its curves, but for the probe's."""
    history = RunHistory()
    for step, seen in seen_lines(folder / SEEN):
        try:
            history.see(step, **seen)
        except (TypeError, ValueError):  # somebody has edited the line
            continue
    return history


def finished_file(name: str, manifest: Mapping[str, Any], networks: Sequence[Path]) -> str:
    """The finished network relative to its folder; "" if the run has none, or it is gone."""
    if "seconds" not in manifest:
        return ""
    try:
        told = finished_in(manifest).get("file")
    except ValueError:
        return ""
    names = [told] if told else [name + suffix for suffix in SUFFIXES]
    file = network_in(names, networks)
    return next((each for each in names if file and file.as_posix().endswith(f"/{each}")), "")


def last_change(folder: Path) -> float:
    times = []
    for name in (MANIFEST, LOG, SEEN):
        try:
            times.append((folder / name).stat().st_mtime)
        except OSError:
            continue
    return max(times, default=0.0)


def of_kind(kind: Any, value: Any) -> Any:
    """The value if it is of this kind: manifests can be edited by hand."""
    return value if isinstance(value, kind) and not isinstance(value, bool) else None


def find_entry(name: str, runs: Path) -> Path:
    """The folder of a run. Raises ValueError, quoting the name, with the nearest that exists."""
    folder = runs / check_path(name)
    if (folder / MANIFEST).is_file():
        return folder
    if known := run_names(runs):
        raise ValueError(f'There is no run "{name}" in {runs}. Nearest: {nearest(name, known)}.')
    raise ValueError(f'There is no run "{name}" in {runs}, nor any other.')
