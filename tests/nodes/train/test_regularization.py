"""Train Hypernet with regularization pictures and prompts to preserve: what they change, that they
are part of what a run is asked for, and that a run with them can be stopped and resumed."""

import json

import pytest
import torch
from hypernet_pack import compat
from hypernet_pack.compat.standalone.progress import request_interrupt
from PIL import Image

from hypernet import open_network

SHORT = dict(steps=5, batch_size=1, accumulation=1, save_every=0, preview_steps=1, probe_every=0)


@pytest.fixture
def house(host, graph):
    """(folder, train): train(side=, **inputs) runs a training beside pictures of other things."""
    folder, run = host
    others = folder / "input" / "others"
    others.mkdir()
    for i, word in enumerate(["horse", "cow", "sheep"]):
        Image.new("RGB", (60, 60), (99, i * 60, 0)).save(others / f"{i} {word}.png")

    def train(side=64, regularized=True, **inputs):
        prompt = graph(**SHORT | inputs)
        if regularized:
            prompt["others"] = {
                "class_type": "HypernetLoadDataset",
                "inputs": dict(
                    folder="others", width=side, height=side, subfolders=True, unreadable="stop"
                ),
            }
            prompt["train"]["inputs"]["regularization"] = ["others", 0]
        return run(prompt)

    return folder, train


def told(result):
    assert result.status == "success", refused(result)
    return "".join(result.outputs["train"]["text"])


def refused(result):
    return f"{result.error or ''} {result.node_errors or ''}".replace("\\'", "'")


def weights(folder, name="style"):
    network = open_network(folder / "models" / "hypernetworks" / f"{name}.pt")
    return torch.cat([each.detach().flatten() for each in network.parameters()])


def test_other_pictures_change_what_is_learnt_by_their_weight(house):
    folder, train = house
    told(train(name="plain", regularized=False))
    told(train(name="silent", regularization_weight=0.0))
    told(train(name="beside"))
    assert torch.equal(weights(folder, "plain"), weights(folder, "silent"))
    assert not torch.equal(weights(folder, "plain"), weights(folder, "beside"))
    manifest = json.loads((folder / "output/hypernet/beside/manifest.json").read_text())
    assert len(manifest["regularization"]["items"]) == 3


def test_the_same_graph_is_loaded_and_other_regularization_is_trained(house):
    folder, train = house
    told(train())
    assert "is trained already" in told(train())
    assert 'saved as "style_2"' in told(train(regularized=False))
    assert 'saved as "style_3"' in told(train(regularization_weight=2.0))
    Image.new("RGB", (60, 60), "white").save(folder / "input" / "others" / "0 horse.png")
    assert "other pictures or words" in told(train())


def test_a_run_that_was_stopped_ends_as_one_that_was_not(house, monkeypatch):
    folder, train = house
    given = dict(preserve=1.0, preserve_every=2, preserve_prompts="a horse\na cow")
    told(train(name="whole", **given))
    update = compat.Progress.update

    def stopping(self, done, preview=None):
        update(self, done, preview)
        if done == 2 and self._total > 2:
            request_interrupt()

    with monkeypatch.context() as patched:
        patched.setattr(compat.Progress, "update", stopping)
        assert train(name="parts", **given).status == "interrupted"
    told(train(name="parts", **given))
    assert torch.equal(weights(folder, "whole"), weights(folder, "parts"))


def test_another_size_is_trained_and_told(house):
    _, train = house
    said = told(train(side=128))
    assert "Regularization pictures are trained at 128×128 and the others at 64×64." in said


def test_own_prompts_decide_what_is_learnt(house):
    folder, train = house
    given = dict(regularized=False, preserve=1.0, preserve_every=1)
    told(train(name="everyday", **given))
    told(train(name="own", preserve_prompts="a horse", **given))
    assert not torch.equal(weights(folder, "everyday"), weights(folder, "own"))


def test_prompts_that_name_the_subject_are_refused_before_time_is_spent(house):
    folder, train = house
    for picture in (folder / "input" / "pictures").glob("*.png"):
        picture.with_suffix(".txt").write_text(f"sks {picture.stem[2:]}", "utf-8")
    said = refused(train(preserve=1.0, preserve_prompts="a horse\nsks on a horse"))
    assert 'preserve_prompts "sks on a horse" ("sks")' in said
    assert not (folder / "output" / "hypernet").exists()
    told(train(preserve=1.0, preserve_prompts="a horse"))
