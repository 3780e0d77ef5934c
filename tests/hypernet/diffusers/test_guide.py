"""docs/library.md: the lines that it shows are run here as they stand."""

import math
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from hypernet import open_network

ROOT = Path(__file__).parents[3]


def blocks(page):
    found = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text("utf-8"), re.DOTALL)
    assert len(found) == 3, page
    return found


def run(number, names, steps=None):
    """The lines of a block, as a script with these names; only its 500 steps may be fewer."""
    lines = blocks("library.md")[number]
    if steps:
        assert lines.count("steps=500") == 1
        lines = lines.replace("steps=500", f"steps={steps}")
    exec(compile(lines, "docs/library.md", "exec"), names)  # noqa: S102


def test_the_guide_shows_the_same_lines_in_both_languages():
    assert blocks("library.md") == blocks("library.zh.md")


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_readme_shows_the_lines_that_train(page):
    assert blocks("library.md")[1] in (ROOT / page).read_text("utf-8")


def test_the_lines_that_train_leave_a_network_and_a_picture(
    checkpoint, pairs, tmp_path, monkeypatch, capsys
):
    shutil.copytree(checkpoint, tmp_path / "stable-diffusion-v1-5")
    (tmp_path / "pictures").mkdir()
    for place, (picture, caption) in enumerate(pairs):
        picture.save(tmp_path / "pictures" / f"{place}.png")
        (tmp_path / "pictures" / f"{place}.txt").write_text(caption, "utf-8")
    monkeypatch.chdir(tmp_path)
    names = {}
    run(1, names, steps=50)
    network = open_network("my_style.pt")
    assert network.record.step == 50 and network.spec.widths == (16, 24, 32)
    assert math.isfinite(names["step"].loss)
    assert all(weight.isfinite().all() for weight in network.parameters())
    assert re.search(r"^50 [01]\.\d+$", capsys.readouterr().out, re.MULTILINE)
    with Image.open("dog.png") as picture:
        assert picture.size == (16, 16)


def test_a_unet_alone_is_trained_on_as_the_guide_says(pipeline):
    import torch

    import hypernet.diffusers
    from hypernet import HypernetSpec, TrainSettings

    names = {
        "hypernet": hypernet,
        "unet": pipeline.unet,
        "scheduler": pipeline.scheduler,
        "spec": HypernetSpec(widths=(16, 24, 32)),
        "settings": TrainSettings(steps=2),
        "latents": torch.randn(2, 4, 8, 8),
        "context": torch.randn(2, 7, 24),
    }
    run(2, names)
    assert [step.done for step in names["training"]] == [1, 2]


def test_a_network_is_used_as_the_guide_says(pipeline, tmp_path, monkeypatch):
    import torch

    from hypernet import HypernetSpec, Hypernetwork, save_network

    monkeypatch.chdir(tmp_path)
    save_network(Hypernetwork(HypernetSpec(widths=(16, 24, 32))), "my_style.pt")
    names = {"pipeline": pipeline, "context": torch.randn(1, 7, 24)}
    run(0, names)
    assert names["keys"].shape == (1, 7, 24)
    assert names["picture"].size == (16, 16)
    assert (tmp_path / "copy.safetensors").is_file()
