"""A run's folder on the disk: everything that is needed to resume after a crash or interrupt.

    <run folder>/
      manifest.json         settings, spec, dataset, model, versions: what this run is
      loss.csv              A1111's columns, one line per update
      seen.jsonl            events (seen.py): probes, notes, how the run ended
      state.pt, state-before.pt     what resuming reads (state.py)
      <name>-<n>.pt         the network after exactly n updates
      <name>-<n>.pt.optim   its optimizer's state, if asked for
      <name>-best.pt        the network with the best score so far
                            (of a transformer's network these end in .safetensors)
      averages/             snapshots of averages, if asked for (snapshots.py)
      previews/             pictures with their prompt, seed and step inside (preview_files.py)
      tensorboard/          if asked for

Resuming needs only the step, the weights and the optimizer, because all random numbers follow from
seed and step. Files are replaced whole, except the log, which grows; resuming cuts it back to the
state's step. A full disk does not end training: saving raises DiskFull, and earlier files stay.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..atomic_files import remove_passing, write_whole
from ..disk_space import NO_ROOM, SPARE, DiskFull, as_size, free_bytes, no_room
from ..formats.networks import SUFFIXES, open_network, save_network, suffix_for
from ..formats.optim_file import optimizer_file, save_optimizer
from ..network.hypernetwork import Hypernetwork
from ..training.learner import Learner
from ..training.train import Step, TrainSettings
from .history import LOG
from .manifest import changed_settings, read_manifest, versions
from .preview_files import preview_file, write_picture
from .seen import SEEN, forget_seen_after, seen_line
from .snapshots import NUMBERS, forget_snapshots_after, is_due, save_snapshots
from .state import State, bytes_in, load_state, save_state, state_of, through_json
from .tensorboard import Board, NoBoard, summary_writer

COLUMNS = ("step", "epoch", "epoch_step", "loss", "learn_rate")
FLUSH_EVERY = 100  # updates between writes of the log; saving a state writes it, too
SCORE = "hypernet_score"  # the score's key in the best network's record


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """Which files a run keeps. keep_last: how many numbered checkpoints; 0 keeps all.

    Raises ValueError for a negative number, or if TensorBoard is wanted but not installed.
    """

    keep_last: int = 0
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if self.keep_last < 0:
            raise ValueError(f"keep_last {self.keep_last}: give 0 (all of them) or more.")
        if self.tensorboard:
            summary_writer()


class Run:
    """One run and its folder. pictures: how many pictures a pass shows."""

    def __init__(
        self,
        folder: Path,
        name: str,
        pictures: int,
        settings: TrainSettings,
        keeping: Keeping | None = None,
    ):
        self.folder = folder
        self.name = name
        self.pictures = pictures
        self.settings = settings
        self.keeping = keeping or Keeping()
        self.saved_step = -1  # of the newest state
        self.written: dict[str, list[int]] = {}  # our checkpoints: name -> mark(file)
        self._history: list[dict] = []
        self._unwritten: list[Step] = []
        self._noted = 0  # the last step noted
        self._board = NoBoard()
        remove_passing(folder)
        self._best = self._best_so_far()

    def begin(
        self, network: Hypernetwork, optimizer: Any, state: State | None = None, start: int = 0
    ) -> list[str]:
        """Begin after `start` updates, or resume from a state. Returns sentences on what changed.

        network and optimizer are restored from the state. Raises ValueError when they do not fit.
        """
        words, changes = [], {}
        if state is not None:
            load_state(state, network, optimizer)
            start, self.saved_step = state.step, state.step
            self.written = dict(state.written)
            changes = changed_settings(state.settings, through_json(asdict(self.settings)))
            words = [f"{key} was {was}, is now {now}." for key, (was, now) in changes.items()]
        self._forget_after(start)
        self._remove_old()  # a killed process may have left one checkpoint too many
        self._noted = start
        self._history = [
            *self.earlier_manifest().get("history", []),
            {"from_step": start, "changed": changes},
        ]
        if self.keeping.tensorboard:
            self._board = Board(self.folder / "tensorboard", start + 1)
        return words

    def describe(self, manifest: Mapping[str, Any]) -> None:
        """Write manifest.json: at the beginning, and again at the end with the time it took."""
        content = {
            **manifest,
            "settings": asdict(self.settings),
            "keeping": asdict(self.keeping),
            "pictures": self.pictures,
            "history": self._history,
            "versions": versions(),
        }
        text = json.dumps(content, indent=2, ensure_ascii=False, default=str)
        with self._room_for("manifest.json", len(text)):
            write_whole(self.folder / "manifest.json", lambda file: file.write(text.encode()))

    def earlier_manifest(self) -> dict:
        """The manifest as this run wrote it before; {} if there is none."""
        return read_manifest(self.folder)

    # The log

    def note(self, step: Step) -> None:
        """Remember a step for the log.

        If the step is not new, training went back: what it did after that step is forgotten.
        """
        if step.done <= self._noted:
            self._unwritten = [each for each in self._unwritten if each.done < step.done]
            self._forget_after(step.done - 1)
        self._unwritten.append(step)
        self._noted = step.done
        numbers = {name: value for name, value in vars(step).items() if isinstance(value, float)}
        self._board.numbers(step.done, numbers)
        if step.probe is not None:
            self.remember(step.done, probe=step.probe)
        if step.done % FLUSH_EVERY == 0:
            with suppress(DiskFull):  # saving a state will report it
                self.flush()

    def remember(self, step: int, **seen: Any) -> None:
        """Add a line to seen.jsonl. Failing to write it is not an error."""
        text = seen_line(step, seen)
        with suppress(OSError), self._room_for(SEEN, len(text)):
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(self.folder / SEEN, "a", encoding="utf-8") as file:
                file.write(text)

    def flush(self) -> None:
        """Write the remembered steps to the log. If it raises DiskFull, they are kept for later."""
        path = self._log()
        lines = [] if path.exists() else [",".join(COLUMNS)]
        lines += [self._line(step) for step in self._unwritten]
        text = "".join(f"{line}\n" for line in lines).encode()
        with self._room_for(path.name, len(text)), open(path, "ab", buffering=0) as file:
            length = file.tell()
            try:
                if file.write(text) < len(text):
                    raise no_room()
                os.fsync(file.fileno())
            except OSError:
                file.truncate(length)
                raise
        self._unwritten.clear()
        self._board.flush()

    def _line(self, step: Step) -> str:
        per_epoch = max(1, self.pictures // (self.settings.batch_size * self.settings.accumulation))
        epoch, epoch_step = divmod(step.done - 1, per_epoch)
        return f"{step.done},{epoch},{epoch_step},{step.loss:.7f},{step.rate:g}"

    def _log(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / LOG

    def _forget_after(self, step: int) -> None:
        """Drop what was written after this step; those updates will be made again."""
        forget_seen_after(self.folder / SEEN, step)
        forget_snapshots_after(self.folder, step)
        path = self.folder / LOG
        if not path.exists():
            return
        found = path.read_text("utf-8", "replace")
        kept = [
            line
            for line in found.splitlines(keepends=True)
            if is_whole(line) and int(line.split(",")[0]) <= step
        ]
        text = "".join([",".join(COLUMNS) + "\n", *kept])
        if text != found:
            write_whole(path, lambda file: file.write(text.encode()))

    def losses(self) -> list[float]:
        """All losses since the first update, including those not yet written to the log."""
        with suppress(DiskFull):
            self.flush()
        written = []
        if self._log().exists():
            with open(self._log(), encoding="utf-8") as file:
                written = [float(row["loss"]) for row in csv.DictReader(file)]
        return written + [step.loss for step in self._unwritten]

    # What stays

    def save(
        self, network: Hypernetwork, optimizer: Any, result: Hypernetwork | None = None
    ) -> None:
        """Save a checkpoint and the state, and remove old checkpoints. Raises DiskFull.

        result: the network to save as checkpoint, if it is not the trained one but its average.
        """
        path = self.save_checkpoint(network if result is None else result)
        if self.settings.save_optimizer:
            self.save_optimizer(path, optimizer)
        self.save_state(network, optimizer)
        self._remove_old()

    def save_state(self, network: Hypernetwork, optimizer: Any) -> None:
        """Weights, optimizer and step in one file, so that they always belong together."""
        state = state_of(network, optimizer, asdict(self.settings), self.written)
        self.flush()
        with self._room_for("state.pt", bytes_in([state.weights, state.optimizer])):
            save_state(self.folder, state)
        self.saved_step = state.step

    def save_checkpoint(self, network: Hypernetwork) -> Path:
        """Save `<name>-<n>.pt`. It may replace one: the same step of a run gives the same file."""
        path = self.folder / f"{self.name}-{network.record.step}{suffix_for(network.spec)}"
        with self._room_for(path.name, network.spec.file_bytes):
            save_network(network, path, overwrite=True)
        self.written[path.name] = mark(path)
        return path

    def save_optimizer(self, path: Path, learner: Learner) -> Path:
        """Save the optimizer's state beside the network's file, as A1111 does."""
        optimizer = learner.optimizer
        state = optimizer.state_dict()
        with self._room_for(f"{path.name}.optim", bytes_in(state)):
            return save_optimizer(path, type(optimizer).__name__, state)

    def save_due_averages(self, learner: Learner) -> None:
        """Save snapshots of the power averages, if they are due after this update."""
        powers = learner.powers
        if powers is None or not is_due(learner.settings, powers.since, learner.done):
            return
        size = len(powers.networks) * learner.network.spec.parameters * NUMBERS.itemsize
        with self._room_for("averages", size):
            save_snapshots(self.folder, self.name, powers)

    def save_best(self, network: Hypernetwork, score: float) -> bool:
        """Save `<name>-best.pt` if the score is lower than all before. Returns whether it was."""
        if self._best is not None and not score < self._best:
            return False
        path = self.folder / f"{self.name}-best{suffix_for(network.spec)}"
        extra = network.record.extra
        network.record.extra = extra | {SCORE: float(score)}
        try:
            with self._room_for(path.name, network.spec.file_bytes):
                save_network(network, path, overwrite=True)
        finally:
            network.record.extra = extra
        self._best = score
        return True

    def _best_so_far(self) -> float | None:
        for suffix in SUFFIXES:
            with suppress(OSError, ValueError):
                best = open_network(self.folder / f"{self.name}-best{suffix}")
                return best.record.extra.get(SCORE)
        return None

    def save_preview(self, pixels: np.ndarray, step: int, words: Mapping[str, str]) -> Path:
        """Save previews/<name>-<step>.png. pixels (H, W, 3), 0 to 255; words become metadata."""
        path = preview_file(self.folder, self.name, step)
        with self._room_for(path.name, pixels.nbytes):
            write_picture(path, Image.fromarray(pixels), words)
            self._board.picture(step, pixels)
        return path

    def save_picture(self, path: Path, picture: Image.Image, words: Mapping[str, str]) -> None:
        """Save a PNG in the run's folder; words become metadata. Raises DiskFull."""
        with self._room_for(path.name, 3 * picture.width * picture.height):
            write_picture(path, picture, words)

    def _remove_old(self) -> None:
        """Remove all but the last few checkpoints that this run wrote and nobody has changed."""
        if not self.keeping.keep_last:
            return
        ours = [name for name, known in self.written.items() if mark(self.folder / name) == known]
        ours.sort(key=lambda name: int(Path(name).stem.rpartition("-")[2]))
        for name in ours[: -self.keeping.keep_last]:
            (self.folder / name).unlink()
            optimizer_file(self.folder / name).unlink(missing_ok=True)
            del self.written[name]

    @contextmanager
    def _room_for(self, name: str, size: int) -> Iterator[None]:
        """Wraps a write of about `size` bytes. Raises DiskFull, with the sizes, if it can't fit."""
        free = free_bytes(self.folder)
        try:
            if size + SPARE > free:
                raise no_room()
            yield
        except OSError as fault:
            if fault.errno not in NO_ROOM:
                raise
            last = f"after step {self.saved_step}" if self.saved_step >= 0 else "not there yet"
            raise DiskFull(
                f"{name} of {as_size(size)} was not saved in {self.folder}: {fault.strerror}, "
                f"{as_size(free)} are free. The last whole state is {last}; make room, and the "
                "next one will be saved."
            ) from fault


def mark(path: Path) -> list[int]:
    """Size and time, which identify a file until somebody writes to it; [] if there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return []
    return [stat.st_size, stat.st_mtime_ns]


def is_whole(line: str) -> bool:
    """Is this a whole line of the log, not one that a killed process left half written?"""
    cells = line.rstrip("\r\n").split(",")
    return line.endswith("\n") and len(cells) == len(COLUMNS) and cells[0].isdecimal()
