"""The example workflow that trains, run without a screen on tiny folders of transformers."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("diffusers")
from tiny_models import pipelines

from hypernet import open_network

EXAMPLE = Path(__file__).parents[2] / "example_workflows" / "train_style.json"
SMALL = {
    "HypernetLoadDataset.folder": "pictures",
    "HypernetLoadDataset.width": 64,
    "HypernetLoadDataset.height": 64,
    "HypernetTrain.steps": 2,
}
SIZES = {"EmptyLatentImage.width": 64, "EmptyLatentImage.height": 64}
STEPS = {"Before.steps": 2, "After.steps": 2, "HypernetTrain.preview_steps": 2}
NAME = "hypernetworks/my_style.safetensors"


def run(folder, settings):
    from hypernet_pack.cli import main as command

    changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    places = ["--input", folder / "input", "--models", folder / "models"]
    arguments = ["run", EXAMPLE, *places, "--out", folder / "output", *changes]
    return command.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    made = {}

    def folder(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp("transformers") / name
            pipelines.pipeline(name).save_pretrained(made[name])
        return made[name]

    return folder


def pictures(folder):
    return [
        np.asarray(Image.open(folder / "output" / "hypernet" / f"{name}_00001_.png"), dtype=int)
        for name in ("before", "after")
    ]


@pytest.mark.parametrize("name", pipelines.NAMES)
def test_a_folder_of_a_transformer_gives_a_network_and_two_pictures(host, folder_of, name):
    folder, _ = host
    model = {"CheckpointLoaderSimple.ckpt_name": folder_of(name)}
    strong = {"HypernetTrain.learning_rate": "1e-2"}
    assert run(folder, SMALL | SIZES | STEPS | model | strong) == 0
    network = open_network(folder / "models" / NAME)
    assert network.record.architecture == name and network.record.step == 2
    before, after = pictures(folder)
    assert before.shape == (64, 64, 3) and before.std() > 1
    assert (before != after).any()


@pytest.mark.parametrize("how", [{"checkpointing": "on"}, {"offload": True}], ids=str)
def test_memory_is_saved_and_the_same_is_learnt(host, folder_of, how):
    folder, _ = host
    model = {"CheckpointLoaderSimple.ckpt_name": folder_of("lumina2")}
    rate = {"HypernetTrain.learning_rate": "1e-3"}
    settings = SMALL | SIZES | STEPS | model | rate
    assert run(folder, settings) == 0
    plain = open_network(folder / "models" / NAME)
    saving = {f"HypernetTrain.{key}": value for key, value in how.items()}
    assert run(folder, settings | saving | {"HypernetTrain.name": "saving"}) == 0
    found = open_network(folder / "models" / NAME.replace("my_style", "saving"))
    assert any(weight.any() for weight in found.parameters())
    for one, other in zip(plain.parameters(), found.parameters(), strict=True):
        assert (one - other).abs().max() < 1e-3


def test_training_goes_on_bit_for_bit_where_it_ended(host, folder_of):
    folder, _ = host
    model = {"CheckpointLoaderSimple.ckpt_name": folder_of("lumina2")}
    settings = SMALL | SIZES | STEPS | model
    settings |= {"HypernetTrain.learning_rate": "1e-3", "HypernetTrain.save_optimizer": True}
    assert run(folder, settings | {"HypernetTrain.steps": 4}) == 0
    assert run(folder, settings | {"HypernetTrain.name": "parts"}) == 0
    more = {"HypernetTrain.steps": 4, "HypernetTrain.if_taken": "go on training it"}
    assert run(folder, settings | {"HypernetTrain.name": "parts"} | more) == 0
    whole, parts = (
        open_network(folder / "models" / "hypernetworks" / f"{name}.safetensors")
        for name in ("my_style", "parts_2")
    )
    assert whole.record.step == parts.record.step == 4
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert one.equal(other)
