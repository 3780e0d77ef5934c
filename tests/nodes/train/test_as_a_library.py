"""hypernet.diffusers.train and Train Hypernet make the same updates with the same seed."""

import csv
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypernet_pack.compat.standalone.model.sampling import scaled_linear
from PIL import Image

import hypernet.diffusers
from hypernet import HypernetSpec, TrainSettings, open_network


@pytest.mark.parametrize("more", [{}, {"latent_sampling": "random", "held_out": 1, "ema": 0.9}])
def test_a_script_makes_the_updates_of_the_node(host, graph, checkpoint, more):
    from diffusers import StableDiffusionPipeline

    folder, run = host
    captions = {}
    for file in sorted((folder / "input" / "pictures").glob("*.png")):
        captions[file] = file.stem[2:]
        file.with_suffix(".txt").write_text(captions[file], "utf-8")
        with Image.linear_gradient("L") as picture:  # wider than high: it is cropped
            picture.resize((80, 40)).rotate(20 * len(captions)).save(file)
    asked = graph(weight_decay=0.1, probe_every=4, **more)
    asked["words"]["inputs"]["template"] = "[filewords]"
    result = run(asked)
    assert result.status == "success", f"{result.error or ''} {result.node_errors or ''}"
    log = folder / "output" / "hypernet" / "style" / "loss.csv"
    expected = [float(row["loss"]) for row in csv.DictReader(log.read_text().splitlines())]

    pipeline = StableDiffusionPipeline.from_pretrained(checkpoint, local_files_only=True)
    spec = HypernetSpec(
        widths=(16, 24, 32), activation="mish", dropout_structure=(0, 0.2, 0), seed=0
    )
    settings = TrainSettings(
        steps=8, learning_rate="1e-3:4, 5e-4", batch_size=2, accumulation=2, seed=0,
        weight_decay=0.1, probe_every=4, **more,
    )  # fmt: skip
    levels = SimpleNamespace(
        alphas_cumprod=scaled_linear(), config=SimpleNamespace(prediction_type="epsilon")
    )
    # diffusers adds its noise levels up in float32, the stand-in in float64: see the last line
    given = pipeline, list(captions.items()), spec, settings
    training = hypernet.diffusers.train(*given, size=(64, 64), scheduler=levels)
    assert [step.loss for step in training] == pytest.approx(expected, rel=1e-6)  # rounded there
    file = Path(folder / "models" / "hypernetworks" / "style.pt")
    for ours, theirs in zip(
        training.network.parameters(), open_network(file).parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)
    own = hypernet.diffusers.train(*given, size=(64, 64))
    assert [step.loss for step in own] == pytest.approx(expected, rel=1e-5)
