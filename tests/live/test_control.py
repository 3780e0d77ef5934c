"""Training under control in ComfyUI, on the demo's model: a grid of previews, a curve of strength,
regularization pictures, and an average that is chosen afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from comfyui_server import ComfyUI, config, node
from PIL import Image

from hypernet.formats.networks import open_network

PIXELS, STEPS = 64, 12


@pytest.fixture(scope="module")
def trained(comfyui: ComfyUI) -> Path:
    """The base folder of a server that has trained the network "control"."""
    for name, colours in {"control": ["red", "green"], "others": ["blue", "grey"]}.items():
        (folder := comfyui.base / "input" / name).mkdir()
        for colour in colours:
            Image.new("RGB", (PIXELS, PIXELS), colour).save(folder / f"{colour}.png")
    datasets = {
        name: node(
            "HypernetLoadDataset", folder=name, width=PIXELS, height=PIXELS, subfolders=True,
            unreadable="stop",
        )
        for name in ("control", "others")
    }  # fmt: skip
    captions = {
        f"words of {name}": node(
            "HypernetCaption", dataset=[name, 0], source="sidecar, then file name",
            fixed_text="", template="[filewords]",
        )
        for name in datasets
    }  # fmt: skip
    outcome = comfyui.run({
        "loader": node("HypernetLoadDemoModel"), **datasets, **captions,
        "config": config(weight_initialization="ZeroOutput"),
        "train": node(
            "HypernetTrain", model=["loader", 0], clip=["loader", 1], vae=["loader", 2],
            dataset=["words of control", 0], regularization=["words of others", 0],
            config=["config", 0], name="control", steps=STEPS, learning_rate="1e-3", batch_size=1,
            accumulation=1, seed=1, save_every=0, resume=True, preview_prompt="a red square",
            preview_prompts="red heart --l 2 --d 7\npizza", preview_control="a tree",
            preview_every=6, preview_steps=2, preview_cfg=2.0, averages=3,
            strength_curve="0: 0.5, 1: 1",
        ),
        "apply": node("HypernetApply", model=["loader", 0], hypernet=["train", 0], strength=1.0),
        "grid": node("SaveImage", images=["train", 4], filename_prefix="grid"),
    })  # fmt: skip
    assert outcome.status == "success", outcome.error
    return comfyui.base


def test_the_grid_has_a_row_for_each_prompt_and_the_bare_model_first(trained: Path):
    file = trained / "output" / "hypernet" / "control" / "previews" / "grid.png"
    with Image.open(file) as grid, Image.open(trained / "output" / "grid_00001_.png") as shown:
        assert grid.convert("RGB").tobytes() == shown.convert("RGB").tobytes()
        assert grid.height > 4 * PIXELS and grid.width > 3 * PIXELS
        assert '"columns": [null, 6, 12]' in grid.text["hypernet"]


def test_the_curve_is_in_the_file_and_is_followed(trained: Path, comfyui: ComfyUI):
    network = open_network(trained / "models" / "hypernetworks" / "control.pt")
    assert network.record.curve == "0: 0.5, 1: 1"


def test_an_average_is_made_of_the_run(trained: Path, comfyui: ComfyUI):
    average = node("HypernetAverage", run="control", width=0.1, name="control_average")
    outcome = comfyui.run({"average": average})
    assert outcome.status == "success", outcome.error
    found = open_network(trained / "models" / "hypernetworks" / "control_average.pt")
    assert found.record.step == STEPS and found.record.curve == "0: 0.5, 1: 1"
