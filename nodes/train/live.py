"""The live view of a running training: what is known of it, and the events that editors get.

Events only say that there is news, at most four times a second; editors fetch the rest
(trainings.py). So a page that is opened later, or in another browser, sees the same. The training
writes from its own thread, and the server reads from others.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from hypernet.runs.downsampling import Pace, rounded
from hypernet.runs.history import RunHistory
from hypernet.runs.run import Run
from hypernet.training.train import Step

from ... import compat
from .control import Control

EVENT = "hypernet.step"
BETWEEN_EVENTS = 0.25  # seconds
WHILE_PAUSED = 0.2  # seconds between checks of the host's interrupt


@dataclass(kw_only=True)
class LiveRun:
    """A running training.

    node: the node's id in the queued graph. asked: the name without a number. total: updates in
    all.
    """

    name: str
    asked: str = ""
    node: str
    total: int
    control: Control = field(default_factory=Control)
    history: RunHistory = field(default_factory=RunHistory)
    pace: Pace = field(default_factory=Pace)
    stage: str = "preparing"  # later "training", "finishing", and how it ended
    prepared: tuple[int, int] = (0, 0)  # pictures or prompts of so many, before that
    device: torch.device | None = None
    run: Run | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _told: float = -1.0  # when the last event went out

    @property
    def state(self) -> str:
        if self.stage != "training":
            return self.stage
        return self.control.state or self.stage

    @property
    def loss(self) -> float:
        """The smoothed loss of about the last 50 updates; NaN before the first."""
        return self.history.smoothed.last

    @property
    def count(self) -> tuple[int, int]:
        """(done, of how many): what is being prepared, then updates."""
        if self.stage == "preparing" and self.prepared[1]:
            return self.prepared
        return self.history.step, self.total

    # What the training says

    def prepare(self, done: int, total: int) -> None:
        self.prepared = done, total
        self.tell_in_turn()

    def begin(self, run: Run, history: RunHistory, said: list[str], device: torch.device) -> None:
        """Training begins now. history: what the run's folder knows of earlier updates."""
        with self._lock:
            self.run, self.history, self.device = run, history, device
            self.stage = "training"
        self.see(history.step, began=round(time.time()))
        for sentence in said:
            self.say(sentence)
        self.tell()

    def update(self, step: Step) -> None:
        with self._lock:
            self.history.update(step.done, step.loss, step.rate)
            if step.probe is not None:
                self.history.see(step.done, probe=step.probe)
        self.tell_in_turn()

    def say(self, sentence: str) -> None:
        self.see(self.history.step, note=sentence)

    def enter(self, stage: str) -> None:
        self.stage = stage
        self.tell()

    def end(self, how: str, why: str = "") -> None:
        if self.run is not None:
            self.see(self.history.step, ended=how, why=why)
        self.enter(how)

    def see(self, step: int, **seen: object) -> None:
        """Add an event, and keep it with the run. hypernet/runs/seen.py lists the events."""
        with self._lock:
            self.history.see(step, **seen)
        if self.run is not None:
            self.run.remember(step, **seen)

    def tell_in_turn(self) -> None:
        if time.monotonic() - self._told >= BETWEEN_EVENTS:
            self.tell()

    def tell(self) -> None:
        """Send every editor the event that there is news."""
        self._told = time.monotonic()
        step, total = self.count
        compat.send_event(
            EVENT,
            {
                "name": self.name, "asked": self.asked, "node": self.node, "state": self.state,
                "step": step, "total": total,
            },
        )  # fmt: skip

    # What people see

    def snapshot(self) -> dict:
        """Everything as plain data for JSON, in seconds, bytes and updates per second.

        None means not known yet.
        """
        with self._lock:
            step, total = self.count
            left = self.pace.seconds_left(self.total - self.history.step)
            return seen_of(self.history) | {
                "name": self.name,
                "node": self.node,
                "state": self.state,
                "step": step,
                "total": total,
                "speed": self.pace.speed,
                "seconds_left": left,
                "memory": self.device and memory_in_use(self.device),
            }


class Preparing:
    """A bar of what comes before the first update. It is in the live view and the terminal: the
    node's own would run backwards when the training begins."""

    def __init__(self, live: LiveRun, total: int):
        self.live, self.total = live, total
        self.line = compat.Progress(total, title=f'Preparing "{live.name}"', on_node=False)

    def update(self, step: int) -> None:
        self.live.prepare(step, self.total)
        self.line.update(step)


def seen_of(history: RunHistory) -> dict:
    """What the history tells of a run, whether it is running or over, as plain data."""
    return {
        "step": history.step,
        "began": history.began,
        "notes": [{"step": step, "text": text} for step, text in history.notes],
        "why": history.why,
        "curves": history.curves(),
    }


def memory_in_use(device: torch.device) -> dict | None:
    """Bytes {"used", "total"} of the device, used by all processes; None if that is unknown.

    On the CPU, "used" is what this process uses.
    """
    if device.type == "cpu":
        try:
            import psutil  # ComfyUI brings it
        except ImportError:
            return None
        used, total = psutil.Process().memory_info().rss, psutil.virtual_memory().total
    else:
        measure = getattr(torch.get_device_module(device), "mem_get_info", None)
        if measure is None:
            return None
        free, total = measure(device)
        used = total - free
    return {"device": device.type, "used": int(rounded(used)), "total": total}


def running() -> dict[str, LiveRun]:
    """By name, the trainings that go on: where the server's threads find them."""
    return compat.kept("trainings", dict)


@contextmanager
def watched(live: LiveRun) -> Iterator[LiveRun]:
    """Inside, the server finds the training. How the block ends is sent, and kept with the run."""
    trainings = running()
    trainings[live.name] = live
    live.tell()
    try:
        yield live
    except Exception as fault:
        live.end("failed", str(fault))
        raise
    except BaseException:  # usually the user's interrupt
        live.end("interrupted")
        raise
    else:
        live.end("finished")
    finally:
        if trainings.get(live.name) is live:
            del trainings[live.name]
