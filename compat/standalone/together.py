"""Several processes run one workflow: the first runs all of it, the others only help it train.

    hypernet run train.json --processes 2                 on this machine
    torchrun --nproc-per-node 2 … --no-python hypernet run train.json       on any

The others wait until the first comes to a node that trains, run that node after what it needs, and
wait again. Only the first writes results and speaks. Nodes that training needs run in every
process, so they had better only read; if pictures or words differ because of one that does not,
the training refuses to begin.
"""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from datetime import timedelta
from typing import Any

import torch

from ...hypernet.parallel import Processes, present
from .executor import Executor
from .progress import running_node

PATIENCE = timedelta(days=2)  # for the first process, which may draw pictures in between


def is_launched() -> bool:
    """Did torchrun start this process as one of several?"""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def launch(module: str, arguments: Iterable[str], processes: int, restarts: int) -> int:
    """Run `python -m module arguments` in so many processes by torchrun; the exit code.

    When one of them dies, all begin again, at most `restarts` times.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    given = ["--standalone", f"--nproc-per-node={processes}", f"--max-restarts={restarts}"]
    try:
        torchrun([*given, "-m", module, *arguments])
    except ChildFailedError as failed:
        _, first = failed.get_first_failure()
        return first.exitcode if first.exitcode > 0 else 1
    except SignalException:
        return 130
    return 0


def join() -> Processes:
    """Connect to the processes that were launched with this one; each gets its own accelerator."""
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "cpu:gloo,cuda:nccl"
    # After a restart, the launcher's store still has the addresses of those that died.
    store, rank, count = next(torch.distributed.rendezvous("env://", timeout=PATIENCE))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = torch.distributed.PrefixStore(f"hypernet {attempt}", store)
    torch.distributed.init_process_group(
        backend, store=store, rank=rank, world_size=count, timeout=PATIENCE
    )
    return present()


def gather_processes() -> Processes:
    """The contract's: called by a node that trains, it brings the others to the same node."""
    processes, node = present(), running_node()
    if processes.leads and node:
        processes.told(node.node_id)
    return processes


def dismiss(processes: Processes) -> None:
    """Nothing is left to help with."""
    if processes.leads:
        processes.told(None)


def help_to_train(processes: Processes, executor: Executor, prompt: Mapping[str, Any]) -> str:
    """Run the nodes that the first process calls us to, quietly; what went wrong, or ""."""
    while True:
        for number in (signal.SIGINT, signal.SIGTERM):  # waiting, there is nothing to save
            signal.signal(number, signal.SIG_DFL)
        node_id = processes.told()
        if node_id is None:
            return ""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process is asked, and tells us
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            run = executor.run(prompt, only=node_id)
        if run.status in ("error", "invalid"):
            fault = run.error["exception_message"] if run.status == "error" else run.node_errors
            return f"Process {processes.number + 1} of {processes.count}: {fault}"
