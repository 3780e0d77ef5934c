"""The job queue: prompts that wait, the one that runs, and the results of finished ones.

One worker thread takes them one after the other, the smallest number first. Entries have the format
that ComfyUI's editor expects from /queue, /history and /jobs.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..progress import clear_interrupt, request_interrupt

REMEMBERED = 1000  # finished jobs that are kept
ENDS = ("execution_success", "execution_error", "execution_interrupted")
LEAST_WORDS = 1024  # letters of a text that is a job's preview


@dataclass(frozen=True, order=True)
class Job:
    number: float
    prompt_id: str
    prompt: dict[str, Any] = field(compare=False)
    extra_data: dict[str, Any] = field(compare=False)
    outputs: list[str] = field(compare=False)  # the output nodes to run

    def as_list(self) -> list:
        return [self.number, self.prompt_id, self.prompt, self.extra_data, self.outputs]

    @property
    def client(self) -> str | None:
        """The id of the editor that queued it."""
        return self.extra_data.get("client_id")


class Jobs:
    """The queue. changed(): called from any thread when the number of jobs changes."""

    def __init__(self, changed: Callable[[], None] = lambda: None):
        self._changed = changed
        self._news = threading.Condition(threading.RLock())
        self._waiting: list[Job] = []
        self._running: Job | None = None
        self._done: dict[str, dict] = {}
        self._next_number = 0
        self._closed = False

    def number(self, front: bool = False) -> float:
        """The next number in the queue, or one before all waiting jobs."""
        with self._news:
            self._next_number += 1
            return -self._next_number if front else self._next_number

    def add(self, job: Job) -> None:
        with self._news:
            heapq.heappush(self._waiting, job)
            self._news.notify_all()
        self._changed()

    def take(self) -> Job | None:
        """Wait for the next job; None if the queue is closed. For the worker thread."""
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            self._running = job = heapq.heappop(self._waiting)
        self._changed()
        return job

    def finish(self, shown: dict[str, Any], completed: bool, messages: list) -> None:
        """Record that the running job is finished. A pending request to stop it is dropped.

        shown: {"outputs", "meta"}.
        """
        with self._news:
            job, self._running = self._running, None
            assert job is not None  # the worker finishes only what it has taken
            clear_interrupt()
            word = "success" if completed else "error"
            status = {"status_str": word, "completed": completed, "messages": messages}
            self._done[job.prompt_id] = {"prompt": job.as_list(), "status": status, **shown}
            while len(self._done) > REMEMBERED:
                del self._done[next(iter(self._done))]
        self._changed()

    def close(self) -> None:
        """Take no more jobs, and ask the running one to stop."""
        with self._news:
            self._closed = True
            if self._running:
                request_interrupt()
            self._news.notify_all()

    def left(self) -> int:
        with self._news:
            return len(self._waiting) + bool(self._running)

    def queue(self) -> tuple[list[Job], list[Job]]:
        """(running, waiting)"""
        with self._news:
            return [self._running] if self._running else [], sorted(self._waiting)

    def prompts(self) -> list[dict[str, Any]]:
        """The prompts of the running job and then of the waiting ones."""
        running, waiting = self.queue()
        return [job.prompt for job in running + waiting]

    def knows(self, prompt_id: str) -> bool:
        running, waiting = self.queue()
        return prompt_id in self._done or any(j.prompt_id == prompt_id for j in running + waiting)

    def interrupt(self, prompt_id: str | None = None) -> bool:
        """Ask the running job to stop, if it has this id. Returns whether it was asked."""
        with self._news:
            asked = self._running and prompt_id in (None, self._running.prompt_id)
            if asked:
                request_interrupt()
            return bool(asked)

    def remove(self, prompt_ids: Iterable[str]) -> bool:
        """Remove waiting jobs from the queue. Returns whether there were any."""
        gone = set(prompt_ids)
        with self._news:
            before = len(self._waiting)
            self._waiting = [job for job in self._waiting if job.prompt_id not in gone]
            heapq.heapify(self._waiting)
            removed = len(self._waiting) < before
        if removed:
            self._changed()
        return removed

    def clear(self) -> None:
        self.remove([job.prompt_id for job in self.queue()[1]])

    def cancel(self, prompt_id: str) -> bool:
        """Stop a job or remove it from the queue; False if it is finished or unknown."""
        with self._news:
            return self.interrupt(prompt_id) or self.remove([prompt_id])

    def history(self, most: int | None = None, offset: int = -1) -> dict[str, dict]:
        """Finished jobs by id, oldest first: the newest `most`, or `most` from `offset` on."""
        with self._news:
            entries = list(self._done.items())
        if offset < 0:
            return dict(entries if most is None else entries[max(0, len(entries) - most) :])
        return dict(entries[offset : None if most is None else offset + most])

    def forget(self, prompt_ids: Iterable[str] | None = None) -> None:
        """Delete finished jobs, by default all."""
        with self._news:
            for prompt_id in list(self._done) if prompt_ids is None else prompt_ids:
                self._done.pop(prompt_id, None)

    def summaries(self) -> list[dict]:
        """Every job as /jobs lists it."""
        running, waiting = self.queue()
        return [
            *(_summary(job.as_list(), "in_progress") for job in running),
            *(_summary(job.as_list(), "pending") for job in waiting),
            *(_summary_of_done(entry) for entry in self.history().values()),
        ]

    def details(self, prompt_id: str) -> dict | None:
        """One job with its workflow and outputs."""
        if entry := self.history().get(prompt_id):
            _, _, prompt, extra_data, _ = entry["prompt"]
            return _summary_of_done(entry) | {
                "outputs": entry["outputs"],
                "execution_status": entry["status"],
                "workflow": {"prompt": prompt, "extra_data": extra_data},
            }
        return next((each for each in self.summaries() if each["id"] == prompt_id), None)


def _summary(job: list, status: str) -> dict:
    number, prompt_id, _, extra_data, _ = job
    workflow = (extra_data.get("extra_pnginfo") or {}).get("workflow") or {}
    summary = {
        "id": prompt_id,
        "status": status,
        "priority": number,
        "create_time": extra_data.get("create_time"),
        "outputs_count": 0,
        "previewable_outputs_count": 0,
        "workflow_id": workflow.get("id"),
    }
    return {name: value for name, value in summary.items() if value is not None}


def _summary_of_done(entry: dict) -> dict:
    status, events = entry["status"], dict(entry["status"]["messages"])
    if status["completed"]:
        word = "completed"
    else:
        word = "cancelled" if "execution_interrupted" in events else "failed"
    shown = list(_shown(entry["outputs"]))
    files = [each for each in shown if "filename" in each]
    end = next((events[name] for name in ENDS if name in events), {})
    summary = {
        "execution_start_time": events.get("execution_start", {}).get("timestamp"),
        "execution_end_time": end.get("timestamp"),
        "execution_error": events.get("execution_error"),
        "outputs_count": len(files),
        "previewable_outputs_count": sum(each["mediaType"] == "images" for each in files),
        "preview_output": min(shown, key=_as_preview, default=None),
    }
    known = {name: value for name, value in summary.items() if value is not None}
    return _summary(entry["prompt"], word) | known


def _shown(outputs: dict[str, dict]) -> Iterable[dict]:
    """The files and texts that nodes display."""
    for node_id, ui in outputs.items():
        for kind, items in ui.items():
            for item in items:
                place = {"nodeId": node_id, "mediaType": kind}
                if isinstance(item, dict) and "filename" in item:
                    yield item | place
                elif kind == "text":
                    yield {"content": str(item)[:LEAST_WORDS]} | place


def _as_preview(shown: dict) -> int:
    """Sort key for a job's preview: saved pictures first, then temporary ones, then texts."""
    if shown["mediaType"] != "images":
        return 2
    return 0 if shown.get("type") == "output" else 1
