"""A training that can be watched: what is known of it, and what is told to editors that are open.

Events only say that there is news, four times a second at most; whoever wants to see more fetches
it (trainings.py). So a page that is opened late, or in another browser, sees the same. The
training adds from its own thread, and the server reads from others.
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
WHILE_PAUSED = 0.2  # seconds between looks at the host's interrupt


@dataclass(kw_only=True)
class LiveRun:
    """node: its id in the graph that was queued. asked: the name before it got a number. total:
    updates in all."""

    name: str
    asked: str = ""
    node: str
    total: int
    control: Control = field(default_factory=Control)
    history: RunHistory = field(default_factory=RunHistory)
    pace: Pace = field(default_factory=Pace)
    stage: str = "preparing"  # then "training", "finishing", and how it ended
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
        """Of the last 50 updates or so; NaN before the first."""
        return self.history.smoothed.last

    # What the training says

    def begin(self, run: Run, history: RunHistory, said: list[str], device: torch.device) -> None:
        """The first update comes next. history: what the run's folder knows of it."""
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
        if time.monotonic() - self._told >= BETWEEN_EVENTS:
            self.tell()

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
        """What is to be known afterwards, too; see hypernet/runs/seen.py for what there is."""
        with self._lock:
            self.history.see(step, **seen)
        if self.run is not None:
            self.run.remember(step, **seen)

    def tell(self) -> None:
        """That there is news, to every editor."""
        self._told = time.monotonic()
        compat.send_event(
            EVENT,
            {
                "name": self.name, "asked": self.asked, "node": self.node, "state": self.state,
                "step": self.history.step, "total": self.total,
            },
        )  # fmt: skip

    # What people see

    def snapshot(self) -> dict:
        """All of it, as JSON says it. Seconds, bytes, updates per second; None: not known yet."""
        with self._lock:
            left = self.pace.seconds_left(self.total - self.history.step)
            return seen_of(self.history) | {
                "name": self.name,
                "node": self.node,
                "state": self.state,
                "total": self.total,
                "speed": self.pace.speed,
                "seconds_left": left,
                "memory": self.device and memory_in_use(self.device),
            }


def seen_of(history: RunHistory) -> dict:
    """What can be told of a run, whether it lasts or is over."""
    return {
        "step": history.step,
        "began": history.began,
        "notes": [{"step": step, "text": text} for step, text in history.notes],
        "why": history.why,
        "curves": history.curves(),
    }


def memory_in_use(device: torch.device) -> dict | None:
    """{"used", "total"} bytes of the device, by whomever; of the process where it is the CPU.
    None where nothing can tell."""
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
    """Inside the block the server finds it. How the block ends is told, and kept with the run."""
    trainings = running()
    trainings[live.name] = live
    live.tell()
    try:
        yield live
    except Exception as fault:
        live.end("failed", str(fault))
        raise
    except BaseException:  # the user's interrupt, mostly
        live.end("interrupted")
        raise
    else:
        live.end("finished")
    finally:
        if trainings.get(live.name) is live:
            del trainings[live.name]
