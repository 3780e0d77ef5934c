"""Measures what it costs that processes train together: their exchange of gradients.

For 1, 2, 4 … processes, one for each card or else for each processor core, and a batch of one
picture in each. In every process updates with the exchange take turns with the same updates without
it, so the ratio is that of the exchange alone. The UNet has Stable Diffusion 1.5's shape: at 512²
in float16 on cards, at 256² in float32 elsewhere.

Writes out/bench/scaling.json and prints the table.

    python benchmarks/scaling.py [ROUNDS]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from hypernet_pack.compat.standalone.many_processes import joined
from hypernet_pack.compat.standalone.model.models import denoiser
from interleaved import AGAIN, machine, measure
from shaped import SD15, random_model
from train import SETTINGS, Step, batches, network

from hypernet.training.diffusion import Denoiser
from hypernet.training.learner import Learner
from hypernet.training.parallel import ALONE, Processes
from hypernet.training.train import train

RESULT = Path(__file__).resolve().parent.parent / "out" / "bench" / "scaling.json"
ROUNDS = 7
TOGETHER = "together"
WORKER = "worker"  # the argument of a process that torchrun starts


def main() -> None:
    rounds = sys.argv[1] if len(sys.argv) > 1 else str(ROUNDS)
    print(f"{where()}, {rounds} rounds", flush=True)
    rows = []
    for count in counts(torch.cuda.device_count() or os.cpu_count() or 1):
        rows.append(row := {"processes": count, **found_by(count, rounds)})
        print(
            f"{count} processes: {row['seconds']:.3f} s for an update, {row['ratio']:.3f} × one "
            f"without exchange ({AGAIN}: {row['again']:.3f}), {row['pictures']:.2f} pictures/s",
            flush=True,
        )
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps({"machine": where(), "rows": rows}, indent=1) + "\n", "utf-8")
    print(f"→ {RESULT}")


def where() -> str:
    if not torch.cuda.is_available():
        return machine()
    return f"{torch.cuda.device_count()} × {torch.cuda.get_device_name(0)}, {machine()}"


def counts(most: int) -> Iterator[int]:
    count = 1
    while count <= most:
        yield count
        count *= 2


def found_by(count: int, rounds: str) -> dict[str, float]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={count}", __file__, WORKER, rounds]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def work(rounds: int) -> None:
    """One of the processes. The first prints what it has measured."""
    on_card = torch.cuda.is_available()
    with joined() as team:
        device = torch.device("cuda", torch.cuda.current_device()) if on_card else "cpu"
        model = random_model(SD15, device, torch.float16 if on_card else torch.float32)
        with denoiser(model) as unet:
            side = 64 if on_card else 32
            ways = {TOGETHER: updates(unet, side, team.processes)}
            rows = measure(updates(unet, side, ALONE), ways, rounds)
        if team.processes.leads:
            ratios = {row["what"]: row["ratio"] for row in rows}
            seconds = rows[0]["seconds"]
            print(json.dumps({
                "seconds": seconds, "ratio": ratios[TOGETHER], "again": ratios[AGAIN],
                "pictures": team.processes.count / seconds,
            }))  # fmt: skip


def updates(unet: Denoiser, side: int, processes: Processes) -> Step:
    number = processes.count
    learner = Learner(network(unet, SD15), replace(SETTINGS, batch_size=number))
    steps = train(learner, unet, batches(side, SD15, number), processes=processes)
    return lambda: next(steps)


if __name__ == "__main__":
    work(int(sys.argv[2])) if sys.argv[1:2] == [WORKER] else main()
