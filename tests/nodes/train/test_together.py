"""One workflow in two processes leaves what one process with the whole batch leaves."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from hypernet import open_network
from hypernet.training.parallel import Processes

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def hypernet(host, graph):
    """A function that starts `hypernet run` on the graph, with other inputs as given."""
    folder, _ = host
    (folder / "hypernet").symlink_to(ROOT / "hypernet")
    (folder / "hypernet_pack").symlink_to(ROOT)

    def start(*arguments, only_draws=False, **changes):
        prompt = graph(**changes)
        prompt["words"]["inputs"] |= {"template": "[filewords]"}
        if only_draws:
            prompt = drawing(prompt["model"], changes["name"])
        file = folder / f"{changes['name']}.json"
        file.write_text(json.dumps(prompt))
        places = [f"--{each}={folder / kind}" for each, kind in
                  [("input", "input"), ("out", "output"), ("models", "models")]]  # fmt: skip
        module = "hypernet_pack.cli.main"
        return subprocess.Popen(
            [sys.executable, "-m", module, "run", file, *places, *arguments],
            env=os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def drawing(model, name):
    """A graph without a node that trains."""
    return {
        "model": model,
        "empty": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "picture": node("VAEDecode", samples=["empty", 0], vae=["model", 2]),
        "save": node("SaveImage", images=["picture", 0], filename_prefix=name),
    }


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def weights(folder, name):
    network = open_network(folder / "models" / "hypernetworks" / f"{name}.pt")
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def losses(folder):
    return [float(row["loss"]) for row in csv.DictReader(open(folder / "loss.csv"))]


def ended(process):
    out, err = process.communicate(timeout=600)
    return process.returncode, out, err


def test_two_processes_leave_the_files_of_one_with_twice_the_batch(host, hypernet, graph):
    folder, run = host
    code, out, err = ended(hypernet("--processes=2", name="two", batch_size=1))
    assert code == 0, err
    alone = graph(name="one", batch_size=2)
    alone["words"]["inputs"] |= {"template": "[filewords]"}
    assert run(alone).status == "success"
    # AdamW moves a weight by the rate, 1e-3, whose gradient is hardly more than rounding
    torch.testing.assert_close(weights(folder, "two"), weights(folder, "one"), rtol=0, atol=1e-4)
    runs = folder / "output" / "hypernet"
    assert losses(runs / "two") == pytest.approx(losses(runs / "one"), rel=1e-5)
    names = [{p.name for p in (runs / each).rglob("*")} for each in ("one", "two")]
    assert {name.replace("one", "two") for name in names[0]} == names[1]
    lines = (runs / "two" / "loss.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [str(n) for n in range(1, 9)]
    assert json.loads((runs / "two" / "manifest.json").read_text())["settings"]["batch_size"] == 2
    assert out.count("Saved ") == 1, "the other process says nothing"


REFUSED = [
    (["--set", "train.stepps=9"], {}, 2, 'no input "stepps"'),  # before anything runs
    (["--restarts=-1"], {}, 2, "--restarts -1"),
    ([], {"learning_rate": "fast"}, 2, "fast"),  # by a node's validation
    (["--restarts=2", "--set", "data.folder=broken"], {}, 1, "broken.png"),  # by a node that runs
]


@pytest.mark.parametrize(("arguments", "changes", "code", "words"), REFUSED)
def test_what_cannot_be_is_said_once(host, hypernet, arguments, changes, code, words):
    folder = host[0] / "input" / "broken"
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"no picture")
    found, _, err = ended(hypernet("--processes=2", *arguments, name="bad", **changes))
    assert found == code and words in err
    assert err.count("\n") == 1, err


def test_each_process_has_an_accelerator_of_its_own_where_there_are_any():
    from hypernet_pack.compat.standalone.many_processes import check_launch

    for accelerators in (0, 2, 3):
        check_launch(2, 0, accelerators)
    with pytest.raises(ValueError, match="--processes 2: .* this machine has 1"):
        check_launch(2, 0, accelerators=1)


def test_of_a_fault_the_first_that_meets_it_speaks_and_no_other():
    from hypernet_pack.compat.standalone.many_processes import Team

    store = torch.distributed.HashStore()
    first, second = (Team(Processes(number, 2), store) for number in (0, 1))
    assert [each.may_complain() for each in (second, first, second)] == [True, False, True]


def test_processes_that_have_nothing_to_help_with_end_with_the_first(host, hypernet, graph):
    process = hypernet("--processes=2", "--restarts=1", only_draws=True, name="idle")
    code, out, err = ended(process)
    assert (code, err.count("Traceback")) == (0, 0), err
    assert out.count("idle_00001_.png") == 1


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_they_keep_what_was_trained(host, hypernet, asked):
    folder, _ = host
    process = hypernet("--processes=2", "--restarts=1", name="stopped", save_every=1, steps=2000)
    state = folder / "output" / "hypernet" / "stopped" / "state.pt"
    appears(state, process)
    process.send_signal(asked)
    code, out, err = ended(process)
    assert code == 130 and "Traceback" not in err, err
    assert err.count("was stopped. Files kept: ") == 1 and "kept: " in out
    assert open_network(next(state.parent.glob("stopped-*.pt"))).record.step > 0


def test_a_process_that_dies_is_named(host, hypernet):
    folder, _ = host
    process = hypernet("--processes=2", name="dead", save_every=1, steps=2000)
    appears(folder / "output" / "hypernet" / "dead" / "state.pt", process)
    os.kill(workers(process.pid)[-1], signal.SIGKILL)
    code, _, err = ended(process)
    assert code == 1 and "Traceback" not in err, err
    assert err.splitlines()[-1] == "Process 2 of 2 was ended by SIGKILL."


def test_a_process_that_dies_brings_all_back_to_the_last_state(host, hypernet, graph):
    folder, run = host
    settings = dict(batch_size=1, save_every=1, steps=12, keep_last=2)
    process = hypernet("--processes=2", "--restarts=1", name="killed", **settings)
    state = folder / "output" / "hypernet" / "killed" / "state.pt"
    appears(state, process)
    os.kill(workers(process.pid)[-1], signal.SIGKILL)
    code, _, err = ended(process)
    assert code == 0, err
    history = json.loads((state.parent / "manifest.json").read_text())["history"]
    assert len(history) == 2 and 0 < history[1]["from_step"] < 12, "it did not begin anew"
    alone = graph(**settings | {"name": "calm", "batch_size": 2})
    alone["words"]["inputs"] |= {"template": "[filewords]"}
    assert run(alone).status == "success"
    calm = folder / "output" / "hypernet" / "calm"
    assert losses(state.parent) == pytest.approx(losses(calm), rel=1e-4)


def appears(file, process):
    """Waits for a file that the process is to write; fails at once when the process has ended."""
    patience = time.monotonic() + 300
    while not file.exists() and process.poll() is None and time.monotonic() < patience:
        time.sleep(0.05)
    if not file.exists():
        process.terminate()  # one that hangs; its children hold the pipes open
        _, err = process.communicate(timeout=60)
        pytest.fail(f"{file.name} did not appear, and the process said:\n{err}")


def workers(launcher):
    """The processes that it has started, by their number among those that train."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if re.search(rf"^PPid:\s+{launcher}$", status.read_text(), re.MULTILINE):
                environment = (status.parent / "environ").read_text().split("\0")
                rank = [each for each in environment if each.startswith("RANK=")]
                if rank:
                    found[rank[0]] = int(status.parent.name)
        except OSError:
            continue
    return [found[rank] for rank in sorted(found)]
