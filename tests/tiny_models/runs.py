"""Runs of a few updates on the disk, as a training leaves them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from hypernet import HypernetSpec, Hypernetwork
from hypernet.network.hypernetwork import Record
from hypernet.runs.run import Run
from hypernet.training.train import Step, TrainSettings


def make_run(
    runs: Path,
    name: str,
    *,
    done: int = 4,
    loss: float = 0.5,
    checkpoints: tuple[int, ...] = (2, 4),
    ended: str = "finished",
    prompt: str = "a fox",
    notes: tuple[str, ...] = (),
    workflow: str = "",
    spec: HypernetSpec | None = None,
    **settings,
) -> Path:
    """A run's folder: its log, checkpoints, a preview after each, and how it ended."""
    folder = runs / name
    spec = spec or HypernetSpec(widths=(16,))
    run = Run(folder, folder.name, 10, TrainSettings(**{"steps": 4} | settings))
    told = {"name": name, "model": "tiny-sd", "spec": asdict(spec), "dataset": {"folder": "foxes"}}
    for step in range(1, done + 1):
        run.note(Step(step, loss, 1e-3, probe=loss / 2 if step % 2 == 0 else None))
        if step in checkpoints:
            run.save_checkpoint(Hypernetwork(spec, Record(name=folder.name, step=step)))
            words = {"hypernet": json.dumps({"prompt": prompt}), "workflow": workflow}
            run.save_preview(np.full((8, 8, 3), 20 * step, np.uint8), step, words)
    for note in notes:
        run.remember(done, note=note)
    if ended:
        run.remember(done, ended=ended, why="no memory" if ended == "failed" else "")
    run.flush()
    run.describe(told | ({"seconds": 61.0} if ended == "finished" else {}))
    return folder
