"""A host on the disk: the tiny random checkpoint, five pictures, a graph that trains on them."""

import importlib.util
import json
from pathlib import Path

import pytest
from PIL import Image

CHECKPOINTS = Path(__file__).parent.parent / "compat" / "conftest.py"


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("checkpoints", CHECKPOINTS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(autouse=True)
def editor():
    """One that is open and listens to nothing. What the host keeps lives as long as it is open."""
    from hypernet_pack.compat.standalone.routes import Editors, speaking_to

    with speaking_to(Editors(lambda name, data: None, list)):
        yield


@pytest.fixture
def host(tmp_path, checkpoint):
    """(folder, run): run(prompt, workflow) runs a graph in that folder and gives the executor's
    result; workflow is what the editor sends beside it."""
    from hypernet_pack.cli import main as command
    from hypernet_pack.compat.standalone import folders
    from hypernet_pack.compat.standalone.graph.executor import Executor

    pictures = tmp_path / "input" / "pictures"
    pictures.mkdir(parents=True)
    for i, word in enumerate(["red dog", "blue cat", "dog", "cat", "green dog"]):
        Image.new("RGB", (50 + i, 40), (i * 40, 0, 99)).save(pictures / f"{i} {word}.png")
    (tmp_path / "models" / "hypernetworks").mkdir(parents=True)
    installed = command.asyncio.run(command._installed_nodes())

    def run(prompt, workflow=None):
        places = dict(
            input=tmp_path / "input", output=tmp_path / "output", models=tmp_path / "models"
        )
        with folders.configured(**places):
            pnginfo = {"workflow": workflow} if workflow else None
            return Executor(installed).run(json.loads(json.dumps(prompt)), pnginfo)

    return tmp_path, run


@pytest.fixture
def graph(checkpoint):
    """A function: the training graph in API format, with inputs of its training node changed."""

    def make(**training):
        return {
            "model": node("CheckpointLoaderSimple", ckpt_name=str(checkpoint)),
            "data": node(
                "HypernetLoadDataset",
                folder="pictures", width=64, height=64, subfolders=True, unreadable="stop",
            ),
            "words": node(
                "HypernetCaption",
                dataset=["data", 0], source="sidecar, then file name", fixed_text="",
                template="[filewords]\na picture of [filewords]",
            ),
            "config": node(
                "HypernetConfig",
                layer_structure="1, 2, 1", activation="mish", weight_initialization="Normal",
                layer_norm=False, dropout_structure="0, 0.2, 0", activate_output=False, widths="",
                seed=0, model=["model", 0],
            ),
            "train": node(
                "HypernetTrain",
                **{
                    "model": ["model", 0], "clip": ["model", 1], "vae": ["model", 2],
                    "dataset": ["words", 0], "config": ["config", 0], "name": "style",
                    "steps": 8, "learning_rate": "1e-3:4, 5e-4", "batch_size": 2,
                    "accumulation": 2, "seed": 0, "save_every": 3, "resume": True,
                    "preview_prompt": "red dog", "preview_steps": 2, "preview_cfg": 2.0,
                }
                | training,
            ),
        }  # fmt: skip

    return make


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}
