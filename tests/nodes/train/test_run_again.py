"""Run is pressed again: what is trained is given back, what is taken is kept, what is unfinished
goes on."""

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from hypernet_pack import compat
from hypernet_pack.compat.standalone.progress import request_interrupt
from hypernet_pack.nodes.train.names import lock
from PIL import Image

from hypernet import HypernetSpec, Hypernetwork, Record, open_network, save_network
from hypernet.runs.book.entries import list_entries
from hypernet.runs.book.settings import compared
from hypernet.runs.state import newest_state

SHORT = dict(steps=4, batch_size=1, accumulation=1, save_every=0, preview_steps=1)
GO_ON, STOP = dict(if_taken="go on training it"), dict(if_taken="stop")


@pytest.fixture
def short(graph):
    return lambda **changes: graph(**SHORT | changes)


@pytest.fixture
def places(host):
    """Folders: networks, runs."""
    folder, _ = host
    return folder / "models" / "hypernetworks", folder / "output" / "hypernet"


@pytest.fixture
def trained(host, short):
    """trained(**changes) or trained(graph): what the node said; the graph must end well."""
    _, run = host

    def do(prompt=None, **changes):
        result = run(prompt or short(**changes))
        assert result.status == "success", error_of(result)
        do.results.append(result)
        return "".join(result.outputs["train"]["text"])

    do.results = []
    return do


def error_of(result):
    return f"{result.error or ''} {result.node_errors or ''}".replace("\\'", "'")


def weights(path):
    return torch.cat([p.detach().flatten() for p in open_network(path).parameters()])


def logged(folder):
    return [int(row["step"]) for row in csv.DictReader(open(folder / "loss.csv"))]


def contents(*folders):
    """All files below, and what is in them."""
    return {
        file: file.read_bytes()
        for folder in folders
        for file in folder.rglob("*")
        if file.is_file() and file.suffix != ".lock"
    }


def stop_at(monkeypatch, step, do=request_interrupt):
    update = compat.Progress.update

    def stopping(self, done, preview=None):
        update(self, done, preview)
        if done == step and self._total > 2:  # the training's bar, and no sampler's
            do()

    monkeypatch.setattr(compat.Progress, "update", stopping)


def interrupted(run, prompt, monkeypatch, step):
    with monkeypatch.context() as patched:
        stop_at(patched, step)
        assert run(prompt).status == "interrupted"


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


def edit(folder, **changes):
    manifest = manifest_of(folder) | changes
    manifest = {key: value for key, value in manifest.items() if value is not None}
    (folder / "manifest.json").write_text(json.dumps(manifest))


# The same again


def test_the_same_graph_again_gives_back_the_network_and_trains_nothing(host, trained, places):
    nets, runs = places
    first = trained()
    before = contents(nets, runs)
    again = trained()
    assert "Saved" in first and '"style" is trained already (4 updates): loaded.' in again
    assert contents(nets, runs) == before
    first, again = (each.outputs["train"] for each in trained.results)
    assert first["saved"] == again["saved"] == [str(nets / "style.pt")]


@pytest.mark.parametrize(
    "changes",
    [
        dict(save_every=1), dict(keep_last=2), dict(encoders="stay on the card"),
        dict(probe_every=3), dict(checkpointing="off"), dict(preview_every=2),
        dict(save_optimizer=True), dict(tensorboard=False), STOP, GO_ON, dict(resume=False),
    ],
)  # fmt: skip
def test_what_does_not_decide_what_is_learnt_trains_nothing_anew(trained, places, changes):
    trained(steps=2)
    assert "is trained already (2 updates): loaded" in trained(steps=2, **changes)
    assert [each.name for each in places[0].iterdir()] == ["style.pt"]


def test_what_is_given_back_is_what_the_training_gave(host, short, monkeypatch):
    from hypernet_pack.nodes.train.train_hypernet import TrainHypernet

    _, run = host
    outputs = []
    execute = TrainHypernet.execute.__func__

    def keep(cls, *given, **inputs):
        outputs.append(execute(cls, *given, **inputs))
        return outputs[-1]

    monkeypatch.setattr(TrainHypernet, "execute", classmethod(keep))
    assert run(short()).status == run(short()).status == "success"
    (net, loss, picture, path, _), (net2, loss2, picture2, path2, _) = (
        each.args for each in outputs
    )
    for a, b in zip(net.parameters(), net2.parameters(), strict=True):
        assert torch.equal(a, b)
    assert loss2["loss"] == pytest.approx(loss["loss"], abs=1e-6) and path == path2
    assert (picture - picture2).abs().max() <= 0.5 / 255 + 1e-6, "the stored one, in 8 bits"


def test_another_preview_is_drawn_anew_and_the_old_one_stays(trained, places):
    _, runs = places
    trained()
    before = contents(runs)
    said = trained(preview_width=32, preview_height=48, preview_prompt="")
    assert "is trained already" in said and contents(runs) == before
    shown = trained.results[-1].outputs["train"]["images"][0]
    folder = runs.parent.parent / shown["type"] if shown["type"] != "temp" else None
    assert shown["filename"] and (folder is None or folder.exists())


def test_a_caption_is_written_anew_and_is_another_request(host, trained, places):
    folder, _ = host
    trained(steps=2)
    (folder / "input" / "pictures" / "0 red dog.txt").write_text("a red hound")
    said = trained(steps=2)
    assert '"style" is taken by a network trained with other pictures or words' in said
    assert 'this one is saved as "style_2"' in said and (places[0] / "style_2.pt").exists()
    assert "is trained already" in trained(steps=2), "under whichever number it is"


def test_a_run_of_an_earlier_version_is_given_back_if_it_can_be_checked(trained, places):
    nets, runs = places
    trained(steps=2, ema=0.9)
    edit(runs / "style", request=None, finished=None, asked=None)
    assert "is trained already (2 updates): loaded" in trained(steps=2, ema=0.9)
    network = open_network(nets / "style.pt")
    with torch.no_grad():
        next(network.parameters()).add_(1)
    save_network(network, nets / "style.pt", overwrite=True)
    said = trained(steps=2, ema=0.9)
    assert "is not the network that the run in" in said and 'saved as "style_2"' in said


def test_another_clip_skip_is_another_request(short, trained):
    def skipping(layer):
        prompt = short(steps=2)
        prompt["skip"] = {
            "class_type": "CLIPSetLastLayer",
            "inputs": {"clip": ["model", 1], "stop_at_clip_layer": layer},
        }
        prompt["train"]["inputs"]["clip"] = ["skip", 0]
        return prompt

    trained(skipping(-1))
    assert "other changes of the model" in trained(skipping(-2))
    assert '"style_2" is trained already' in trained(skipping(-2))


def test_changes_are_known_by_what_they_hold():
    from hypernet.runs.fingerprints import changes_hash

    class Adapter:
        def __init__(self, number, keys=("a", "b")):
            self.weights, self.keys = (torch.full((2,), number), None), set(keys)

    def changed(number, strength=1.0, **more):
        return changes_hash([{"patches": {"k": [(strength, Adapter(number, **more), None)]}}, {}])

    assert changed(1.0) == changed(1.0, keys=("b", "a"))
    found = {changed(1.0), changed(2.0), changed(1.0, 0.5), changed(1.0, keys="c"),
             changes_hash([{}, {}])}  # fmt: skip
    assert len(found) == 5


# The name is taken


def test_a_name_that_is_taken_gets_a_number_and_nothing_is_overwritten(trained, places):
    nets, runs = places
    trained(steps=2)
    before = contents(nets, runs)
    said = trained(steps=2, learning_rate="1e-4")
    why = '"style" is taken by a network trained with learning_rate 1e-3:4, 5e-4 (now 1e-4)'
    assert f'{why}: this one is saved as "style_2".' in said
    assert 'saved as "style_3"' in trained(steps=2, learning_rate="1e-4", seed=5)
    after = contents(nets, runs)
    assert {file: after[file] for file in before} == before
    assert sorted(each.name for each in nets.iterdir()) == ["style.pt", "style_2.pt", "style_3.pt"]
    assert open_network(nets / "style_2.pt").record.name == "style_2"
    assert (runs / "style_3" / "previews" / "style_3-2.png").exists()


def test_stop_says_what_differs_before_a_picture_is_read(host, short, trained, places, monkeypatch):
    _, run = host
    trained(steps=2)
    before = contents(*places)

    def read(*given):
        raise AssertionError("pictures were read")

    monkeypatch.setattr(compat, "encode_pictures", read)
    monkeypatch.setattr("hypernet_pack.nodes.train.asked.pictures_hash", read)
    result = run(short(steps=2, seed=3, noise_offset=0.1, **STOP))
    assert result.status == "error"
    assert "seed 0 (now 3); noise_offset 0.0 (now 0.1)" in error_of(result)
    assert 'Choose another name than "style", or set if_taken to "add a number".' in error_of(
        result
    )
    assert contents(*places) == before


def test_a_network_without_a_run_is_kept(trained, places):
    nets, _ = places
    file = save_network(Hypernetwork(HypernetSpec(widths=(16,)), Record(step=9)), nets / "style.pt")
    before = file.read_bytes()
    said = trained(steps=2)
    assert "of whose training nothing is known here" in said and 'saved as "style_2"' in said
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(settings={"steps": 2}), "its settings are not those of its request"),
        (dict(request=5), "manifest.json is damaged, or was edited"),
        (dict(finished={"file": "../../x.pt", "sha256": "0", "step": 2, "at": 1}), 'Name "../../x'),
        (dict(finished={"file": "style.pt", "sha256": "0", "step": 2, "at": 1}), "is not the net"),
        (None, "manifest.json is damaged, or was edited"),
    ],
)
def test_a_manifest_that_was_edited_is_not_believed_and_kept(trained, places, changes, words):
    nets, runs = places
    trained(steps=2)
    if changes is None:
        (runs / "style" / "manifest.json").write_text("{")
    else:
        if "settings" in changes:
            changes = {"settings": manifest_of(runs / "style")["settings"] | {"seed": 77}}
        edit(runs / "style", **changes)
    before = contents(nets, runs)
    said = trained(steps=2)
    assert words in said and 'saved as "style_2"' in said
    after = contents(nets, runs)
    assert {file: after[file] for file in before} == before


def test_a_finished_file_that_was_replaced_is_kept_and_the_run_is_trained_beside_it(
    trained, places
):
    nets, _ = places
    trained(steps=2)
    trained(name="other", steps=2, seed=9)
    (nets / "style.pt").write_bytes(before := (nets / "other.pt").read_bytes())
    said = trained(steps=2)
    assert '"style" is taken, but' in said and "is not the network that the run in" in said
    assert (nets / "style.pt").read_bytes() == before and (nets / "style_2.pt").exists()


def test_a_network_whose_file_is_gone_is_written_again_from_its_run(trained, places):
    nets, _ = places
    trained()
    before = weights(nets / "style.pt")
    (nets / "style.pt").unlink()
    trained()
    assert torch.equal(weights(nets / "style.pt"), before)


# Going on training it


def test_going_on_equals_training_in_one_go(trained, places):
    nets, runs = places
    trained(name="whole", steps=8, ema=0.9)
    trained(steps=4, ema=0.9)
    said = trained(steps=8, ema=0.9, **GO_ON)
    assert '"style" is trained further, and saved as "style_2".' in said
    assert torch.equal(weights(nets / "style_2.pt"), weights(nets / "whole.pt"))
    assert open_network(nets / "style_2.pt").record.step == 8
    assert logged(runs / "style_2") == [5, 6, 7, 8]
    assert open_network(nets / "style.pt").record.step == 4, "the first one stays"
    for choice in (GO_ON, STOP, {}):
        assert '"style_2" is trained already (8 updates)' in trained(steps=8, ema=0.9, **choice)


def test_what_went_on_with_other_settings_is_not_what_they_alone_would_give(trained, places):
    nets, _ = places
    trained(steps=2)
    assert '"style_2"' in trained(steps=4, learning_rate="1e-4", **GO_ON)
    assert '"style_2" is trained already' in trained(steps=4, learning_rate="1e-4", **GO_ON)
    assert 'saved as "style_3"' in trained(steps=4, learning_rate="1e-4")
    assert not torch.equal(weights(nets / "style_2.pt"), weights(nets / "style_3.pt"))


def test_going_on_needs_more_steps(host, short, trained, places):
    _, run = host
    trained(steps=4)
    result = run(short(steps=3, seed=1, **GO_ON))
    assert '"style" has had 4 updates, and steps 3 counts them too: give more' in error_of(result)
    assert '"style" is trained already (4 updates)' in trained(steps=3, **GO_ON)
    other = short(steps=8, **GO_ON)
    other["config"]["inputs"]["layer_structure"] = "1, 3, 1"
    assert '"style" is another network: layer_structure 1, 2, 1 (now 1, 3, 1)' in error_of(
        run(other)
    )


def test_a_network_without_a_run_is_trained_further_from_its_file(trained, places):
    nets, _ = places
    trained(name="other", steps=2)
    (nets / "other.pt").rename(nets / "style.pt")
    said = trained(steps=4, **GO_ON)
    assert 'No "style.pt.optim" belongs to the network' in said
    assert open_network(nets / "style_2.pt").record.step == 4
    assert '"style_2" is trained already' in trained(steps=4, **GO_ON)


def test_an_interrupt_while_going_on_goes_on_from_there(host, short, trained, places, monkeypatch):
    _, run = host
    nets, runs = places
    trained(name="whole", steps=8)
    trained(steps=4)
    interrupted(run, short(steps=8, **GO_ON), monkeypatch, 6)
    assert newest_state(runs / "style_2")[0].step == 6
    trained(steps=8, **GO_ON)
    assert torch.equal(weights(nets / "style_2.pt"), weights(nets / "whole.pt"))


def test_what_was_stopped_and_kept_is_given_back_and_its_rest_can_be_trained(
    host, trained, places, monkeypatch
):
    from hypernet_pack.nodes.train import live

    nets, _ = places
    trained(name="whole", steps=6)
    with monkeypatch.context() as patched:
        stop_at(patched, 3, lambda: live.running()["style"].control.ask("stop"))
        assert "Ended after step 3 of 6" in trained(steps=6)
    said = trained(steps=6)
    assert '"style" is trained already, and was stopped after 3 of 6 updates: loaded.' in said
    assert '"go on training it" the rest is trained' in said
    assert 'saved as "style_2"' in trained(steps=6, **GO_ON)
    assert torch.equal(weights(nets / "style_2.pt"), weights(nets / "whole.pt"))
    for choice in (GO_ON, {}):
        assert '"style_2" is trained already (6 updates)' in trained(steps=6, **choice)


# Unfinished runs


def test_without_resume_a_run_begins_anew_beside_the_unfinished_one(
    host, short, trained, places, monkeypatch
):
    _, run = host
    _, runs = places
    interrupted(run, short(), monkeypatch, 3)
    before = contents(runs)
    said = trained(resume=False)
    assert '"style" is an unfinished run of 3 updates, and resume is off' in said
    after = contents(runs)
    assert {file: after[file] for file in before} == before
    assert logged(runs / "style_2") == [1, 2, 3, 4]
    assert '"style_2" is trained already' in trained(), "rather than going on with the other"


def test_an_unfinished_run_of_the_same_request_comes_first(
    host, short, trained, places, monkeypatch
):
    _, run = host
    nets, _ = places
    interrupted(run, short(seed=1), monkeypatch, 3)
    interrupted(run, short(seed=2, resume=False), monkeypatch, 3)
    trained(seed=2)
    assert [each.name for each in nets.iterdir()] == ["style_2.pt"]
    said = trained(seed=3)
    assert "seed was 1, is now 3." in said, "as ever, with other settings"
    assert (nets / "style.pt").exists()


@pytest.mark.parametrize("choice", [{}, STOP])
def test_an_unfinished_run_of_another_shape_is_left_as_it_is(
    host, short, trained, places, monkeypatch, choice
):
    _, run = host
    _, runs = places
    interrupted(run, short(), monkeypatch, 3)
    before = contents(runs)
    other = short(**choice)
    other["config"]["inputs"]["layer_structure"] = "1, 3, 1"
    if choice:
        words = error_of(run(other))
    else:
        words = trained(other)
        assert 'saved as "style_2"' in words
    assert "trains another network: layer_structure 1, 2, 1 (now 1, 3, 1)" in words
    after = contents(runs)
    assert {file: after[file] for file in before} == before


def test_an_unfinished_run_that_is_damaged_is_left_and_one_begins_beside_it(
    host, short, trained, places, monkeypatch
):
    _, run = host
    _, runs = places
    interrupted(run, short(), monkeypatch, 3)
    for state in (runs / "style").glob("state*.pt"):
        state.write_bytes(b"rotten")
    said = trained()
    assert "cannot be resumed" in said and 'saved as "style_2"' in said


# Others at the same time


def test_five_rates_under_one_name_are_five_files_and_the_book_shows_what_differs(trained, places):
    nets, runs = places
    rates = ["1e-3", "5e-4", "2e-4", "1e-4", "5e-5"]
    for rate in rates:
        trained(steps=2, learning_rate=rate)
    entries = sorted(list_entries(runs, [nets]), key=lambda entry: entry.name)
    assert [entry.name for entry in entries] == ["style", *(f"style_{n}" for n in range(2, 6))]
    assert [entry.network for entry in entries] == [f"{entry.name}.pt" for entry in entries]
    assert {(entry.state, entry.step) for entry in entries} == {("finished", 2)}
    differing = [row for row in compared([runs / entry.name for entry in entries]) if row.differs]
    assert [(row.name, row.texts) for row in differing] == [("learning_rate", rates)]


def test_a_name_that_another_process_trains_is_left_to_it(host, short, trained, places):
    _, run = host
    nets, runs = places
    program = (
        "import sys, filelock, time\n"
        "held = filelock.FileLock(sys.argv[1])\n"
        "held.acquire()\n"
        "print('held', flush=True)\n"
        "time.sleep(600)"
    )
    file = lock.lock_file(runs, "style")
    other = subprocess.Popen([sys.executable, "-c", program, file], stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == b"held\n"
        assert '"style" is being trained just now by another process' in error_of(
            run(short(steps=2, **STOP))
        )
        said = trained(steps=2)
        assert 'by another process: this one is saved as "style_2"' in said
    finally:
        other.kill()
        other.wait()
    trained(steps=2, seed=4)
    assert (nets / "style.pt").exists(), "a process that died holds nothing"


def test_going_on_with_a_run_that_another_process_goes_on_with_is_refused(
    host, short, places, monkeypatch
):
    from filelock import FileLock

    _, run = host
    interrupted(run, short(), monkeypatch, 3)
    with FileLock(lock.lock_file(places[1], "style")):
        result = run(short())
    assert "being trained just now by another process, with the same settings" in error_of(result)


def test_a_file_that_appears_under_the_name_while_it_trains_is_kept(trained, places, monkeypatch):
    nets, runs = places

    def appear():
        (nets / "style.pt").write_bytes(b"somebody else's")

    with monkeypatch.context() as patched:
        stop_at(patched, 3, appear)
        said = trained()
    assert '"style.pt" was there before this training ended, and is kept' in said
    assert (nets / "style.pt").read_bytes() == b"somebody else's"
    assert open_network(nets / "style_2.pt").record.step == 4
    assert manifest_of(runs / "style")["finished"]["file"] == "style_2.pt"
    assert '"style" is trained already (4 updates): loaded' in trained()


# Folders


@pytest.mark.parametrize("name", ["styles/ink", "styles\\ink", " styles/ink.pt "])
def test_a_name_may_lie_in_folders(trained, places, name):
    nets, runs = places
    trained(name=name, steps=2)
    assert open_network(nets / "styles" / "ink.pt").record.name == "ink"
    assert (runs / "styles" / "ink" / "previews" / "ink-2.png").exists()
    assert '"styles/ink" is trained already' in trained(name=name, steps=2)
    trained(name="styles", steps=2), "a folder is no run"
    assert (nets / "styles.pt").exists()


@pytest.mark.parametrize("place", ["models/hypernetworks", "output/hypernet"])
def test_a_folder_that_cannot_be_written_is_found_before_pictures_are_read(
    host, short, monkeypatch, place
):
    from hypernet.disk_space import existing

    folder, run = host
    (folder / "output").mkdir()
    closed = existing(folder / place)
    make = tempfile.TemporaryFile

    def refuse(*, dir):
        if Path(dir) == closed:
            raise PermissionError(13, "Permission denied")
        return make(dir=dir)

    monkeypatch.setattr("hypernet.runs.disk_check.tempfile.TemporaryFile", refuse)
    monkeypatch.setattr(compat, "encode_pictures", None)
    result = run(short())
    assert f'"{closed}" cannot be written, where' in error_of(result)
    assert "Permission denied. Give whoever runs this server the right" in error_of(result)


def test_the_word_in_templates_is_the_name_without_folders_and_number(host, short, trained, places):
    _, runs = places

    def named(**changes):
        prompt = short(steps=2, preview_prompt="", **changes)
        prompt["words"]["inputs"]["template"] = "art by [name]"
        return prompt

    trained(named(name="styles/ink"))
    trained(named(name="styles/ink", seed=1))
    for run in ("ink", "ink_2"):
        with Image.open(runs / "styles" / run / "previews" / f"{run}-2.png") as picture:
            assert json.loads(picture.text["hypernet"])["prompt"] == "art by ink"
    assert "is trained already" in trained(named(name="styles/ink"))
