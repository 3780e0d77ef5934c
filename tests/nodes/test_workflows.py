"""The example workflows, as the editor saves them, run in the stand-in host."""

import json
from pathlib import Path

import pytest
from PIL import Image

from hypernet import open_network

EXAMPLES = Path(__file__).parent.parent.parent / "example_workflows"
SMALL = {
    "HypernetLoadDataset.folder": "pictures",
    "HypernetLoadDataset.width": 64,
    "HypernetLoadDataset.height": 64,
    "HypernetTrain.steps": 2,
}


def run(folder, name, settings):
    from hypernet_pack.compat.standalone import command

    changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    places = [
        "--input",
        folder / "input",
        "--models",
        folder / "models",
        "--out",
        folder / "output",
    ]
    arguments = ["run", EXAMPLES / f"{name}.json", *places, *changes]
    return command.main([str(argument) for argument in arguments])


def test_train_and_compare_gives_a_network_and_two_pictures(host, checkpoint):
    folder, _ = host
    sizes = {"EmptyLatentImage.width": 64, "EmptyLatentImage.height": 64}
    steps = {"Before.steps": 2, "After.steps": 2, "HypernetTrain.preview_steps": 2}
    model = {"CheckpointLoaderSimple.ckpt_name": checkpoint}
    assert run(folder, "train_and_compare", SMALL | sizes | steps | model) == 0
    assert open_network(folder / "models" / "hypernetworks" / "my_style.pt").record.step == 2
    for name in ("before", "after"):
        picture = Image.open(folder / "output" / "hypernet" / f"{name}_00001_.png")
        assert picture.size == (16, 16)  # 8×8 latents; this VAE doubles, where SD's makes eight
        assert "HypernetTrain" in picture.info["prompt"]


def test_a_trained_network_is_applied_by_the_apply_example(host, checkpoint):
    folder, _ = host
    model = {"CheckpointLoaderSimple.ckpt_name": checkpoint}
    assert run(folder, "train", SMALL | model | {"HypernetTrain.preview_steps": 2}) == 0
    small = {"EmptyLatentImage.width": 64, "EmptyLatentImage.height": 64, "KSampler.steps": 2}
    assert run(folder, "apply", model | small) == 0
    assert (folder / "output" / "hypernet" / "styled_00001_.png").exists()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_examples_hold_no_dead_links_and_no_path_of_anybodys_machine(path):
    content = json.loads(path.read_text("utf-8"))
    nodes = {node["id"]: node for node in content["nodes"]}
    for number, source, slot, target, place, io_type in content["links"]:
        assert number in nodes[source]["outputs"][slot]["links"]
        assert nodes[target]["inputs"][place]["link"] == number
        assert nodes[target]["inputs"][place]["type"] == io_type
    assert "/" not in json.dumps([n["widgets_values"] for n in content["nodes"]]).replace(
        "hypernet/", ""
    )
