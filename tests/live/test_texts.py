"""Captions from Generate Text of ComfyUI's core, run once for each picture of a dataset, by a model
with random weights. Started again, ComfyUI does not ask the model again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import comfyui_server
import pytest
from comfyui_server import ComfyUI, Outcome, config, node
from PIL import Image

from hypernet.formats.networks import open_network
from hypernet.runs.preview_files import preview_file, read_about

PICTURES = {"a blue": "blue", "b green": "lime", "c red": "red"}
DESCRIBER = Path(__file__).with_name("tiny_describer.py")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if reason := comfyui_server.missing():
        pytest.skip(reason)
    return tmp_path_factory.mktemp("texts")


@pytest.fixture(scope="module")
def server(base: Path) -> Iterator[ComfyUI]:
    comfyui = ComfyUI(base, DESCRIBER)
    (folder := base / "input" / "squares").mkdir()
    for name, colour in PICTURES.items():
        Image.new("RGB", (64, 64), colour).save(folder / f"{name}.png")
    with comfyui:
        yield comfyui


def graph(**caption) -> dict:
    return {
        "data": node(
            "HypernetLoadDataset", folder="squares", width=64, height=64, subfolders=True,
            unreadable="stop",
        ),
        "pictures": node("HypernetDatasetPictures", dataset=["data", 0], longest_side=64),
        "clip": node("TinyDescriber"),
        "text": node(
            "TextGenerate", clip=["clip", 0], image=["pictures", 0], max_length=6,
            prompt="Describe this picture.", sampling_mode="off",
        ),
        "caption": node(
            "HypernetCaption", dataset=["data", 0], fixed_text="", template="[filewords]",
            **{"source": "texts only", "texts": ["text", 0]} | caption,
        ),
        "show": node("PreviewAny", source=["caption", 1]),
        "texts": node("PreviewAny", source=["text", 0]),
    }  # fmt: skip


def said(outcome: Outcome) -> list[str]:
    assert outcome.status == "success", outcome
    return outcome.text("show").splitlines()


def test_core_writes_a_caption_for_every_picture(server: ComfyUI):
    outcome = server.run(graph())
    report = said(outcome)
    texts = outcome.shown["texts"]["text"]
    assert len(texts) == 3 and len(set(texts)) > 1, texts  # the model sees the pictures
    assert len(report) >= 3 and all(report[:3]), report
    (kept,) = (server.base / "output" / "hypernet_cache").glob("texts-*.tsv")
    assert kept.read_bytes().count(b"\n") == 3


def test_a_network_learns_them_as_captions(server: ComfyUI):
    training = {
        "model": node("HypernetLoadDemoModel"),
        "config": config(),
        "train": node(
            "HypernetTrain", model=["model", 0], clip=["model", 1], vae=["model", 2],
            dataset=["caption", 0], config=["config", 0], name="described", steps=3,
            learning_rate="1e-3", batch_size=1, accumulation=1, seed=1, save_every=0, resume=True,
            preview_prompt="", preview_every=1, preview_steps=1, preview_cfg=2.0,
        ),
    }  # fmt: skip
    outcome = server.run(graph() | training)
    captions = {each.strip() for each in outcome.shown["texts"]["text"]}
    assert outcome.status == "success", outcome
    folder = server.base / "output" / "hypernet" / "described"
    previews = [preview_file(folder, "described", step) for step in (1, 2, 3)]
    assert {read_about(each)["prompt"] for each in previews} <= captions
    network = server.base / "models" / "hypernetworks" / "described.pt"
    assert open_network(network).record.step == 3


def test_one_text_for_three_pictures_is_refused(server: ComfyUI):
    asked = graph(texts=["one", 0]) | {"one": node("StringTrim", string="a", mode="Both")}
    outcome = server.run(asked)
    assert outcome.status == "error" and "There are 1 texts for 3 pictures." in outcome.message


def test_nothing_is_asked_again_after_a_restart(server: ComfyUI, base: Path):
    first = said(server.run(graph()))[:3]
    server.__exit__()
    with server:
        asked = graph()
        del asked["texts"]
        report = said(server.run(asked))
        assert report[:3] == first
        assert "The texts of 3 pictures are from an earlier run." in report[3]
        (folder := base / "input" / "squares").joinpath("a blue.txt").write_text("by hand", "utf-8")
        report = said(server.run(graph(source="sidecar, then texts", trigger_word="sks")))
        assert report[0] == "sks, by hand", report
        assert sorted(each.name for each in folder.glob("*.txt*")) == ["a blue.txt"]
