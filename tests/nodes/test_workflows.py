"""The example workflows, as the editor saves them, run in the stand-in host."""

import json
import shutil
from pathlib import Path

import numpy as np
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
    from hypernet_pack.cli import main as command

    changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    places = [
        "--input",
        folder / "input",
        "--models",
        folder / "models",
        "--out",
        folder / "output",
    ]
    file = name if isinstance(name, Path) else EXAMPLES / f"{name}.json"
    arguments = ["run", file, *places, *changes]
    return command.main([str(argument) for argument in arguments])


def test_train_style_gives_a_network_and_two_pictures(host, checkpoint):
    folder, _ = host
    sizes = {"EmptyLatentImage.width": 64, "EmptyLatentImage.height": 64}
    steps = {"Before.steps": 2, "After.steps": 2, "HypernetTrain.preview_steps": 2}
    model = {"CheckpointLoaderSimple.ckpt_name": checkpoint}
    assert run(folder, "train_style", SMALL | sizes | steps | model) == 0
    assert open_network(folder / "models" / "hypernetworks" / "my_style.pt").record.step == 2
    for name in ("before", "after"):
        picture = Image.open(folder / "output" / "hypernet" / f"{name}_00001_.png")
        assert picture.size == (16, 16)  # 8×8 latents; this VAE doubles, where SD's makes eight
        assert "HypernetTrain" in picture.info["prompt"]


def test_the_blueprint_trains_as_one_node_with_the_values_typed_on_it(host, checkpoint):
    folder, _ = host
    (file,) = (EXAMPLES.parent / "subgraphs").iterdir()
    content = json.loads(file.read_text("utf-8"))
    (node,) = content["nodes"]
    loader = {"id": 2, "type": "CheckpointLoaderSimple", "widgets_values": [str(checkpoint)]}
    for place, kind in enumerate(("MODEL", "CLIP", "VAE")):
        node["inputs"][place]["link"] = place
        content["links"].append([place, 2, place, node["id"], place, kind])
    node["widgets_values"] = ["pictures", "from_blueprint", 2, ""]
    whole = folder / "whole.json"
    whole.write_text(json.dumps(content | {"nodes": [node, loader]}), "utf-8")
    small = {"HypernetLoadDataset.width": 64, "HypernetLoadDataset.height": 64}
    assert run(folder, whole, small) == 0
    network = folder / "models" / "hypernetworks" / "from_blueprint.pt"
    assert open_network(network).record.step == 2


def test_a_trained_network_is_applied_by_the_apply_example(host, checkpoint):
    folder, _ = host
    model = {"CheckpointLoaderSimple.ckpt_name": checkpoint}
    small = {"EmptyLatentImage.width": 64, "EmptyLatentImage.height": 64}
    steps = {"Before.steps": 1, "After.steps": 1, "HypernetTrain.preview_steps": 2}
    assert run(folder, "train_style", SMALL | model | small | steps) == 0
    assert run(folder, "apply", model | small | {"KSampler.steps": 2}) == 0
    assert (folder / "output" / "hypernet" / "styled_00001_.png").exists()


def test_the_others_run_with_what_training_has_left(host, checkpoint):
    folder, _ = host
    networks = folder / "models" / "hypernetworks"
    model = {"CheckpointLoaderSimple.ckpt_name": checkpoint}
    small = {"EmptyLatentImage.width": 64, "EmptyLatentImage.height": 64}
    quick = {"Before.steps": 1, "After.steps": 1, "HypernetTrain.preview_steps": 1}
    # with a rate of one's own no start is recorded, which a folded network could not have
    plain = {"HypernetTrain.learning_rate": "1e-4"}
    assert run(folder, "train_style", SMALL | model | small | quick | plain) == 0
    for name in ("my_style-500", "my_style-1000", "my_linear_style"):
        shutil.copy(networks / "my_style.pt", networks / f"{name}.pt")
    compared = {f"HypernetCompare.{side}": 64 for side in ("width", "height")}
    compared |= {"HypernetCompare.steps": 1}
    further = SMALL | plain | {"HypernetTrain.steps": 3, "HypernetTrain.preview_steps": 1}
    assert run(folder, "resume", model | compared | further) == 0
    assert run(folder, "compare_checkpoints", model | compared) == 0
    assert (
        run(folder, "fold_and_export", model | small | {"Applied.steps": 1, "Folded.steps": 1}) == 0
    )
    assert open_network(networks / "my_style_longer.pt").record.step == 3
    assert (folder / "models" / "loras" / "my_linear_style.safetensors").exists()
    assert (networks / "my_linear_style_small.pt").exists()
    made = folder / "output" / "hypernet"
    assert len(list(made.glob("compared_*.png"))) == 2
    applied, folded = (
        np.asarray(Image.open(made / f"{name}_00001_.png"), dtype=float)
        for name in ("applied", "folded")
    )
    assert np.abs(applied - folded).mean() < 1


def test_the_subject_example_trains_on_captions_where_there_is_no_tagger(host, checkpoint):
    folder, _ = host
    (folder / "input" / "pictures").rename(folder / "input" / "my_subject")
    settings = SMALL | {
        "CheckpointLoaderSimple.ckpt_name": checkpoint,
        "HypernetLoadDataset.folder": "my_subject",
        "HypernetCaption.source": "sidecar, then file name",
        "HypernetCaption.tagger": "none",
        "HypernetTrain.preview_steps": 1,
    }
    assert run(folder, "train_subject_with_tagger", settings) == 0
    assert open_network(folder / "models" / "hypernetworks" / "my_subject.pt").record.step == 2


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_examples_hold_no_dead_links_and_no_path_of_anybodys_machine(path):
    content = json.loads(path.read_text("utf-8"))
    nodes = {node["id"]: node for node in content["nodes"]}
    assert content["links"]
    for number, source, slot, target, place, io_type in content["links"]:
        assert number in nodes[source]["outputs"][slot]["links"]
        assert nodes[target]["inputs"][place]["link"] == number
        assert nodes[target]["inputs"][place]["type"] == io_type
    values = [n.get("widgets_values") for n in content["nodes"] if n["type"] != "MarkdownNote"]
    assert "/" not in json.dumps(values).replace("hypernet/", "")
