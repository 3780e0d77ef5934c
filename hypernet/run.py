"""A run on disk: everything needed to go on after a crash, an interrupt or another day.

    <run folder>/
      manifest.json     settings, spec, dataset: what this run is
      loss.csv          step, epoch, epoch_step, loss, learn_rate, one line per update
      state.pt          the newest weights and optimizer, replaced in one step
      <name>-<n>.pt     the network after exactly n updates

Resuming needs the step number, the weights and the optimizer, because chance is counted.
"""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import torch

from .files import read_payload, save_network, write_whole
from .network import Hypernetwork
from .spec import HypernetSpec
from .train import Step, TrainSettings

COLUMNS = ("step", "epoch", "epoch_step", "loss", "learn_rate")


class Run:
    """One training run in one folder."""

    def __init__(self, folder: Path, name: str, pictures: int, settings: TrainSettings):
        self.folder = folder
        self.name = name
        self.pictures = pictures
        self.settings = settings
        self._unwritten: list[Step] = []

    @property
    def state_file(self) -> Path:
        return self.folder / "state.pt"

    def describe(self, manifest: dict) -> None:
        """Write manifest.json: at the beginning, and again with the time taken at the end."""
        text = json.dumps(manifest, indent=2, ensure_ascii=False, default=str)
        write_whole(self.folder / "manifest.json", lambda file: file.write(text.encode()))

    def note(self, step: Step) -> None:
        """Remember a step for the loss log; flush() writes it."""
        self._unwritten.append(step)

    def flush(self) -> None:
        path = self.folder / "loss.csv"
        fresh = not path.exists()
        per_epoch = max(1, self.pictures // (self.settings.batch_size * self.settings.accumulation))
        with open(path, "a", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            if fresh:
                table.writerow(COLUMNS)
            for step in self._unwritten:
                epoch, epoch_step = divmod(step.done - 1, per_epoch)
                row = (step.done, epoch, epoch_step, f"{step.loss:.7f}", f"{step.rate:g}")
                table.writerow(row)
        self._unwritten.clear()

    def save_state(self, network: Hypernetwork, optimizer: torch.optim.Optimizer) -> None:
        """Weights, optimizer and step in one file, so that they always belong together."""
        state = {
            "step": network.record.step,
            "spec": json.dumps(asdict(network.spec)),
            "weights": {key: value.cpu() for key, value in network.state_dict().items()},
            "optimizer": optimizer.state_dict(),
        }
        self.flush()
        write_whole(self.state_file, lambda file: torch.save(state, file))

    def save_checkpoint(self, network: Hypernetwork) -> Path:
        """`<name>-<n>.pt`. The same steps of the same run give the same file: safe to replace."""
        path = self.folder / f"{self.name}-{network.record.step}.pt"
        return save_network(network, path, overwrite=True)

    def restore(self, network: Hypernetwork, optimizer: torch.optim.Optimizer) -> int:
        """Put the newest state into both; the number of updates done, 0 if there is none.

        Raises ValueError when the run in this folder is of another network.
        """
        if not self.state_file.exists():
            return 0
        state = read_payload(self.state_file)
        spec = json.loads(json.dumps(asdict(network.spec)))
        stored = json.loads(state["spec"])
        if stored != spec:
            differences = ", ".join(
                f"{key} {stored.get(key)} (now {spec[key]})"
                for key in spec
                if stored.get(key) != spec[key]
            )
            raise ValueError(
                f'The unfinished run "{self.name}" in {self.folder} trains another network: '
                f"{differences}. Choose another name, use the same network, or turn resume off "
                "after moving that folder away."
            )
        with torch.inference_mode(False):
            network.load_state_dict(state["weights"])
            optimizer.load_state_dict(state["optimizer"])
        network.record.step = state["step"]
        self._forget_after(state["step"])
        return state["step"]

    def _forget_after(self, step: int) -> None:
        """Drop loss lines of updates that were lost with the process; they will be made again."""
        path = self.folder / "loss.csv"
        if not path.exists():
            return
        head, *lines = path.read_text("utf-8").splitlines()
        kept = [line for line in lines if line and int(line.split(",")[0]) <= step]
        text = "\n".join([head, *kept]) + "\n"
        write_whole(path, lambda file: file.write(text.encode()))

    def losses(self) -> list[float]:
        """All losses since the first update."""
        self.flush()
        with open(self.folder / "loss.csv", encoding="utf-8") as file:
            return [float(row["loss"]) for row in csv.DictReader(file)]


def check_disk(folder: Path, spec: HypernetSpec, settings: TrainSettings) -> None:
    """Raise OSError, with the numbers, if the run will not fit on the disk."""
    checkpoints = settings.steps // settings.save_every if settings.save_every else 0
    files = checkpoints + 2  # the network itself, and one at an interrupt
    needed = spec.file_bytes * files + 2 * 3 * spec.file_bytes  # old and new state: weights + AdamW
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise OSError(
            f"The run needs {in_words(needed)} in {folder} ({files} files of "
            f"{in_words(spec.file_bytes)} and the state to resume from), but only "
            f"{in_words(free)} are free. Save less often, use a smaller structure, or make room."
        )


def in_words(size: float) -> str:
    """ "83.7 MiB" from bytes."""
    units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{size:.0f} bytes" if units[0] == "bytes" else f"{size:.1f} {units[0]}"
