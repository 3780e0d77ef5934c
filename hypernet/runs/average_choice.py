"""Chooses the width of the average on the probe, after training, and finds the choice again.

The probe measures averages of several widths. The one with the lowest loss is the run's choice,
which is written into manifest.json:

    "averages": {"width": 0.08, "losses": {"0.03": 0.1234, …}, "without": 0.1250}

without: the loss of the network that the run saves, which stays what it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..network.power_averages import MOST_WIDTH
from ..network.vocabulary import nearest
from ..text.file_names import check_path
from ..training.diffusion import Denoiser
from ..training.learner import Learner
from ..training.probe import Probe
from ..training.train import measured
from .manifest import read_manifest
from .snapshots import ROUGH, Rebuilt, Snapshot, rebuild, runs_with_snapshots, snapshots_in

CANDIDATES = (0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.15)
ENTRY = "averages"  # of the manifest


@dataclass(frozen=True, kw_only=True)
class AverageChoice:
    """losses: of the probe, by relative width. without: of the network that the run saves."""

    losses: Mapping[float, float]
    without: float

    @property
    def width(self) -> float:
        """Of the lowest loss."""
        return min(self.losses, key=self.losses.__getitem__)

    @property
    def about(self) -> str:
        curve = ", ".join(f"{width:g}: {loss:.4g}" for width, loss in self.losses.items())
        return (
            f"The probe's loss by the width of the average is {curve}; without an average it is "
            f"{self.without:.4g}. The best width is {self.width:g}: Average Hypernet makes it."
        )

    @property
    def entry(self) -> dict[str, Any]:
        losses = {f"{width:g}": round(loss, 6) for width, loss in self.losses.items()}
        return {"width": self.width, "losses": losses, "without": round(self.without, 6)}


def choose_average(
    snapshots: Sequence[Snapshot], learner: Learner, denoiser: Denoiser, probe: Probe
) -> AverageChoice:
    """Measure the averages that the snapshots give without being rough."""
    losses = {}
    for width in CANDIDATES:
        rebuilt = rebuild(snapshots, width)
        if rebuilt.misfit <= ROUGH:
            network = rebuilt.network.to(denoiser.device)
            losses[width] = measured(learner, denoiser, probe, network).loss
    without = measured(learner, denoiser, probe, learner.result).loss
    return AverageChoice(losses=losses, without=without)


def make_average(folder: Path, width: float, name: str = "") -> Rebuilt:
    """The average of a run. width: relative; 0 for the one that the run chose.

    Raises ValueError, quoting the run, if it has no snapshots or no choice.
    """
    return rebuild(snapshots_in(folder), width or chosen_width(folder), name)


def find_run(name: str, runs: Path) -> Path:
    """The folder of a run. Raises ValueError, with the nearest name, if there is none."""
    folder = runs / check_path(name)
    if folder.is_dir():
        return folder
    if known := runs_with_snapshots(runs):
        raise ValueError(f'There is no run "{name}" in {runs}. Nearest: {nearest(name, known)}.')
    raise ValueError(
        f'There is no run "{name}" in {runs}, nor any with averages. Train Hypernet keeps them '
        "with averages above 0, such as 8."
    )


def chosen_width(folder: Path) -> float:
    """Raises ValueError, quoting the run, if it has chosen none."""
    entry = read_manifest(folder).get(ENTRY)
    width = entry.get("width") if isinstance(entry, Mapping) else None
    if isinstance(width, float) and 0 < width <= MOST_WIDTH:
        return width
    raise ValueError(
        f'The run "{folder.name}" has chosen no width: it has not ended, or its probe was off. '
        "Give a width, such as 0.1."
    )
