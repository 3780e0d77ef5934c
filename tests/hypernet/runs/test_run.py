"""A run's folder: what lies in it, what happens to it when something goes wrong."""

import csv
import errno
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from hypernet import HypernetSpec, Hypernetwork, open_network
from hypernet.disk_space import DiskFull
from hypernet.network.hypernetwork import Record
from hypernet.runs.disk_check import check_disk
from hypernet.runs.run import Keeping, Run
from hypernet.runs.state import check_same_network, newest_state
from hypernet.training.learner import Learner
from hypernet.training.train import Step, TrainSettings

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = TrainSettings(steps=40, learning_rate="1e-3")
SPEC = dict(widths=(8,), activation="mish")


class Training:
    """A network that learns nothing in particular, in the folder of a run."""

    def __init__(self, folder, settings=SETTINGS, keeping=None, **spec):
        self.network = Hypernetwork(HypernetSpec(**SPEC | spec), Record(name="style"))
        self.learner = Learner(self.network, settings)
        self.run = Run(folder, "style", 5, settings, keeping)
        state, self.damage = newest_state(folder)
        if state:
            check_same_network(state, self.network.spec, "The unfinished run")
        self.words = self.run.begin(self.network, self.learner, state)
        self.run.describe({"name": "style"})

    def step(self, times=1):
        for _ in range(times):
            done = self.network.record.step + 1
            x = torch.randn(4, 8, generator=torch.Generator().manual_seed(done))
            optimizer = self.learner.optimizer
            optimizer.param_groups[0]["lr"] = 1e-3
            loss = (self.network.keys(x) + self.network.values(x)).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            self.learner.count_update()
            self.run.note(Step(done, loss.item(), 1e-3))
        return self

    def save(self):
        self.run.save(self.network, self.learner)
        return self

    @property
    def weights(self):
        return torch.cat([p.detach().flatten() for p in self.network.parameters()])


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def logged(folder):
    return [int(row["step"]) for row in csv.DictReader(open(folder / "loss.csv"))]


def test_a_run_goes_on_where_its_state_is(folder):
    whole = Training(folder / "whole").step(7)
    Training(folder).step(4).save().step(2)
    resumed = Training(folder)
    assert resumed.network.record.step == 4 and logged(folder) == [1, 2, 3, 4]
    assert torch.equal(resumed.step(3).weights, whole.weights)
    resumed.save()
    assert logged(folder) == [1, 2, 3, 4, 5, 6, 7]
    assert open_network(folder / "style-4.pt").record.step == 4


@pytest.mark.parametrize("damage", ["cut", "empty", "rotten"])
def test_a_damaged_state_gives_way_to_the_one_before_and_says_so(folder, damage):
    Training(folder).step(3).save().step(3).save()
    state = folder / "state.pt"
    content = bytearray(state.read_bytes())
    if damage == "rotten":
        place = content.rindex(Training(folder).weights[:4].numpy().tobytes()[:8])
        content[place] ^= 1
    state.write_bytes({"cut": content[:-100], "empty": b"", "rotten": content}[damage])
    resumed = Training(folder)
    assert resumed.network.record.step == 3
    assert '/state.pt"' in resumed.damage
    assert "Going on from state-before.pt instead, after step 3." in resumed.damage
    assert logged(folder) == [1, 2, 3]
    assert torch.equal(resumed.step(3).weights, Training(folder.parent / "b").step(6).weights)


def test_a_run_without_a_whole_state_is_not_begun_anew_but_refused(folder):
    Training(folder).step(3).save().step(3).save()
    for path in folder.glob("state*.pt"):
        path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"cannot be resumed.*state\.pt.*state-before\.pt.*Copy"):
        newest_state(folder)
    assert (folder / "style-6.pt").exists()


def test_a_state_between_two_renames_is_found(folder):
    Training(folder).step(3).save().step(3).save()
    os.replace(folder / "state.pt", folder / "state-next.pt")
    assert Training(folder).network.record.step == 6
    os.replace(folder / "state-next.pt", folder / "gone")
    assert Training(folder).network.record.step == 3


@pytest.mark.parametrize(
    "left",
    [b"", b"ste", b"step,epoch,epoch_step,loss,learn_rate\n1,0,0,0.5,1e-3\n2,0,1,0.", b"\xff"],
)
def test_a_torn_log_is_mended(folder, left):
    Training(folder).step(2).save()
    (folder / "loss.csv").write_bytes(left)
    Training(folder).step(1).save()
    assert logged(folder)[-1] == 3
    assert (folder / "loss.csv").read_text().startswith("step,epoch,epoch_step,loss,learn_rate\n")


def test_a_step_that_is_made_again_takes_the_place_of_what_came_after_it(folder):
    training = Training(folder).step(3).save().step(2)
    training.network.record.step = 1  # the trainer goes back
    training.step(3).save()
    assert logged(folder) == [1, 2, 3, 4]


def test_resuming_with_other_settings_takes_them_and_records_them(folder):
    Training(folder).step(2).save()
    now = TrainSettings(steps=50, learning_rate="5e-4", batch_size=2, weight_decay=0.5)
    resumed = Training(folder, now)
    assert "learning_rate was 1e-3, is now 5e-4." in resumed.words
    assert "batch_size was 1, is now 2." in resumed.words
    assert resumed.learner.optimizer.param_groups[0]["weight_decay"] == 0.5
    assert resumed.learner.optimizer.state, "its moments are those of the run"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [entry["from_step"] for entry in manifest["history"]] == [0, 2]
    assert manifest["history"][1]["changed"]["learning_rate"] == ["1e-3", "5e-4"]
    assert manifest["versions"]["torch"] == torch.__version__


def test_dropout_may_change_in_mid_run(folder):
    Training(folder).step(2).save()
    resumed = Training(folder, dropout_structure=(0, 0.3, 0))
    assert resumed.network.record.step == 2
    assert torch.equal(resumed.weights, Training(folder).weights)


def test_another_structure_is_refused_in_words(folder):
    Training(folder).step(2).save()
    with pytest.raises(ValueError, match=r"layer_structure 1, 2, 1 \(now 1, 3, 1\)"):
        Training(folder, layer_structure=(1, 3, 1))
    with pytest.raises(ValueError, match=r"activation mish \(now relu\)"):
        Training(folder, activation="relu")


def test_another_optimizer_begins_afresh_and_says_so(folder):
    Training(folder).step(2).save()
    resumed = Training(folder, replace(SETTINGS, optimizer="Adafactor"))
    assert "optimizer was AdamW, is now Adafactor." in resumed.words
    assert "Adafactor, which starts afresh" in " ".join(resumed.learner.notes)
    assert resumed.network.record.step == 2 and not resumed.learner.optimizer.state


def test_only_the_last_checkpoints_stay_and_the_best_and_what_others_wrote(folder):
    training = Training(folder, keeping=Keeping(keep_last=2))
    (folder / "style-1.pt").write_bytes(b"somebody's")
    training.run.save_best(training.network, 0.5)
    for _ in range(2):
        training.step().step().save()
    shutil.copy(folder / "style-4.pt", folder / "style-2.pt")  # by hand, over ours
    again = Training(folder, keeping=Keeping(keep_last=2))
    for _ in range(3):
        again.step(2).save()
    assert [n for n in names(folder) if n.startswith("style")] == [
        "style-1.pt", "style-10.pt", "style-2.pt", "style-8.pt", "style-best.pt",
    ]  # fmt: skip


def test_a_process_killed_before_it_removed_old_checkpoints_leaves_that_to_the_next(folder):
    training = Training(folder, keeping=Keeping(keep_last=1)).step().save()
    training.run._remove_old = lambda: None  # killed there
    training.step().save()
    Training(folder, keeping=Keeping(keep_last=1))
    assert [n for n in names(folder) if n.startswith("style")] == ["style-2.pt"]


def test_the_best_is_the_one_with_the_lowest_score_also_after_resuming(folder):
    training = Training(folder).step()
    assert training.run.save_best(training.network, 0.5)
    assert not training.step().run.save_best(training.network, 0.5)
    assert not training.run.save_best(training.network, float("nan"))
    again = Training(folder).step(3)
    assert not again.run.save_best(again.network, 0.6)
    assert open_network(folder / "style-best.pt").record.step == 1
    assert again.run.save_best(again.network, 0.4)
    assert open_network(folder / "style-best.pt").record.step == 3
    assert not again.network.record.extra, "a score belongs to its file alone"


def test_a_full_disk_is_said_and_what_was_saved_stays(folder, monkeypatch):
    training = Training(folder).step(3).save()
    before = {name: (folder / name).read_bytes() for name in names(folder)}
    full = SimpleNamespace(total=2**40, used=2**40, free=1000)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda path: full)
        with pytest.raises(DiskFull, match="style-6.pt of .* No space left.*1000 bytes.*step 3"):
            training.step(3).save()
    assert {name: (folder / name).read_bytes() for name in names(folder)} == before
    training.step(1).save()
    assert logged(folder) == [1, 2, 3, 4, 5, 6, 7], "no line is lost"
    assert Training(folder).network.record.step == 7


def test_a_write_that_the_system_breaks_off_leaves_what_was_there(folder):
    training = Training(folder).step(3).save()
    before = names(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(DiskFull, match=os.strerror(errno.EFBIG)):
            training.step(1).save()
        with pytest.raises(DiskFull, match="state.pt of"):
            training.run.save_state(training.network, training.learner)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(folder) == before
    assert Training(folder).network.record.step == 3


def test_what_a_killed_process_left_half_written_goes(folder):
    Training(folder).step(1).save()
    (folder / ".state-next.pt.0123abcd").write_bytes(b"half")
    (folder / ".hidden").write_bytes(b"somebody's")
    Training(folder)
    assert ".hidden" in names(folder) and ".state-next.pt.0123abcd" not in names(folder)


def test_checkpoints_that_will_not_stay_need_no_room(folder, monkeypatch):
    spec = HypernetSpec(**SPEC)
    room = SimpleNamespace(free=26 * spec.file_bytes)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: room)
    settings = TrainSettings(steps=1000, save_every=10)
    with pytest.raises(OSError, match="103 files of"):
        check_disk(folder, spec, settings)
    check_disk(folder, spec, settings, Keeping(keep_last=3))


@pytest.mark.parametrize(
    ("there", "start", "given", "files"),  # of 1,000 steps
    [
        ([], 0, dict(), 103),
        ([], 0, dict(save_every=0), 3),
        ([], 0, dict(learning_rate="1e-3:2000"), 103),
        ([], 0, dict(learning_rate="1e-3:55"), 8),  # where the schedule ends, the run does
        ([], 950, dict(), 8),  # continue_from begins with another's updates
        (["state.pt", "style-950.pt", "style-best.pt"], 950, dict(), 7),
        (["state.pt", "style-990.pt", "style-best.pt"], 995, dict(), 3),
        (["state.pt", "style-best.pt"], 1000, dict(), 2),
        ([], 0, dict(keep_last=3), 7),
        (["style-30.pt", "style-40.pt"], 45, dict(keep_last=3), 5),
        (["style-20.pt", "style-30.pt", "style-40.pt"], 45, dict(keep_last=3), 4),
        ([f"style-{n}.pt" for n in range(10, 950, 10)], 945, dict(keep_last=3), 4),
        (["style-980.pt"], 985, dict(keep_last=30), 5),
    ],
)
def test_only_what_is_still_to_be_written_needs_room(
    folder, monkeypatch, there, start, given, files
):
    folder.mkdir()
    for name in there:
        (folder / name).write_bytes(b"")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    keeping = Keeping(keep_last=given.pop("keep_last", 0))
    settings = TrainSettings(**dict(steps=1000, save_every=10, learning_rate="1e-3") | given)
    with pytest.raises(OSError, match=rf"\({files} files of"):
        check_disk(folder, HypernetSpec(**SPEC), settings, keeping, start)


def test_states_that_are_there_have_their_room_already(folder, monkeypatch):
    """Two lie there: only the one that replaces the older is still to come."""
    folder.mkdir()
    spec, settings = HypernetSpec(), TrainSettings(steps=1000, save_every=0)
    state = 6 * spec.file_bytes
    room = SimpleNamespace(free=3 * spec.file_bytes + state)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: room)
    with pytest.raises(OSError, match="The run needs"):
        check_disk(folder, spec, settings, start=500)
    for name in ("state.pt", "state-before.pt"):
        with open(folder / name, "wb") as file:
            file.truncate(state)
    check_disk(folder, spec, settings, start=500)
    room.free -= 1
    with pytest.raises(OSError, match="The run needs"):
        check_disk(folder, spec, settings, start=500)


def test_a_preview_carries_its_words(folder):
    training = Training(folder)
    path = training.run.save_preview(np.zeros((8, 16, 3), np.uint8), 4, {"parameters": "犬\nSteps"})
    assert path == folder / "previews" / "style-4.png"
    with Image.open(path) as picture:
        assert picture.size == (16, 8) and picture.text["parameters"] == "犬\nSteps"


def test_a_tensorboard_log_has_the_curves_or_the_reason(folder):
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        with pytest.raises(ValueError, match="pip install tensorboard"):
            Keeping(tensorboard=True)
        return
    Training(folder, keeping=Keeping(tensorboard=True)).step(3).save()
    Training(folder, keeping=Keeping(tensorboard=True)).step(2).save()
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5]


def test_a_negative_number_of_checkpoints_is_refused():
    with pytest.raises(ValueError, match="keep_last -1"):
        Keeping(keep_last=-1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks")
def test_killed_at_any_moment_a_run_ends_as_if_it_had_not_been():
    script = ROOT / "benchmarks" / "faults.py"
    done = subprocess.run(
        [sys.executable, str(script), "6"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"all kills +\d+\n", done.stdout)
    assert re.search(r"ends that differ +0\n", done.stdout)
