"""What a run was asked for: when two requests are one, and what a manifest tells of it."""

import json
from dataclasses import asdict, fields, replace

import pytest

from hypernet import HypernetSpec
from hypernet.formats.optim_file import short_hash
from hypernet.runs.fingerprints import model_hash
from hypernet.runs.request import (
    PICTURES,
    differences,
    is_over,
    is_prefix,
    make_request,
    request_in,
)
from hypernet.training.settings import BESIDE_LEARNING, TrainSettings

SPEC = HypernetSpec(widths=(8,))


def request(spec=SPEC, pictures="p", model="m", **settings):
    return make_request(TrainSettings(**settings), spec, model=model, pictures=pictures)


def never():
    raise AssertionError("pictures were hashed")


def test_what_does_not_decide_what_is_learnt_is_a_setting():
    assert set(BESIDE_LEARNING) < {each.name for each in fields(TrainSettings)}


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ({}, {}, []),
        (dict(save_every=1, offload=True), dict(save_every=2, probe_every=0), []),
        (dict(seed=1), {}, ["seed 1 (now 0)"]),
        (dict(steps=5, ema=0.9), dict(steps=6), ["steps 5 (now 6)", "ema 0.9 (now 0.0)"]),
        (dict(spec=HypernetSpec(widths=(8, 9))), {}, ["widths 8, 9 (now 8)"]),
        (dict(model="n"), {}, ["another model"]),
        (dict(pictures="q"), {}, [PICTURES]),
    ],
)
def test_differences_are_named(was, now, words):
    assert differences(request(**was), request(**now, pictures=""), lambda: "p") == words


def test_pictures_are_asked_for_last():
    assert differences(request(seed=1), request(pictures=""), never) == ["seed 1 (now 0)"]


@pytest.mark.parametrize(
    ("rate", "is_one"),
    [
        ("1e-5", True), ("1e-5:50, 1e-6", True), ("1e-5:200, 1e-6", True),
        ("constant 1e-5 warmup 10", True), ("cosine 1e-5", False), ("linear 1e-5 to 1e-6", False),
    ],
)  # fmt: skip
def test_more_steps_pass_through_what_fewer_gave_unless_the_curve_knows_its_end(rate, is_one):
    was, now = request(steps=100, learning_rate=rate), request(steps=300, learning_rate=rate)
    assert is_prefix(was, now, 100, lambda: "p") is is_one
    assert not is_prefix(was, replace(now, model="n"), 100, lambda: "p")


@pytest.mark.parametrize(
    ("clip", "is_one"),
    [
        (dict(gradient_clip="norm", clip_limit="0.1"), True),
        (dict(gradient_clip="norm", clip_limit="cosine 0.1 to 0.05"), False),
        (dict(gradient_clip="off", clip_limit="cosine 0.1"), True),
        (dict(gradient_clip="off", clip_limit="none"), True),
    ],
)
def test_a_limit_counts_only_where_gradients_are_clipped(clip, is_one):
    was, now = (request(steps=steps, learning_rate="1e-5", **clip) for steps in (100, 300))
    assert is_prefix(was, now, 100, lambda: "p") is is_one


@pytest.mark.parametrize(("updates", "over"), [(99, False), (100, True), (120, True), (50, False)])
def test_a_run_is_over_after_its_steps(updates, over):
    assert is_over(request(steps=100, learning_rate="1e-5"), updates) is over


def test_a_run_is_over_where_its_schedule_ends():
    assert is_over(request(steps=100, learning_rate="1e-5:60"), 60)


def manifest(**changes):
    found = request()
    settings = asdict(TrainSettings())
    told = {"settings": settings, "spec": asdict(SPEC), "model_hash": "m", "dataset_hash": "p"}
    return json.loads(json.dumps(told | {"request": asdict(found)} | changes))


def test_a_manifest_gives_its_request_back_and_an_older_one_what_it_tells():
    assert not differences(request_in(manifest()), request(), lambda: "p")
    old = manifest()
    del old["request"], old["settings"]["timesteps"]  # which that version did not have
    del old["spec"]["upsample_linear"]
    assert not differences(request_in(old), request(), lambda: "p")


@pytest.mark.parametrize(
    "changes",
    [
        dict(settings=None), dict(spec=5), dict(request=None), dict(request={"settings": {}}),
        dict(model_hash="n"), dict(settings=asdict(TrainSettings(seed=5))),
        dict(settings=asdict(TrainSettings()) | {"learning_rate": "soon"}),
    ],
)  # fmt: skip
def test_a_manifest_that_contradicts_itself_is_refused(changes):
    with pytest.raises(ValueError, match=r"manifest\.json"):
        request_in(manifest(**changes))


def test_a_models_hash_is_remembered_while_its_file_stays_as_it_is(tmp_path, monkeypatch):
    file, memory = tmp_path / "model.safetensors", tmp_path / "memory.json"
    file.write_bytes(b"weights")
    first = model_hash(file, memory)
    assert first == model_hash(file) == short_hash(file)
    monkeypatch.setattr("hypernet.runs.fingerprints.short_hash", lambda path: "read anew")
    assert model_hash(file, memory) == first
    file.write_bytes(b"other weights")
    assert model_hash(file, memory) == "read anew"
    memory.write_bytes(b"rotten")
    assert model_hash(file, memory) == "read anew"
