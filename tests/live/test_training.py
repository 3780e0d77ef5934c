"""Train, save, load, apply and decode over HTTP, on a checkpoint of SD 1.5's shape."""

from __future__ import annotations

import time
from pathlib import Path

import comfyui_server
import pytest
import torch
from comfyui_server import ComfyUI, Outcome, node
from PIL import Image

from hypernet.formats.networks import open_network

PIXELS, STEPS = 256, 3
COLOURS = {"red": (200, 30, 30), "green": (30, 180, 60)}


def training(name: str, **changes) -> dict[str, dict]:
    inputs = {
        "model": ["loader", 0],
        "clip": ["loader", 1],
        "vae": ["loader", 2],
        "dataset": ["caption", 0],
        "config": ["config", 0],
        "name": name,
        "steps": STEPS,
        "learning_rate": "1e-3",
        "batch_size": 1,
        "accumulation": 1,
        "seed": 1,
        "save_every": 0,
        "resume": True,
        "preview_prompt": "a red square",
        "preview_steps": 1,
        "preview_cfg": 2.0,
    }
    pixels = changes.pop("pixels", PIXELS)
    return {
        "loader": node("CheckpointLoaderSimple", ckpt_name=comfyui_server.CHECKPOINT),
        "dataset": node(
            "HypernetLoadDataset",
            folder="squares",
            width=pixels,
            height=pixels,
            subfolders=True,
            unreadable="stop",
        ),
        "caption": node(
            "HypernetCaption",
            dataset=["dataset", 0],
            source="sidecar, then file name",
            fixed_text="",
            template="a picture of [filewords]",
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
        "train": node("HypernetTrain", **inputs | changes),
    }


@pytest.fixture(scope="module", autouse=True)
def squares(comfyui: ComfyUI) -> None:
    folder = comfyui.base / "input" / "squares"
    folder.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (PIXELS, PIXELS), colour).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(f"a {name} square", "utf-8")


@pytest.fixture(scope="module")
def trained(comfyui: ComfyUI, squares: None) -> Outcome:
    prompt = training("live")
    prompt["save"] = node("HypernetSave", hypernet=["train", 0], name="saved")
    outcome = comfyui.run(prompt)
    assert outcome.status == "success", outcome.error
    return outcome


def networks(comfyui: ComfyUI) -> Path:
    return comfyui.base / "models" / "hypernetworks"


def test_training_writes_a_network_that_has_learnt(comfyui: ComfyUI, trained: Outcome):
    (path,) = trained.shown["train"]["saved"]
    assert Path(path) == networks(comfyui) / "live.pt"
    network = open_network(path)
    assert network.spec.widths == (320, 640, 768, 1280)
    assert network.record.step == STEPS
    assert network.record.sd_checkpoint_name == comfyui_server.CHECKPOINT
    biases = [weight for name, weight in network.named_parameters() if name.endswith("bias")]
    assert biases and all(bias.abs().max() > 0 for bias in biases), "they begin as zeros"


def test_training_shows_a_preview(comfyui: ComfyUI, trained: Outcome):
    (picture,) = trained.shown["train"]["images"]
    with Image.open(
        comfyui.base / picture["type"] / picture["subfolder"] / picture["filename"]
    ) as file:
        assert file.size == (PIXELS, PIXELS)


def test_a_saved_network_is_the_trained_one(comfyui: ComfyUI, trained: Outcome):
    first, second = (open_network(networks(comfyui) / f"{name}.pt") for name in ("live", "saved"))
    assert first.spec == second.spec
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_it_is_loaded_applied_and_decoded(comfyui: ComfyUI, trained: Outcome):
    prompt = {
        "loader": node("CheckpointLoaderSimple", ckpt_name=comfyui_server.CHECKPOINT),
        "positive": node("CLIPTextEncode", text="a red square", clip=["loader", 1]),
        "negative": node("CLIPTextEncode", text="", clip=["loader", 1]),
        "latent": node("EmptyLatentImage", width=PIXELS, height=PIXELS, batch_size=1),
        "network": node("HypernetLoad", name="saved.pt"),
    }
    for name, strength in (("without", 0.0), ("with", 1.0)):
        prompt[f"{name} network"] = node(
            "HypernetApply", model=["loader", 0], hypernet=["network", 0], strength=strength
        )
        prompt[f"{name} sampled"] = node(
            "KSampler",
            model=[f"{name} network", 0],
            positive=["positive", 0],
            negative=["negative", 0],
            latent_image=["latent", 0],
            seed=1,
            steps=2,
            cfg=3.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        )
        prompt[f"{name} decoded"] = node(
            "VAEDecode", samples=[f"{name} sampled", 0], vae=["loader", 2]
        )
        prompt[name] = node("SaveImage", images=[f"{name} decoded", 0], filename_prefix=name)
    outcome = comfyui.run(prompt)
    assert outcome.status == "success", outcome.error
    pictures = []
    for name in ("without", "with"):
        (file,) = outcome.shown[name]["images"]
        with Image.open(comfyui.base / "output" / file["filename"]) as picture:
            assert picture.size == (PIXELS, PIXELS)
            pictures.append(picture.tobytes())
    assert pictures[0] != pictures[1]


def test_latents_and_texts_of_cores_dataset_nodes_train_and_core_plots_the_losses(
    comfyui: ComfyUI, squares: None
):
    prompt = training("from_core", preview_prompt="")
    del prompt["dataset"], prompt["caption"]
    prompt["pictures"] = node("LoadImageTextDataSetFromFolder", folder="squares")
    prompt["set"] = node(
        "MakeTrainingDataset",
        images=["pictures", 0],
        texts=["pictures", 1],
        vae=["loader", 2],
        clip=["loader", 1],
    )
    inputs = prompt["train"]["inputs"]
    del inputs["dataset"]
    inputs |= {"latents": ["set", 0], "conditioning": ["set", 1]}
    prompt["plot"] = node("LossGraphNode", loss=["train", 1], filename_prefix="loss")
    outcome = comfyui.run(prompt)
    assert outcome.status == "success", outcome.error
    assert open_network(networks(comfyui) / "from_core.pt").record.step == STEPS
    assert outcome.shown["plot"]["images"]


def test_previews_while_training_leave_the_losses_as_they_are(comfyui: ComfyUI, trained: Outcome):
    outcome = comfyui.run(training("watched", preview_every=1, preview_prompt=""))
    assert outcome.status == "success", outcome.error
    runs = comfyui.base / "output" / "hypernet"
    assert (runs / "watched/loss.csv").read_bytes() == (runs / "live/loss.csv").read_bytes()
    names = sorted(path.name for path in (runs / "watched" / "previews").iterdir())
    assert names == [f"watched-{step}.png" for step in range(STEPS + 1)], "0: without"
    with Image.open(runs / "watched" / "previews" / names[1]) as picture:
        assert "Steps: 1, Sampler: Euler" in picture.text["parameters"]


def test_a_network_is_trained_further(comfyui: ComfyUI, trained: Outcome):
    outcome = comfyui.run(training("further", steps=STEPS + 1, continue_from="live.pt"))
    assert outcome.status == "success", outcome.error
    assert open_network(networks(comfyui) / "further.pt").record.step == STEPS + 1
    assert 'No "live.pt.optim" belongs to the network' in outcome.text("train")


def test_an_interrupt_keeps_what_was_trained_and_the_next_run_goes_on(comfyui: ComfyUI):
    run = comfyui.base / "output" / "hypernet" / "stopped"
    prompt_id, fault = comfyui.queue(training("stopped", steps=100_000, pixels=64))
    assert fault is None, fault
    patience = time.monotonic() + comfyui_server.RUN_SECONDS
    while not (run / "manifest.json").exists() and time.monotonic() < patience:
        time.sleep(0.2)
    time.sleep(5)
    comfyui.interrupt()
    assert comfyui.outcome(prompt_id).status == "interrupted"
    assert (run / "state.pt").is_file()
    (kept,) = run.glob("stopped-*.pt")
    done = open_network(kept).record.step
    assert kept.name == f"stopped-{done}.pt"
    assert 1 <= done < 100_000
    assert not (networks(comfyui) / "stopped.pt").exists()

    prompt = training("stopped", steps=done + 1, pixels=64)
    again = comfyui.run(prompt)
    assert again.status == "success", again.error
    assert comfyui.run(prompt).status == "success", "kept, or it would refuse the file"
    assert open_network(networks(comfyui) / "stopped.pt").record.step == done + 1
