"""What a training node keeps whatever happens: previews, interrupts, beginnings, full disks."""

import csv
import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from hypernet_pack import compat
from hypernet_pack.cli import main as command
from hypernet_pack.compat import io
from hypernet_pack.compat.standalone import folders
from hypernet_pack.compat.standalone.graph.executor import Executor
from hypernet_pack.compat.standalone.progress import request_interrupt
from PIL import Image

from hypernet import open_network
from hypernet.formats import optim_file
from hypernet.formats.optim_file import save_optimizer
from hypernet.runs.state import newest_state

SHORT = dict(steps=3, batch_size=1, accumulation=1, save_every=0, preview_steps=1)


@pytest.fixture
def short(graph):
    return lambda **changes: graph(**SHORT | changes)


def error_of(result):
    return f"{result.error or ''} {result.node_errors or ''}".replace("\\'", "'")


def text_of(result):
    return "".join(result.outputs["train"]["text"])


def weights(path):
    return torch.cat([p.detach().flatten() for p in open_network(path).parameters()])


def losses(folder):
    return [(row["step"], row["loss"]) for row in csv.DictReader(open(folder / "loss.csv"))]


def stop_when(monkeypatch, asked):
    """The user interrupts as soon as asked(bar, step) is true of a progress bar."""
    update = compat.Progress.update

    def stopping(self, step, preview=None):
        update(self, step, preview)
        if asked(self, step):
            request_interrupt()

    monkeypatch.setattr(compat.Progress, "update", stopping)


def test_previews_are_kept_and_shown_and_change_nothing_of_the_training(host, short, monkeypatch):
    folder, run = host
    shown = []
    update = compat.Progress.update

    def record(self, step, preview=None):
        if preview is not None:
            shown.append((step, preview.size))
        update(self, step, preview)

    assert run(short(name="plain")).status == "success"
    monkeypatch.setattr(compat.Progress, "update", record)
    seen = dict(
        preview_every=1, preview_prompt="", preview_negative="blue", preview_seed=7,
        preview_width=32, preview_height=48,
    )  # fmt: skip
    result = run(short(name="seen", **seen))
    assert result.status == "success", error_of(result)
    runs = folder / "output" / "hypernet"
    assert losses(runs / "plain") == losses(runs / "seen")
    nets = folder / "models" / "hypernetworks"
    assert torch.equal(weights(nets / "plain.pt"), weights(nets / "seen.pt"))
    assert shown == [(step, (32, 48)) for step in (1, 2, 3)]
    captions = set()
    for step in (1, 2, 3):
        with Image.open(runs / "seen" / "previews" / f"seen-{step}.png") as picture:
            about = json.loads(picture.text["hypernet"])
            parameters = picture.text["parameters"]
        assert (about["step"], about["seed"], about["negative"]) == (step, 7, "blue")
        assert parameters.startswith(about["prompt"]) and "Seed: 7" in parameters
        captions.add(about["prompt"])
    words = {"red dog", "blue cat", "dog", "cat", "green dog"}
    assert {text.removeprefix("a picture of ") for text in captions} <= words


@pytest.mark.parametrize(
    ("encoders", "leaving"),
    [
        ("to RAM", {"release": [2, 1, 1, 1]}),
        ("unloaded", {"release": [2, 1, 1, 1], "unload": [2, 1, 1, 1]}),
        ("stay on the card", {}),
    ],
)
def test_vae_and_text_encoder_leave_before_training_or_stay(
    host, short, monkeypatch, encoders, leaving
):
    _, run = host
    left = {}
    really = {name: getattr(compat, name) for name in ("release", "unload")}
    for name in really:

        def noted(*given, name=name):
            left.setdefault(name, []).append(len(given) - (name == "unload"))
            really[name](*given)

        monkeypatch.setattr(compat, name, noted)
    result = run(short(encoders=encoders, preview_every=2))
    assert result.status == "success", error_of(result)
    assert left == leaving


def test_encoders_stay_in_ram_where_there_is_no_room_for_them(host, short, monkeypatch, caplog):
    def full(folder, *models):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compat, "unload", full)
    _, run = host
    result = run(short(encoders="unloaded"))
    assert result.status == "success", error_of(result)
    assert "VAE and text encoder stay in RAM: [Errno 28] No space left" in caplog.text


def test_an_interrupt_at_any_moment_keeps_the_state_and_a_finished_run_is_not_run_again(
    host, short, monkeypatch
):
    folder, _run = host
    executor = Executor(command.asyncio.run(command._installed_nodes()))
    broken = short(name="broken", preview_every=2, preview_prompt="dog")

    def run(prompt):
        places = dict(input=folder / "input", output=folder / "output", models=folder / "models")
        with folders.configured(**places):
            return executor.run(json.loads(json.dumps(prompt)))

    left = folder / "output" / "hypernet" / "broken"
    encode, draw = compat.encode_pictures, compat.generate

    def stop_encoding(*given):
        request_interrupt()
        return encode(*given)

    drawn = []

    def stop_drawing(*given, **settings):
        drawn.append(given)
        if len(drawn) == 2:  # the first is without the network, before training
            request_interrupt()
        return draw(*given, **settings)

    with monkeypatch.context() as patched:
        patched.setattr(compat, "encode_pictures", stop_encoding)
        assert run(broken).status == "interrupted"
        assert not left.exists()
    with monkeypatch.context() as patched:
        patched.setattr(compat, "generate", stop_drawing)
        assert run(broken).status == "interrupted"
    with folders.configured(output=folder / "output"):
        assert newest_state(left)[0].step == 2
    with monkeypatch.context() as patched:  # the training's; the last preview is still to come
        stop_when(patched, lambda bar, step: step == 3)
        assert run(broken).status == "interrupted"
    assert (left / "broken-3.pt").exists()
    assert not list((folder / "models" / "hypernetworks").iterdir())
    assert run(broken).status == "success"
    assert run(broken).status == "success", "or it would refuse the file that is there"
    assert run(short(name="whole")).status == "success"
    nets = folder / "models" / "hypernetworks"
    assert torch.equal(weights(nets / "broken.pt"), weights(nets / "whole.pt"))
    assert losses(left) == losses(left.parent / "whole")


class MakeSet(io.ComfyNode):
    """As core's Make Training Dataset: a list of latents and a list of conditionings."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MakeSet",
            display_name="Make Set",
            category="test",
            inputs=[
                io.Vae.Input("vae"),
                io.Clip.Input("clip"),
                io.Custom("HYPERNET_DATASET").Input("dataset"),
                io.Boolean.Input("one_text", default=False),
            ],
            outputs=[
                io.Latent.Output("latents", is_output_list=True),
                io.Conditioning.Output("conditioning", is_output_list=True),
            ],
        )

    @classmethod
    def execute(cls, vae, clip, dataset, one_text):
        from hypernet.dataset.items import read_pixels

        items = dataset.items
        latents = [{"samples": vae.encode(read_pixels(item, dataset))} for item in items]
        texts = [compat.conditioning(clip, item.caption) for item in items]
        return io.NodeOutput(latents, texts[:1] if one_text else texts)


@pytest.fixture
def from_latents(host, short):
    """A function: the run of a graph that trains on latents, with other inputs as given."""
    folder, _run = host
    executor = Executor([*command.asyncio.run(command._installed_nodes()), MakeSet])

    def run(one_text=False, without=("dataset",), **changes):
        prompt = short(**changes)
        prompt["words"]["inputs"]["template"] = "[filewords]"
        prompt["set"] = {
            "class_type": "MakeSet",
            "inputs": {
                "vae": ["model", 2], "clip": ["model", 1], "dataset": ["words", 0],
                "one_text": one_text,
            },
        }  # fmt: skip
        inputs = prompt["train"]["inputs"]
        inputs |= {"latents": ["set", 0], "conditioning": ["set", 1]}
        for name in without:
            del inputs[name]
        places = dict(input=folder / "input", output=folder / "output", models=folder / "models")
        with folders.configured(**places):
            return executor.run(json.loads(json.dumps(prompt)))

    return run


def test_the_same_pictures_as_latents_and_conditionings_give_the_same_network(host, from_latents):
    folder, _run = host
    small = dict(preview_width=16, preview_height=16)  # the tiny VAE halves, others take an eighth
    result = from_latents(name="given", preview_prompt="", **small)
    assert result.status == "success", error_of(result)
    assert from_latents(without=("latents", "conditioning"), name="set").status == "success"
    nets = folder / "models" / "hypernetworks"
    assert torch.equal(weights(nets / "given.pt"), weights(nets / "set.pt"))
    assert from_latents(one_text=True, name="one", **small).status == "success"
    assert not torch.equal(weights(nets / "given.pt"), weights(nets / "one.pt"))


@pytest.mark.parametrize(
    ("without", "connected"),
    [
        (("latents",), "dataset, conditioning"),
        ((), "dataset, latents, conditioning"),
        (("dataset", "conditioning"), "connected: latents."),
        (("dataset", "latents", "conditioning"), "connected: none of them"),
    ],
)
def test_there_is_one_way_to_give_pictures(from_latents, without, connected):
    result = from_latents(without=without)
    assert "A network learns from a dataset, or from latents with conditioning" in error_of(result)
    assert connected in error_of(result)


def test_a_network_is_trained_further_with_its_optimizer_where_that_is_there(host, short):
    folder, run = host
    assert run(short(name="whole", steps=4)).status == "success"
    assert run(short(name="half", steps=2)).status == "success"
    half = folder / "models" / "hypernetworks" / "half.pt"
    plain = run(short(name="plain", steps=4, continue_from="half.pt"))
    assert plain.status == "success", error_of(plain)
    assert 'No "half.pt.optim" belongs to the network; AdamW begins afresh.' in text_of(plain)
    runs = folder / "output" / "hypernet"
    save_optimizer(half, "AdamW", newest_state(runs / "half")[0].optimizer["optimizer"])
    further = run(short(name="further", steps=4, continue_from="half.pt"))
    assert further.status == "success", error_of(further)
    nets = half.parent
    assert torch.equal(weights(nets / "further.pt"), weights(nets / "whole.pt"))
    assert not torch.equal(weights(nets / "plain.pt"), weights(nets / "whole.pt"))
    assert open_network(nets / "further.pt").record.step == 4
    assert losses(runs / "further") == losses(runs / "whole")[2:]
    manifest = json.loads((runs / "further" / "manifest.json").read_text())
    assert manifest["continue_from"] == "half.pt"
    assert manifest["history"] == [{"from_step": 2, "changed": {}}]
    for changes, words in [
        (dict(steps=4, learning_rate="1e-3:2"), 'schedule "1e-3:2" has no rate for step 2'),
        (dict(steps=2), 'continue_from "half.pt" has had 2 updates'),
        (dict(continue_from="no.pt"), 'no hypernetwork "no.pt"'),
        (dict(preview_width=12), "preview_width 12"),
    ]:
        result = run(short(name="new", **{"continue_from": "half.pt"} | changes))
        assert words in error_of(result)
    other = short(name="new", continue_from="half.pt")
    other["config"]["inputs"]["layer_structure"] = "1, 3, 1"
    assert "layer_structure 1, 2, 1 (now 1, 3, 1)" in error_of(run(other))
    assert not (runs / "new").exists()


def test_an_optimizer_lies_beside_its_network_where_it_is_asked_for(host, short):
    folder, run = host
    assert run(short(name="whole", steps=4)).status == "success"
    kept = dict(save_optimizer=True, save_every=1, keep_last=1)
    assert run(short(name="half", steps=2, **kept)).status == "success"
    nets, left = folder / "models" / "hypernetworks", folder / "output" / "hypernet" / "half"
    assert (nets / "half.pt.optim").is_file() and not (nets / "whole.pt.optim").exists()
    assert sorted(p.name for p in left.glob("half-*")) == ["half-2.pt", "half-2.pt.optim"]
    assert (
        optim_file.open_optimizer(left / "half-2.pt", open_network(left / "half-2.pt"))[0]
        == "AdamW"
    )
    further = run(short(name="further", steps=4, continue_from="half.pt"))
    assert further.status == "success", error_of(further)
    assert torch.equal(weights(nets / "further.pt"), weights(nets / "whole.pt"))


def test_a_disk_that_fills_up_ends_no_training(host, short, monkeypatch):
    folder, run = host
    usage = shutil.disk_usage
    left = folder / "output" / "hypernet" / "style"

    def filling(path):
        full = (left / "style-1.pt").exists()
        return SimpleNamespace(total=2**40, used=2**40, free=1000) if full else usage(path)

    monkeypatch.setattr(shutil, "disk_usage", filling)
    result = run(short(save_every=1))
    assert result.status == "success", error_of(result)
    assert "was not saved in" in text_of(result) and "1000 bytes are free" in text_of(result)
    assert open_network(folder / "models" / "hypernetworks" / "style.pt").record.step == 3
    assert open_network(left / "style-1.pt").record.step == 1
