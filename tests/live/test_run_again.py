"""Run pressed again in ComfyUI, for train → apply → sample → save: every time there is a picture,
trained is only what was not, and nothing is lost. Whatever keeps the nodes' results between runs,
or does not: each row below is a server of its own, with the demo's model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import comfyui_server
import pytest
from comfyui_server import ComfyUI, Outcome, config, node
from PIL import Image

from hypernet.formats.networks import open_network

PIXELS, STEPS = 64, 3
ROWS = {
    "as it comes": (),
    "nothing is kept": ("--cache-none",),
    "memory is short": ("--cache-ram", "100000"),  # more than there is must stay free
}


def whole_graph(seed: int = 1, strength: float = 1.0, **training) -> dict[str, dict]:
    inputs = {
        "model": ["loader", 0], "clip": ["loader", 1], "vae": ["loader", 2],
        "dataset": ["caption", 0], "config": ["config", 0], "name": "again", "steps": STEPS,
        "learning_rate": "1e-3", "batch_size": 1, "accumulation": 1, "seed": 1, "save_every": 0,
        "resume": True, "preview_prompt": "a red square", "preview_steps": 1, "preview_cfg": 2.0,
    }  # fmt: skip
    return {
        "loader": node("HypernetLoadDemoModel"),
        "dataset": node(
            "HypernetLoadDataset", folder="squares", width=PIXELS, height=PIXELS, subfolders=True,
            unreadable="stop",
        ),
        "caption": node(
            "HypernetCaption", dataset=["dataset", 0], source="sidecar, then file name",
            fixed_text="", template="a picture of [filewords]",
        ),
        "config": config(activation="relu"),
        "train": node("HypernetTrain", **inputs | training),
        "apply": node(
            "HypernetApply", model=["loader", 0], hypernet=["train", 0], strength=strength
        ),
        "positive": node("CLIPTextEncode", text="a red square", clip=["loader", 1]),
        "negative": node("CLIPTextEncode", text="", clip=["loader", 1]),
        "latent": node("EmptyLatentImage", width=PIXELS, height=PIXELS, batch_size=1),
        "sampled": node(
            "KSampler", model=["apply", 0], positive=["positive", 0], negative=["negative", 0],
            latent_image=["latent", 0], seed=seed, steps=2, cfg=3.0, sampler_name="euler",
            scheduler="normal", denoise=1.0,
        ),
        "decoded": node("VAEDecode", samples=["sampled", 0], vae=["loader", 2]),
        "picture": node("SaveImage", images=["decoded", 0], filename_prefix="again"),
    }  # fmt: skip


@pytest.fixture(scope="module", params=ROWS.values(), ids=ROWS)
def serve(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], ComfyUI]:
    """Starts the server of this row, always over the same folder."""
    if reason := comfyui_server.missing():
        pytest.skip(reason)
    base = tmp_path_factory.mktemp("again")
    server = ComfyUI(base, options=request.param)
    (squares := base / "input" / "squares").mkdir()
    for name, colour in {"red": (200, 30, 30), "green": (30, 180, 60)}.items():
        Image.new("RGB", (PIXELS, PIXELS), colour).save(squares / f"{name}.png")
    return lambda: server


def pictured(server: ComfyUI, **changes) -> tuple[Outcome, bytes]:
    """How the graph ended, and the picture that it has saved; a server may answer from what it
    kept, and then shows what it showed before."""
    outcome = server.run(whole_graph(**changes))
    assert outcome.status == "success", outcome.error
    (file,) = outcome.shown["picture"]["images"]
    with Image.open(server.base / "output" / file["filename"]) as picture:
        assert picture.size == (PIXELS, PIXELS)
        return outcome, picture.tobytes()


def networks(server: ComfyUI) -> dict[str, str]:
    folder = server.base / "models" / "hypernetworks"
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.glob("*"))
    }


def runs(server: ComfyUI) -> dict[Path, bytes]:
    folder = server.base / "output" / "hypernet"
    return {
        file: file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.suffix != ".lock"
    }


def test_every_run_draws_and_only_what_is_new_is_trained(serve: Callable[[], ComfyUI]):
    with serve() as server:
        _, first = pictured(server)
        trained, left = networks(server), runs(server)
        assert list(trained) == ["again.pt"]
        outcome, second = pictured(server, seed=1)
        assert second == first
        if server.options:  # nothing was kept: the node has run again, and loaded
            assert '"again" is trained already' in outcome.text("train")
        _, other = pictured(server, seed=2)
        _, weaker = pictured(server, seed=1, strength=0.3)
        assert len({first, other, weaker}) == 3, "another seed, another strength, other pictures"
        assert (networks(server), runs(server)) == (trained, left), "nothing is trained or touched"

    with serve() as server:  # after a restart
        outcome, again = pictured(server)
        assert again == first
        assert '"again" is trained already (3 updates): loaded.' in outcome.text("train")
        assert (networks(server), runs(server)) == (trained, left)

        outcome, _ = pictured(server, steps=STEPS + 1)
        assert 'saved as "again_2"' in outcome.text("train")
        both = networks(server)
        assert list(both) == ["again.pt", "again_2.pt"] and both["again.pt"] == trained["again.pt"]
        outcome, _ = pictured(server, steps=STEPS + 2, if_taken="go on training it")
        assert '"again_2" is trained further, and saved as "again_3".' in outcome.text("train")
        file = server.base / "models" / "hypernetworks" / "again_3.pt"
        assert open_network(file).record.step == STEPS + 2
        assert {file: content for file, content in runs(server).items() if file in left} == left


def test_the_second_of_two_that_are_queued_is_told_its_name(serve: Callable[[], ComfyUI]):
    with serve() as server:
        slow = whole_graph(name="queued", steps=100_000)
        first, fault = server.queue(slow)
        assert fault is None
        second, fault = server.queue(whole_graph(name="queued", steps=STEPS))
        assert fault is None
        told = 'Another training of the name "queued" is in the queue. This one will be saved as'
        assert f'{told} "queued_2"' in server.words()
        _, fault = server.queue(whole_graph(name="queued", if_taken="stop"))
        assert "another training of this name is in the queue" in str(fault.node_errors)
        while not (server.base / "output" / "hypernet" / "queued" / "manifest.json").exists():
            assert server.process.poll() is None
        server.interrupt()
        assert server.outcome(first).status == "interrupted"
        assert server.outcome(second).status == "success", "it goes on with the one that stopped"
