"""From pictures to a file, through the nodes: what a run leaves behind and what stops it."""

import csv
import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from hypernet import open_network


def files(folder):
    return sorted(p.name for p in folder.iterdir())


def same_weights(a, b):
    return all(
        torch.equal(x, y)
        for x, y in zip(open_network(a).parameters(), open_network(b).parameters(), strict=True)
    )


def error_of(result):
    return f"{result.error or ''} {result.node_errors or ''}"


def succeeded(result):
    assert result.status == "success", error_of(result)
    return True


def test_a_run_leaves_the_file_the_log_and_the_checkpoints(host, graph):
    folder, run = host
    result = run(graph())
    assert result.status == "success", error_of(result)
    network = open_network(folder / "models" / "hypernetworks" / "style.pt")
    assert network.record.step == 8 and network.record.name == "style"
    assert network.record.sd_checkpoint_name == "tiny"
    assert network.spec.widths == (16, 24, 32), "every width of the model, from its to_k"
    left = folder / "output" / "hypernet" / "style"
    assert files(left) == [
        "loss.csv", "manifest.json", "previews", "seen.jsonl", "state-before.pt", "state.pt",
        "style-3.pt", "style-6.pt",
    ]  # fmt: skip
    assert files(left / "previews") == ["style-8.png"]
    rows = list(csv.DictReader(open(left / "loss.csv")))
    assert [int(row["step"]) for row in rows] == list(range(1, 9))
    assert [float(row["learn_rate"]) for row in rows] == [1e-3] * 4 + [5e-4] * 4
    assert open_network(left / "style-6.pt").record.step == 6
    manifest = json.loads((left / "manifest.json").read_text())
    assert manifest["settings"]["learning_rate"] == "1e-3:4, 5e-4"
    assert manifest["model_hash"] == network.record.sd_checkpoint
    assert len(manifest["model_hash"]) == len(manifest["dataset_hash"]) == 10


def test_a_preview_carries_its_graph_as_the_hosts_own_pictures_do(host, graph):
    folder, run = host
    workflow = {"nodes": [], "extra": {"note": "with ü"}}
    run(graph(steps=1), workflow)
    with Image.open(folder / "output" / "hypernet" / "style" / "previews" / "style-1.png") as png:
        texts = png.text
    assert json.loads(texts["workflow"]) == workflow
    assert json.loads(texts["prompt"])["train"]["class_type"] == "HypernetTrain"
    assert type(texts["workflow"]) is str, "tEXt, where editors look, and not iTXt"
    assert "Hypernet step: 1" in texts["parameters"]


def test_one_seed_gives_one_file_bit_by_bit(host, graph):
    folder, run = host
    run(graph(name="one"))
    torch.manual_seed(123)  # the global state must not matter
    run(graph(name="two"))
    run(graph(name="three", seed=1))
    nets = folder / "models" / "hypernetworks"
    assert same_weights(nets / "one.pt", nets / "two.pt")
    assert not same_weights(nets / "one.pt", nets / "three.pt")


def test_an_interrupt_keeps_what_was_trained_and_resuming_gives_the_unbroken_file(
    host, graph, monkeypatch
):
    from hypernet_pack import compat
    from hypernet_pack.compat.standalone.progress import request_interrupt

    folder, run = host
    assert succeeded(run(graph(name="whole")))
    update = compat.Progress.update

    def stop_at_six(self, step, preview=None):
        update(self, step, preview)
        if step == 6:  # there are five pictures to read before
            request_interrupt()

    with monkeypatch.context() as patched:
        patched.setattr(compat.Progress, "update", stop_at_six)
        assert run(graph(name="broken")).status == "interrupted"
    nets = folder / "models" / "hypernetworks"
    left = folder / "output" / "hypernet" / "broken"
    assert files(nets) == ["whole.pt"], "an unfinished network does not pose as a finished one"
    assert open_network(left / "broken-6.pt").record.step == 6
    assert succeeded(run(graph(name="broken")))
    assert same_weights(nets / "whole.pt", nets / "broken.pt")
    steps = [row["step"] for row in csv.DictReader(open(left / "loss.csv"))]
    assert steps == [str(n) for n in range(1, 9)]


def test_pictures_and_prompts_are_encoded_once_for_all_runs(host, graph, monkeypatch):
    from hypernet_pack import compat
    from PIL import Image

    folder, run = host
    asked = {"pictures": 0, "texts": 0}
    pictures, texts = compat.encode_pictures, compat.encode_texts

    def encode_pictures(vae, pixels, model):
        asked["pictures"] += 1
        return pictures(vae, pixels, model)

    def encode_texts(clip, prompts, model):
        asked["texts"] += len(prompts)
        return texts(clip, prompts, model)

    def encoded_by(**training):
        asked.update(pictures=-1, texts=-1)  # one question to each encoder tells which it is
        assert succeeded(run(graph(**training)))
        return dict(asked)

    monkeypatch.setattr(compat, "encode_pictures", encode_pictures)
    monkeypatch.setattr(compat, "encode_texts", encode_texts)
    first = encoded_by(name="one")
    assert first["pictures"] == 5 and first["texts"] >= 5
    assert encoded_by(name="two") == {"pictures": 0, "texts": 0}
    nets = folder / "models" / "hypernetworks"
    assert same_weights(nets / "one.pt", nets / "two.pt")
    Image.new("RGB", (50, 40), (1, 2, 3)).save(folder / "input" / "pictures" / "0 red dog.png")
    assert encoded_by(name="three") == {"pictures": 1, "texts": 0}
    assert not same_weights(nets / "one.pt", nets / "three.pt")


@pytest.mark.parametrize("sampling", ["once", "random"])
def test_samples_of_latents_teach_otherwise_than_means(host, graph, sampling):
    folder, run = host
    assert succeeded(run(graph(name="mean")))
    assert succeeded(run(graph(name="drawn", latent_sampling=sampling)))
    assert succeeded(run(graph(name="again", latent_sampling=sampling)))
    nets = folder / "models" / "hypernetworks"
    assert same_weights(nets / "drawn.pt", nets / "again.pt")
    assert not same_weights(nets / "mean.pt", nets / "drawn.pt")


def test_the_network_changes_the_picture_and_strength_zero_does_not(host, graph):
    folder, run = host
    assert succeeded(run(graph()))

    def picture(strength):
        prompt = {
            "model": graph()["model"],
            "load": node("HypernetLoad", name="style.pt"),
            "apply": node(
                "HypernetApply", model=["model", 0], hypernet=["load", 0], strength=strength
            ),
            "yes": node("CLIPTextEncode", clip=["model", 1], text="red dog"),
            "no": node("CLIPTextEncode", clip=["model", 1], text=""),
            "size": node("EmptyLatentImage", width=64, height=64, batch_size=1),
            "sample": node(
                "KSampler",
                model=["apply", 0], positive=["yes", 0], negative=["no", 0],
                latent_image=["size", 0], seed=1, steps=3, cfg=2.0, sampler_name="euler",
                scheduler="normal", denoise=1.0,
            ),
            "decode": node("VAEDecode", samples=["sample", 0], vae=["model", 2]),
            "save": node("SaveImage", images=["decode", 0], filename_prefix=f"s{strength}"),
        }  # fmt: skip
        if strength is None:
            prompt["sample"]["inputs"]["model"] = ["model", 0]
            del prompt["apply"]
        result = run(prompt)
        assert result.status == "success", error_of(result)
        from PIL import Image

        return list(Image.open(folder / "output" / f"s{strength}_00001_.png").tobytes())

    assert picture(0.0) == picture(None)
    assert picture(10.0) != picture(None)


@pytest.mark.parametrize(
    ("place", "changes", "words"),
    [
        ("train", dict(name="../b"), 'Name "../b"'),
        ("train", dict(if_taken="ask"), 'if_taken "ask": choose one of add a number'),
        ("train", dict(learning_rate="5e-5;100"), 'schedule "5e-5;100"'),
        ("config", dict(layer_structure="1, 2"), 'structure "1, 2" must begin and end with 1'),
        ("config", dict(layer_structure="1, x, 1"), '"x" is not a number'),
        ("config", dict(dropout_structure="0, 0.3"), "has 2 entries"),
        ("config", dict(activation="mush"), "mush"),
        ("config", dict(widths="999"), "Widths 999 are not in this model"),
        ("data", dict(folder="nowhere"), "There is no folder"),
        ("data", dict(folder="."), "holds no pictures"),
        ("data", dict(width=33), "33"),
        ("model", dict(ckpt_name="nothing.safetensors"), "nothing.safetensors"),
    ],
)
def test_bad_input_is_refused_in_words_that_quote_it(host, graph, place, changes, words):
    folder, run = host
    prompt = graph()
    prompt[place]["inputs"] |= changes
    if changes.get("folder") == ".":
        prompt[place]["inputs"]["subfolders"] = False
    result = run(prompt)
    assert result.status != "success"
    assert words in error_of(result).replace("\\'", "'")
    assert not (folder / "output" / "hypernet").exists(), "before any time is spent"


def test_an_existing_file_stops_the_run_before_it_begins_where_that_is_wanted(host, graph):
    folder, run = host
    assert succeeded(run(graph()))
    before = (folder / "models" / "hypernetworks" / "style.pt").read_bytes()
    result = run(graph(steps=9, if_taken="stop"))
    assert result.status != "success"
    assert '"style" is taken by a network trained with steps 8 (now 9)' in error_of(result)
    assert (folder / "models" / "hypernetworks" / "style.pt").read_bytes() == before


def test_an_unreadable_picture_is_named_or_skipped_by_name(host, graph):
    folder, run = host
    (folder / "input" / "pictures" / "broken.png").write_bytes(b"no picture")
    result = run(graph())
    assert result.status != "success" and '"broken.png"' in error_of(result)
    prompt = graph()
    prompt["data"]["inputs"]["unreadable"] = "skip"
    assert succeeded(run(prompt))


def test_too_little_disk_is_said_before_the_run(host, graph, monkeypatch):
    _folder, run = host
    full = SimpleNamespace(total=2**40, used=2**40, free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    result = run(graph())
    assert result.status != "success" and "only 1000 bytes are free" in error_of(result)


def test_a_run_that_goes_on_asks_for_no_room_for_what_is_done(host, graph, monkeypatch):
    _, run = host
    assert succeeded(run(graph(name="first", steps=4, save_every=1)))
    full = SimpleNamespace(total=2**40, used=2**40, free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    further = dict(steps=6, save_every=1, continue_from="first.pt")
    assert "(5 files of" in error_of(run(graph(name="second", **further)))
    assert "(9 files of" in error_of(
        run(graph(name="third", **further | {"continue_from": "nothing"}))
    )


def test_the_network_to_go_on_from_may_be_spelt_otherwise_and_that_is_said(host, graph):
    _, run = host
    assert succeeded(run(graph(name="first", steps=2)))
    result = run(graph(name="second", steps=4, continue_from="First.PT"))
    assert succeeded(result)
    shown = result.outputs["train"]["text"][0]
    assert 'There is no "First.PT"; "first.pt" is used, which differs in capital letters.' in shown


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}
