"""Several processes run one workflow: the first runs all of it, the others only help it train.

    hypernet run train.json --processes 2                 on this machine
    torchrun --nproc-per-node 2 … --no-python hypernet run train.json       on any

The others wait until the first comes to a node that trains, run that node after what it needs, and
wait again. Only the first writes results. Nodes that training needs run in every process, so they
had better only read; if pictures or words differ because of one that does not, the training refuses
to begin. Of a fault one process speaks, the first that meets it: the others then meet no more than
its consequences. Only a process that died (a signal, the system without memory) lets all begin
again; a fault that was told would come again.
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

PATIENCE = timedelta(days=2)  # for the first process, which may draw pictures in between

# Like `python -m`, but Ctrl-C during the imports prints no traceback; each process would print one.
START = (
    "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); del sys.argv[0]; "
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)


def is_launched() -> bool:
    """Did torchrun start this process as one of several?"""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def check_launch(processes: int, restarts: int, accelerators: int) -> None:
    """Raises ValueError where so many cannot be launched here; without accelerators any can."""
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
    """Run `python -m module arguments` in so many processes by torchrun; the exit code.

    When one of them dies, say hears of it and all begin again, at most `restarts` times. Raises
    ValueError as check_launch does.
    """
    check_launch(processes, restarts, torch.cuda.device_count())
    given = ["--standalone", f"--nproc-per-node={processes}", "--no-python", sys.executable]
    for restart in range(restarts + 1):
        codes = _failed([*given, "-c", START, module, *arguments])
        # torchrun itself ends by SIGTERM those that are left when one of them fails
        died = [n for n, code in codes.items() if code < 0 and -code != signal.SIGTERM]
        if not died:
            return next((code for code in codes.values() if code > 0), 1 if codes else 0)
        by = signal.Signals(-codes[died[0]]).name
        what = f"Process {died[0] + 1} of {processes} was ended by {by}."
        again = f" All begin again, {restart + 1} of {restarts}." if restart < restarts else ""
        say(what + again)
    return 1


def _failed(arguments: Sequence[str]) -> dict[int, int]:
    """Run torchrun; exit codes that are not 0, by the numbers of their processes."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    try:
        with _silent_log():
            torchrun(arguments)
    except ChildFailedError as failed:
        return {number: each.exitcode for number, each in sorted(failed.failures.items())}
    except SignalException:  # Ctrl-C or a polite kill, which all have heard of
        return {0: 130}
    return {}


@contextmanager
def _silent_log() -> Iterator[None]:
    """torchrun logs a page about every process that ends with another code than 0."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@dataclass(frozen=True)
class Team:
    """The processes that one launcher has started, and its store, which outlives them."""

    processes: Processes
    store: torch.distributed.Store

    def may_complain(self) -> bool:
        """Is this the process that tells what went wrong? It is the first that asks."""
        number = str(self.processes.number)
        try:
            return self.store.compare_set("complains", "", number).decode() == number
        except RuntimeError:  # the launcher is gone
            return True


@contextmanager
def joined() -> Iterator[Team]:
    """Inside, this process is connected to those that were launched with it; each has its own
    accelerator."""
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "cpu:gloo,cuda:nccl"
    # After a restart, the launcher's store still has the addresses of those that died.
    store, rank, count = next(torch.distributed.rendezvous("env://", timeout=PATIENCE))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = torch.distributed.PrefixStore(f"hypernet {attempt}", store)
    how = dict(store=store, rank=rank, world_size=count, timeout=PATIENCE)
    with connected(backend, **how) as processes:
        yield Team(processes, store)


def gather_processes() -> Processes:
    """The contract's: called by a node that trains, it brings the others to the same node."""
    processes, node = present(), running_node()
    if processes.leads and node:
        processes.told(node.node_id)
    return processes


def dismiss(processes: Processes) -> None:
    """Nothing is left to help with."""
    with suppress(ConnectionError):  # one of them is gone already
        processes.told(None)


def ignore_signals() -> None:
    """The first process alone is asked to stop; it saves, and the others end with it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def help_to_train(processes: Processes, executor: Executor, prompt: Mapping[str, Any]) -> str:
    """Run the nodes that the first process calls us to, quietly; what went wrong, or "".

    Raises ConnectionError when the first process has ended without dismissing us.
    """
    while True:
        node_id = processes.told()
        if node_id is None:
            return ""
        with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            run = executor.run(prompt, only=node_id)
        if run.status in ("error", "invalid"):
            return run.error.get("exception_message") or run.error["message"]
