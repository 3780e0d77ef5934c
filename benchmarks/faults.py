"""Kills training runs by `kill -9` at random moments, and checks that nothing is lost.

A small network trains on a denoiser of one block and saves after every third update, so that many
kills hit a save. Killed runs are resumed, killed again, and at last finish. After every kill, all
checkpoints must open and the state must be whole. Every finished run must equal an undisturbed one
bit by bit. Prints a table; the exit code is 1 if anything was lost.

    python benchmarks/faults.py [KILLS] [SEED]      (needs fork: Linux, macOS)
"""

from __future__ import annotations

import collections
import multiprocessing
import random
import sys
import tempfile
import time
from pathlib import Path

import torch

from hypernet import HypernetSpec, Hypernetwork, open_network
from hypernet.network.hypernetwork import Record
from hypernet.runs.run import Keeping, Run
from hypernet.runs.state import newest_state
from hypernet.training.diffusion import Batch, Denoiser, diffusion_levels
from hypernet.training.learner import Learner
from hypernet.training.train import TrainSettings, train

KILLS = 200
WIDTH = 64
SPEC = HypernetSpec(widths=(WIDTH,), activation="mish", dropout_structure=(0, 0.3, 0))
SETTINGS = TrainSettings(
    steps=24, learning_rate="1e-2:12, 1e-3", batch_size=2, accumulation=2, save_every=3
)
NAME = "killed"
fork = multiprocessing.get_context("fork")


def main() -> int:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    chance = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    moments, faults, ends = collections.Counter(), [], 0
    Learner(Hypernetwork(SPEC), SETTINGS)  # makes torch import much of itself once, before forks
    with tempfile.TemporaryDirectory() as top:
        calm = Path(top) / "calm"
        began = time.monotonic()
        ended(calm, None)
        duration = time.monotonic() - began
        while moments.total() < kills:
            folder = Path(top) / f"run {ends}"
            while not ended(folder, chance.uniform(0, duration / 2)):
                moments[moment_in(folder)] += 1
                faults += faults_in(folder)
            faults += differences(folder, calm)
            ends += 1
    print(f"{'killed while it was':<34}{'times':>6}")
    for moment, times in moments.most_common():
        print(f"{moment:<34}{times:>6}")
    print(f"{'all kills':<34}{moments.total():>6}")
    print(f"{'runs that ended all the same':<34}{ends:>6}")
    print(f"{'files lost, ends that differ':<34}{len(faults):>6}")
    print("\n".join(faults), end="")
    return 1 if faults else 0


def ended(folder: Path, seconds: float | None) -> bool:
    """Resume the run, and kill it after so many seconds. Returns whether it finished before."""
    process = fork.Process(target=go_on, args=(folder,))
    process.start()
    process.join(seconds)
    alive = process.is_alive()
    process.kill()
    process.join()
    if not alive and process.exitcode:
        raise RuntimeError(f"the run in {folder} failed with exit code {process.exitcode}")
    return not alive


def go_on(folder: Path) -> None:
    torch.set_num_threads(1)
    network = Hypernetwork(SPEC, Record(name=NAME))
    learner = Learner(network, SETTINGS)
    run = Run(folder, NAME, 7, SETTINGS, Keeping(keep_last=4))
    run.begin(network, learner, newest_state(folder)[0])
    run.describe({"name": NAME})
    for step in train(learner, denoiser(), batch_at):
        run.note(step)
        run.save_best(network, step.loss)
        if step.done % SETTINGS.save_every == 0:
            run.save(network, learner)
    run.save_state(network, learner)


def denoiser() -> Denoiser:
    """A denoiser whose prediction is a fixed linear map of the keys and values of one block."""
    weights = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(3))

    def predict(noisy, timesteps, condition, acting):
        n = condition["context"]
        _, keys, values = acting.attn2(n, n, n, {})
        return noisy + ((keys + values).mean(1) @ weights.T)[:, :, None, None]

    return Denoiser(
        predict=predict,
        levels=diffusion_levels(torch.linspace(0.99, 0.01, 1000)),
        prediction="eps",
        device=torch.device("cpu"),
        dtype=torch.float32,
    )


def batch_at(first: int, number: int) -> Batch:
    chance = torch.Generator().manual_seed(first)
    latents = torch.randn(number, 4, 2, 2, generator=chance)
    return Batch(latents, {"context": torch.randn(number, 5, WIDTH, generator=chance)})


def moment_in(folder: Path) -> str:
    """What a kill has interrupted, judged by the files that it left."""
    passing = [path.name for path in folder.glob(".*")]  # empty if there is no folder yet
    if any(name.startswith(".state") for name in passing):
        return "writing a state"
    if passing:
        return "writing another file"
    if (folder / "state-next.pt").exists() or (
        (folder / "state-before.pt").exists() and not (folder / "state.pt").exists()
    ):
        return "renaming states"
    return "starting or training"


def faults_in(folder: Path) -> list[str]:
    faults = []
    for path in folder.glob(f"{NAME}-*.pt"):
        try:
            open_network(path)
        except ValueError as fault:
            faults.append(str(fault))
    try:
        faults += filter(None, [newest_state(folder)[1]])
    except ValueError as fault:
        faults.append(str(fault))
    return faults


def differences(folder: Path, calm: Path) -> list[str]:
    found, expected = (newest_state(each)[0] for each in (folder, calm))
    names = [sorted(path.name for path in each.glob("*.pt")) for each in (folder, calm)]
    same = {
        "weights": all(
            torch.equal(found.weights[key], value) for key, value in expected.weights.items()
        ),
        "optimizer": same_numbers(found.optimizer, expected.optimizer),
        "log": (folder / "loss.csv").read_bytes() == (calm / "loss.csv").read_bytes(),
        "files": names[0] == names[1],
        "checkpoints": all(same_network(folder / name, calm / name) for name in names[1]),
    }
    lists = {"files": f": {', '.join(names[0])} instead of {', '.join(names[1])}"}
    return [
        f"{folder.name}: {what} differ{lists.get(what, '')}"
        for what, equal in same.items()
        if not equal
    ]


def same_numbers(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_numbers(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same_numbers, one, other))
    return one == other


def same_network(one: Path, other: Path) -> bool:
    if one.name.startswith("state"):
        return True
    pairs = zip(open_network(one).parameters(), open_network(other).parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


if __name__ == "__main__":
    sys.exit(main())
