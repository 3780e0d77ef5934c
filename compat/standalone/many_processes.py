"""Runs one workflow in several processes: the first runs all of it, the others only help to train.

    hypernet run train.json --processes 2                                   on one machine
    torchrun --nproc-per-node 2 … --no-python hypernet run train.json       on several

The others wait until the first reaches a training node, run that node and the nodes it depends on,
and wait again. Only the first writes results. Nodes that training depends on run in every process,
so they should only read. If one of them makes pictures or captions differ between processes,
training refuses to start.

Only the first process that meets a fault reports it, because the others only see its consequences.
All processes start again only if one died, by a signal or for lack of memory; a reported fault
would just happen again.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch

from hypernet.training.parallel import Processes, connected, present

from .graph.executor import Executor
from .progress import running_node

PATIENCE = timedelta(days=2)  # how long the others wait; the first may draw pictures meanwhile

# Like `python -m`, but Ctrl-C during the imports prints no traceback, of which there would be one
# for each process.
START = (
    "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); del sys.argv[0]; "
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)


def is_launched() -> bool:
    """Did torchrun start this process as one of several?"""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def check_launch(processes: int, restarts: int, accelerators: int) -> None:
    """Raises ValueError if there are fewer accelerators than processes, unless there are none."""
    if 0 < accelerators < processes:
        raise ValueError(
            f"--processes {processes}: each process needs an accelerator of its own, and this "
            f"machine has {accelerators}. Give at most {accelerators}."
        )
    if restarts < 0:
        raise ValueError(f"--restarts {restarts}: give 0, or how often all may begin again.")


def launch(
    module: str,
    arguments: Sequence[str],
    processes: int,
    restarts: int,
    say: Callable[[str], object],
) -> int:
    """Run `python -m module arguments` in several processes with torchrun. Returns the exit code.

    If one dies, say() is called and all start again, at most `restarts` times. Raises ValueError
    as check_launch does.
    """
    check_launch(processes, restarts, torch.cuda.device_count())
    given = ["--standalone", f"--nproc-per-node={processes}", "--no-python", sys.executable]
    for restart in range(restarts + 1):
        codes = _failed([*given, "-c", START, module, *arguments])
        # when one process fails, torchrun ends the others with SIGTERM
        died = [n for n, code in codes.items() if code < 0 and -code != signal.SIGTERM]
        if not died:
            return next((code for code in codes.values() if code > 0), 1 if codes else 0)
        by = signal.Signals(-codes[died[0]]).name
        what = f"Process {died[0] + 1} of {processes} was ended by {by}."
        again = f" All begin again, {restart + 1} of {restarts}." if restart < restarts else ""
        say(what + again)
    return 1


def _failed(arguments: Sequence[str]) -> dict[int, int]:
    """Run torchrun. Returns the exit codes other than 0, by process number."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    try:
        with _silent_log():
            torchrun(arguments)
    except ChildFailedError as failed:
        return {number: each.exitcode for number, each in sorted(failed.failures.items())}
    except SignalException:  # Ctrl-C or SIGTERM, which all processes received
        return {0: 130}
    return {}


@contextmanager
def _silent_log() -> Iterator[None]:
    """Silence logging: torchrun logs a page for every process whose exit code isn't 0."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@dataclass(frozen=True)
class Team:
    """The processes of one launcher, and the launcher's store, which outlives them."""

    processes: Processes
    # torch documents this name and two below, but its types do not mark them as exported
    store: torch.distributed.Store  # pyright: ignore[reportPrivateImportUsage]

    def may_complain(self) -> bool:
        """Should this process report what went wrong? True for the first one that asks."""
        number = str(self.processes.number)
        try:
            return self.store.compare_set("complains", "", number).decode() == number
        except RuntimeError:  # the launcher is gone
            return True


@contextmanager
def joined() -> Iterator[Team]:
    """Inside the block, this process is connected to the others, each with its own accelerator."""
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "cpu:gloo,cuda:nccl"
    # After a restart, the launcher's store still has the addresses of the old processes.
    meet = torch.distributed.rendezvous  # pyright: ignore[reportPrivateImportUsage]
    store, rank, count = next(meet("env://", timeout=PATIENCE))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    prefixed = torch.distributed.PrefixStore  # pyright: ignore[reportPrivateImportUsage]
    store = prefixed(f"hypernet {attempt}", store)
    how = dict(store=store, rank=rank, world_size=count, timeout=PATIENCE)
    with connected(backend, **how) as processes:
        yield Team(processes, store)


def gather_processes() -> Processes:
    """Called by a training node: makes the other processes run the same node. See the contract."""
    processes, node = present(), running_node()
    if processes.leads and node:
        processes.told(node.node_id)
    return processes


def dismiss(processes: Processes) -> None:
    """Tell the others that there is nothing left to help with."""
    with suppress(ConnectionError):  # one of them may be gone already
        processes.told(None)


def ignore_signals() -> None:
    """Ignore Ctrl-C and SIGTERM. Only the first process handles them: it saves and ends all."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def help_to_train(processes: Processes, executor: Executor, prompt: Mapping[str, Any]) -> str:
    """Run the nodes that the first process names, without output. Returns what went wrong, or "".

    Raises ConnectionError if the first process ends without dismissing this one.
    """
    while True:
        node_id = processes.told()
        if node_id is None:
            return ""
        with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            run = executor.run(prompt, only=node_id)
        if run.status in ("error", "invalid"):
            assert run.error  # such a run has one
            return run.error.get("exception_message") or run.error["message"]
