"""The example workflows against what ComfyUI says of its nodes, and the demo one to its end."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path

import pytest
from comfyui_server import REPOSITORY, ComfyUI

from hypernet.formats.networks import open_network

DEMO = REPOSITORY / "demo"
if "demo" not in sys.modules:
    spec = importlib.util.spec_from_file_location(
        "demo", DEMO / "__init__.py", submodule_search_locations=[str(DEMO)]
    )
    sys.modules["demo"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["demo"])

from hypernet_pack.compat.standalone.graph.object_info import describe
from hypernet_pack.compat.standalone.nodes.core import CORE_NODES

from scripts import thumbnails, workflows
from scripts.workflows.descriptions import OTHERS, fields

LOADERS = {"UNETLoader", "CLIPLoader", "DualCLIPLoader", "EmptySD3LatentImage"}
FILES = sorted(workflows.HERE.glob("*.json"))
OF_A_USER = {  # values that name files of the user's
    "ckpt_name", "vae_name", "name", "lora_name", "control_net_name", "image", "continue_from",
    "tagger.model",
}  # fmt: skip
QUICK = {
    "HypernetTrain.steps": 3,
    "HypernetTrain.learning_rate": "cosine 3e-4 to 1e-6 warmup 1",
    "HypernetTrain.preview_every": 0,
}


def contents(file: Path) -> dict:
    return json.loads(file.read_text("utf-8"))


OF_THE_STAND_IN = {
    name: describe(node) for node in CORE_NODES if (name := node.GET_SCHEMA().node_id) in LOADERS
}
KNOWN = OTHERS | OF_THE_STAND_IN


@pytest.mark.parametrize("name", KNOWN)
def test_a_node_of_comfyuis_is_as_the_examples_take_it(comfyui: ComfyUI, name: str):
    ours, theirs = KNOWN[name], comfyui.object_info()[name]
    assert list(theirs["output"]) == ours["output"]
    assert list(theirs["output_name"]) == ours["output_name"]
    kinds = [
        (each, "COMBO" if isinstance(kind, list) else kind)
        for each, kind, _ in fields(theirs["input"])
    ]
    assert kinds == [(each, kind) for each, kind, _ in fields(ours["input"])]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_comfyui_knows_every_node_socket_and_choice(comfyui: ComfyUI, file: Path):
    infos = comfyui.object_info()
    content = contents(file)
    for node in content["nodes"]:
        if node["type"] in thumbnails.NOTES:
            continue
        info = infos[node["type"]]
        assert [each["type"] for each in node["outputs"]] == list(info["output"])
    for node in thumbnails.as_prompt(content, infos).values():
        known = infos[node["class_type"]]["input"]
        for name, kind, options in fields(known):
            if name not in node["inputs"]:
                assert name in known.get("optional", {}), f"{node['class_type']} lacks {name}"
                continue
            choices = kind if isinstance(kind, list) else options.get("options")
            if choices and name not in OF_A_USER and not isinstance(choices[0], dict):
                value = node["inputs"][name]
                assert isinstance(value, list) or value in choices, (name, value)


def test_the_demo_runs_as_it_is_and_its_pictures_differ(comfyui: ComfyUI):
    content = contents(workflows.HERE / "first_network_demo.json")
    prompt = thumbnails.as_prompt(content, comfyui.object_info())
    for node in prompt.values():
        for name, value in QUICK.items():
            which, _, key = name.partition(".")
            if which == node["class_type"]:
                node["inputs"][key] = value
    began = time.monotonic()
    outcome = comfyui.run(prompt)
    assert outcome.status == "success", outcome.error or outcome.node_errors
    print(f"{time.monotonic() - began:.0f} s for {QUICK}")
    network = open_network(comfyui.base / "models" / "hypernetworks" / "my_first_network.pt")
    assert network.spec.widths == (48, 96, 112, 128)
    assert network.record.step == 3
    console = comfyui.words()
    told = [line for line in console.splitlines() if 'Training "my_first_network"' in line]
    assert len(told) == 1 and "100% 3/3 [" in told[0] and ", loss " in told[0]
    assert console.count("my_first_network.pt after 3 steps.") == 1
    pictures = [
        (comfyui.base / "output" / each["subfolder"] / each["filename"]).read_bytes()
        for node, shown in outcome.shown.items()
        if prompt[node]["class_type"] == "SaveImage"
        for each in shown["images"]
    ]
    assert len(pictures) == len(set(pictures)) == 8
