"""The bundled model and its pictures, in both hosts: it learns, and a network folds into it."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from hosts import Host
from PIL import Image
from prompts import node, sampler

from hypernet.formats.networks import open_network, save_network
from hypernet.network.hypernetwork import Hypernetwork, Record
from hypernet.network.spec import HypernetSpec
from hypernet.runs.fingerprints import model_hash

MODEL = Path(__file__).resolve().parents[2] / "demo" / "tiny-sd"
SIZE, WIDTHS = 128, (48, 96, 112, 128)


def base() -> dict[str, dict]:
    return {
        "demo": node("HypernetLoadDemoModel"),
        "positive": node("CLIPTextEncode", text="red heart", clip=["demo", 1]),
        "negative": node("CLIPTextEncode", text="", clip=["demo", 1]),
        "latent": node("EmptyLatentImage", width=SIZE, height=SIZE, batch_size=1),
    }


def drawn(host: Host, prompt: dict, model: list) -> torch.Tensor:
    prompt = copy.deepcopy(prompt) | {
        "sampled": sampler(model, steps=4, cfg=4.0),
        "decoded": node("VAEDecode", samples=["sampled", 0], vae=["demo", 2]),
        "picture": node("SaveImage", images=["decoded", 0], filename_prefix="demo"),
    }
    outcome = host.run(prompt)
    assert outcome.status == "success", outcome.error or outcome.node_errors
    (file,) = outcome.shown["picture"]["images"]
    with Image.open(host.output_folder / file["filename"]) as picture:
        assert picture.size == (SIZE, SIZE)
        return torch.tensor(list(picture.tobytes())).float()


def test_it_trains_on_the_pictures_that_come_with_the_pack(host: Host):
    prompt = base() | {
        "dataset": node(
            "HypernetLoadDataset",
            folder="pictures [demo]",
            width=SIZE,
            height=SIZE,
            subfolders=True,
            unreadable="stop",
        ),
        "config": node(
            "HypernetConfig",
            layer_structure="1, 2, 1",
            activation="relu",
            weight_initialization="Normal",
            layer_norm=False,
            dropout_structure="",
            activate_output=False,
            widths="",
            seed=1,
        ),
        "train": node(
            "HypernetTrain",
            model=["demo", 0],
            clip=["demo", 1],
            vae=["demo", 2],
            dataset=["dataset", 0],
            config=["config", 0],
            name="on_demo",
            steps=2,
            learning_rate="1e-3",
            batch_size=2,
            accumulation=1,
            seed=1,
            save_every=0,
            resume=True,
            preview_prompt="red heart",
            preview_steps=2,
            preview_cfg=4.0,
        ),
    }
    outcome = host.run(prompt)
    assert outcome.status == "success", outcome.error or outcome.node_errors
    network = open_network(host.network_folder / "on_demo.pt")
    assert network.spec.widths == WIDTHS
    assert network.record.step == 2
    assert network.record.sd_checkpoint_name == MODEL.name
    assert network.record.sd_checkpoint == model_hash(MODEL)
    manifest = json.loads((host.output_folder / "hypernet/on_demo/manifest.json").read_text())
    assert len(manifest["dataset"]["items"]) == 64
    biases = [weight for name, weight in network.named_parameters() if name.endswith("bias")]
    assert biases and all(bias.abs().max() > 0 for bias in biases), "they begin as zeros"


@pytest.fixture
def linear(host: Host) -> str:
    """The name of a linear network that changes every width."""
    spec = HypernetSpec(
        widths=WIDTHS,
        layer_structure=(1, 1),
        activation="linear",
        weight_initialization="XavierNormal",
        seed=3,
    )
    network = Hypernetwork(spec, Record(name="for_demo", step=1))
    save_network(network, host.network_folder / "for_demo.pt", overwrite=True)
    return "for_demo.pt"


def test_a_network_acts_in_it_and_folds_into_it(host: Host, linear: str):
    prompt = base() | {"network": node("HypernetLoad", name=linear)}
    pictures = [drawn(host, prompt, ["demo", 0])]
    for kind in ("HypernetApply", "HypernetFold"):
        prompt[kind] = node(kind, model=["demo", 0], hypernet=["network", 0], strength=0.3)
        pictures.append(drawn(host, prompt, [kind, 0]))
    plain, applied, folded = pictures
    assert (applied - plain).abs().mean() > 5
    assert (folded - applied).abs().mean() < 0.1
