"""Networks of transformers are files .safetensors: their names are taken as those of .pt are."""

import json

import pytest
import torch

pytest.importorskip("diffusers")
from hypernet_pack import compat
from hypernet_pack.compat.standalone.progress import request_interrupt
from tiny_models import HIDDEN, pipelines

from hypernet import HypernetSpec, Hypernetwork, Record, open_network, save_network

SHORT = dict(
    steps=2, batch_size=1, accumulation=1, save_every=0, preview_steps=1, learning_rate="1e-3"
)
GO_ON, STOP = dict(if_taken="go on training it"), dict(if_taken="stop")


@pytest.fixture
def places(host):
    """Folders: networks, runs."""
    folder, _ = host
    return folder / "models" / "hypernetworks", folder / "output" / "hypernet"


@pytest.fixture(scope="module")
def transformer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transformer") / "lumina2"
    pipelines.pipeline("lumina2").save_pretrained(folder)
    return folder


@pytest.fixture
def short(graph, transformer):
    """The training graph on a transformer, or on another model."""

    def make(model=transformer, **changes):
        prompt = graph(**SHORT | changes)
        prompt["model"]["inputs"]["ckpt_name"] = str(model)
        prompt["data"]["inputs"] |= {"width": 64, "height": 64}
        return prompt

    return make


@pytest.fixture
def trained(host, short):
    """A function: what the node says of a training that ends well."""

    def do(*model, **changes):
        result = host[1](short(*model, **changes))
        assert result.status == "success", error_of(result)
        return "".join(result.outputs["train"]["text"])

    return do


def error_of(result):
    return f"{result.error or ''} {result.node_errors or ''}".replace("\\'", "'")


def names_in(folder):
    return sorted(each.name for each in folder.iterdir())


def weights(path):
    return torch.cat([p.detach().flatten() for p in open_network(path).parameters()])


def placed(file, step=9, architecture="lumina2", width=HIDDEN):
    spec = HypernetSpec(
        widths=(), places=(("image", width), ("joint", width), ("text", width)),
        layer_structure=(1, 0.25, 1), arithmetic="bfloat16",
    )  # fmt: skip
    return save_network(Hypernetwork(spec, Record(step=step, architecture=architecture)), file)


def begun_on(run, architecture):
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["architecture"]
    (run / "manifest.json").write_text(json.dumps(manifest | {"architecture": architecture}))


def test_run_again_loads_what_is_trained_and_numbers_what_is_not(host, short, trained, places):
    nets, _ = places
    assert "Saved" in trained()
    before = (nets / "style.safetensors").read_bytes()
    for choice in ({}, STOP, GO_ON):
        assert '"style" is trained already (2 updates): loaded.' in trained(**choice)
    error = error_of(host[1](short(seed=1, **STOP)))
    assert "seed 0 (now 1)" in error and 'Choose another name than "style"' in error
    said = trained(seed=1)
    assert '"style" is taken by a network trained with seed 0 (now 1)' in said
    assert 'this one is saved as "style_2".' in said
    assert '"style_2" is trained already' in trained(seed=1)
    assert names_in(nets) == ["style.safetensors", "style_2.safetensors"]
    assert (nets / "style.safetensors").read_bytes() == before
    assert open_network(nets / "style_2.safetensors").record.name == "style_2"


def test_going_on_and_an_interruption_equal_training_in_one_go(
    host, short, trained, places, monkeypatch
):
    nets, runs = places
    trained(name="whole", steps=3)
    trained()
    assert '"style" is trained further, and saved as "style_2".' in trained(steps=3, **GO_ON)
    update = compat.Progress.update

    def stopping(self, done, preview=None):
        update(self, done, preview)
        if (done, self._total) == (2, 3):
            request_interrupt()

    with monkeypatch.context() as patched:
        patched.setattr(compat.Progress, "update", stopping)
        assert host[1](short(name="parts", steps=3)).status == "interrupted"
    begun_on(runs / "parts", "z_image")
    error = error_of(host[1](short(name="parts", steps=3, **STOP)))
    assert "this network was trained for z_image and the model is lumina2" in error
    begun_on(runs / "parts", "lumina2")
    trained(name="parts", steps=3)
    for name in ("style_2", "parts"):
        assert weights(nets / f"{name}.safetensors").equal(weights(nets / "whole.safetensors"))


def test_a_file_without_a_run_is_kept_and_can_be_trained_further(trained, places):
    nets, _ = places
    trained(name="other")
    before = (nets / "other.safetensors").read_bytes()
    (nets / "other.safetensors").rename(nets / "style.safetensors")
    assert 'No "style.safetensors.optim" belongs to the network' in trained(steps=3, **GO_ON)
    (nets / "style_2.safetensors").rename(nets / "elsewhere.safetensors")
    assert "of whose training nothing is known here" in trained()
    assert (nets / "style.safetensors").read_bytes() == before


def test_a_name_means_both_kinds_of_file(trained, places, checkpoint):
    nets, _ = places
    unet = save_network(Hypernetwork(HypernetSpec(widths=(16,)), Record(step=9)), nets / "style.pt")
    before = unet.read_bytes()
    assert f'"style" is taken by {unet}, of whose training' in trained()
    said = trained(checkpoint, seed=3)
    assert "is taken by" in said and 'saved as "style_3"' in said
    assert names_in(nets) == ["style.pt", "style_2.safetensors", "style_3.pt"]
    placed(nets / "style.safetensors")  # beside style.pt
    assert '"style_2" is trained already' in trained()
    assert '"style_3" is trained already' in trained(checkpoint, seed=3)
    assert unet.read_bytes() == before


def test_one_of_another_architecture_is_told_in_words(host, short, trained, places, checkpoint):
    nets, _ = places
    trained()
    error = error_of(host[1](short(checkpoint, **GO_ON)))
    assert '"style" is another network: ' in error
    assert f"places joint {HIDDEN} (now none)" in trained(checkpoint)
    assert names_in(nets) == ["style.safetensors", "style_2.pt"]


def test_training_continues_from_the_one_that_is_named(host, short, trained, places):
    nets, _ = places
    trained(name="before")
    save_network(Hypernetwork(HypernetSpec(widths=(16,)), Record(step=1)), nets / "before.pt")
    trained(name="after", steps=3, continue_from="before.safetensors")
    assert open_network(nets / "after.safetensors").record.step == 3
    error = error_of(host[1](short(name="no", steps=3, continue_from="before.pt")))
    assert "Widths 16 are not in this model" in error


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_suffix_in_the_name_is_no_part_of_it(trained, places, suffix):
    trained(name=f"style{suffix}")
    assert names_in(places[0]) == ["style.safetensors"]


def test_a_network_of_another_architecture_is_not_trained_further(host, short, places):
    nets, _ = places
    placed(nets / "style.safetensors", step=1, architecture="z_image")
    error = error_of(host[1](short(**GO_ON)))
    assert "this network was trained for z_image and the model is lumina2" in error
    assert names_in(nets) == ["style.safetensors"]
