"""`hypernet run` of the templates that load files: they learn and draw, from tiny files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("diffusers")
from hypernet_pack.cli.main import main
from tiny_models import model_files

from hypernet.formats.networks import open_network

ROOT = Path(__file__).parents[2]
SMALL = {
    "HypernetLoadDataset.width": 64,
    "HypernetLoadDataset.height": 64,
    "HypernetTrain.steps": 2,
    "HypernetTrain.learning_rate": "1e-3",
    "HypernetTrain.preview_every": 0,
    "EmptySD3LatentImage.width": 64,
    "EmptySD3LatentImage.height": 64,
}


@pytest.mark.parametrize("name", ["z_image", "flux", "anima"])
def test_a_template_trains_and_draws_without_a_screen(name, tmp_path, capsys):
    model_files.write(name, tmp_path / "models")
    pictures = tmp_path / "input" / "my_pictures"
    pictures.mkdir(parents=True)
    for place in range(2):
        Image.linear_gradient("L").resize((64, 64 + place)).save(pictures / f"{place}.png")
        (pictures / f"{place}.txt").write_text("a red fox")
    given = [f"--{each}={tmp_path / each}" for each in ("models", "input", "out")]
    given += [f"--set={key}={value}" for key, value in SMALL.items()]
    file = ROOT / "example_workflows" / f"train_on_{name}.json"
    content = json.loads(file.read_text("utf-8"))
    steps = [node["id"] for node in content["nodes"] if node["type"] == "KSampler"]
    given += [f"--set={node}.steps=2" for node in steps]
    code = main(["run", str(file), *given])
    assert code == 0, capsys.readouterr()
    network = open_network(tmp_path / "models" / "hypernetworks" / "my_style.safetensors")
    assert network.record.step == 2 and network.record.architecture == name
    drawn = sorted((tmp_path / "out" / "hypernet").glob("*.png"))
    assert [each.name.split("_")[0] for each in drawn] == ["after", "before"]
    assert drawn[0].read_bytes() != drawn[1].read_bytes()
