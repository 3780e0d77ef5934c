"""Runs processes that train together many times, and checks how each of them ends.

Runs the pair of test_parallel.py, and `hypernet run --processes 2` with a graph that trains and
draws, with one where the second process has nothing to do, and with one where a node fails. Faults
at the end of a process (a thread that outlives Python, a wait for a process that is gone) may show
in only one of ten runs. Prints how many ended in which way, and each end at once on stderr, in case
somebody stops it. The exit code is 1 if one ended in another way than it should.

    python benchmarks/together.py [TIMES] [KIND ...]
"""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAIR = ROOT / "tests" / "hypernet" / "training" / "trained_together.py"
COMMAND = "hypernet_pack.cli.main"
MODEL = str(ROOT / "demo" / "tiny-sd")
PICTURES = ROOT / "demo" / "pictures"
TIMES = 50
PATIENCE = 600  # seconds after which a process counts as hung
QUICK = {
    "CheckpointLoaderSimple.ckpt_name": MODEL,
    "HypernetLoadDataset.unreadable": "stop",
    "HypernetLoadDataset.width": 64,
    "HypernetLoadDataset.height": 64,
    "HypernetTrain.steps": 2,
    "HypernetTrain.batch_size": 1,
    "HypernetTrain.preview_every": 0,
    "EmptyLatentImage.width": 64,
    "EmptyLatentImage.height": 64,
    "Before.steps": 1,
    "After.steps": 1,
}
DRAWS = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": MODEL}},
    "2": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "3": {"class_type": "VAEDecode", "inputs": {"samples": ["2", 0], "vae": ["1", 2]}},
    "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "idle"}},
}


def main() -> int:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else TIMES
    wrong = 0
    print(f"{'':<26}{'exit codes':<14}{'times':>6}")
    for kind in sys.argv[2:] or KINDS:
        run, expected = KINDS[kind]
        ends: collections.Counter[tuple[tuple[int, ...], str]] = collections.Counter()
        for number in range(1, times + 1):
            ends[end := end_of(run, expected)] += 1
            print(f"{kind:<26}{end[0]!s:<14}{number:>3} of {times}  {end[1]}", file=sys.stderr)
        for (codes, fault), number in ends.most_common():
            print(f"{kind:<26}{codes!s:<14}{number:>6}  {fault}", flush=True)
            wrong += number * bool(fault)
    print(f"{'otherwise than they should':<40}{wrong:>6}")
    return 1 if wrong else 0


def end_of(
    run: Callable[[Path], list[subprocess.Popen]], expected: tuple[int, ...]
) -> tuple[tuple[int, ...], str]:
    """(the processes' exit codes, the last line that they printed if those are not expected)."""
    with tempfile.TemporaryDirectory() as folder:
        processes = run(Path(folder))
        try:
            errors = "".join(process.communicate(timeout=PATIENCE)[1] for process in processes)
        finally:
            for process in processes:
                process.kill()
    codes = tuple(process.returncode for process in processes)
    if codes == expected and "Traceback" not in errors and "terminate called" not in errors:
        return codes, ""
    return codes, (errors.strip().splitlines() or ["nothing was said"])[-1]


def started(*arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def pair(folder: Path) -> list[subprocess.Popen]:
    return [started(PAIR, number, 2, folder) for number in (0, 1)]


def trains(folder: Path, pictures: Path = PICTURES) -> list[subprocess.Popen]:
    settings = QUICK | {"HypernetLoadDataset.folder": pictures}
    changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    workflow = ROOT / "example_workflows" / "train_style.json"
    return launched(folder, workflow, "--restarts=1", *changes)


def fails(folder: Path) -> list[subprocess.Popen]:
    """A run with a picture that cannot be read, which must stop everything."""
    (folder / "broken.png").write_bytes(b"no picture")
    return trains(folder, folder)


def draws(folder: Path) -> list[subprocess.Popen]:
    (folder / "draws.json").write_text(json.dumps(DRAWS))
    return launched(folder, folder / "draws.json")


def launched(folder: Path, workflow: Path, *arguments: str) -> list[subprocess.Popen]:
    places = ["--input", ROOT / "demo", "--models", folder / "models", "--out", folder]
    return [started("-m", COMMAND, "run", workflow, "--processes=2", *places, *arguments)]


KINDS = {
    "pair": (pair, (0, 0)),
    "trains": (trains, (0,)),
    "draws": (draws, (0,)),
    "fails": (fails, (1,)),
}


if __name__ == "__main__":
    sys.exit(main())
