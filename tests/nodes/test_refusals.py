"""What a node refuses before anything runs: each sentence stands on its own input, once."""

import asyncio
import inspect
from copy import deepcopy

import pytest
from hypernet_pack.compat.standalone.graph.node_class import overrides
from hypernet_pack.nodes import Hypernet

FAULTS = [
    # node, its inputs, and words of what is said on which of them
    ("train", {"learning_rate": "fast"}, {"learning_rate": '"fast"'}),
    ("train", {"name": "../ink"}, {"name": "../ink"}),
    ("train", {"continue_from": "inkk.pt"}, {"continue_from": '"inkk.pt"'}),
    (
        "train",
        {"name": "..", "learning_rate": "1e-3:x", "continue_from": "no.pt"},
        {"name": '".."', "learning_rate": '"1e-3:x"', "continue_from": '"no.pt"'},
    ),
    ("config", {"layer_structure": "2, 1"}, {"layer_structure": "begin and end with 1"}),
    ("config", {"layer_structure": ""}, {"layer_structure": "not a number"}),
    ("config", {"widths": "many"}, {"widths": '"many"'}),
    ("config", {"dropout_structure": "0, 2, 0"}, {"dropout_structure": "Dropout"}),
    ("config", {"dropout_structure": "0, 0"}, {"dropout_structure": "2 entries"}),
    (
        "config",
        {"layer_structure": "1, x", "dropout_structure": "y", "widths": "0"},
        {"layer_structure": '"x"', "dropout_structure": '"y"', "widths": "above 0"},
    ),
    (
        "config",
        {"layer_structure": "1, x", "dropout_structure": "y"},
        {"layer_structure": 'Structure "1, x"', "dropout_structure": 'Dropout structure "y"'},
    ),
    (
        "config",
        {"layer_structure": "1, 0.001, 1", "widths": "320"},
        {"layer_structure": "no unit at width 320"},
    ),
    ("words", {"source_order": "nowhere"}, {"source_order": '"nowhere"'}),
    (
        "words",
        {"name_pattern": "(", "replace_tags": "gray hair"},
        {"name_pattern": '"("', "replace_tags": '"gray hair"'},
    ),
    ("data", {"folder": "nowhere"}, {"folder": "nowhere"}),
    ("shown", {"weights": "close-up"}, {"weights": '"close-up"'}),
    (
        "shown",
        {"template_file": "none.txt", "weights": "x = y"},
        {"template_file": "none.txt", "weights": '"x = y"'},
    ),
    ("apply", {"width_factors": "wide: 1"}, {"width_factors": '"wide"'}),
    ("apply", {"start_percent": 0.5, "end_percent": 0.5}, {"end_percent": "not before"}),
    (
        "apply",
        {"start_percent": 1.0, "end_percent": 0.0, "curve": "1: 1, 0: 1", "width_factors": "x"},
        {"end_percent": "not before", "curve": "rise", "width_factors": '"x"'},
    ),
    ("convert", {"keep_widths": "1.5"}, {"keep_widths": '"1.5"'}),
    (
        "convert",
        {"name": "../ink", "keep_widths": "x", "add_widths": "y"},
        {"name": "../ink", "keep_widths": '"x"', "add_widths": '"y"'},
    ),
    (
        "average",
        {"run": "nowhere", "width": 5.0, "name": "../ink"},
        {"run": "nowhere", "width": "width 5", "name": "../ink"},
    ),
]
# It looks for a run, which none of the others makes, so it is only there where it is at fault.
AVERAGE = {"class_type": "HypernetAverage", "inputs": {"run": "", "width": 0.0, "name": "average"}}


@pytest.fixture
def everything(graph):
    """The training graph with every node that looks at several inputs."""

    def node(kind, **inputs):
        return {"class_type": kind, "inputs": inputs}

    # short, for it does train where the fault lies beyond it
    prompt = graph(steps=1, save_every=0, preview_steps=1)
    prompt["train"]["inputs"] |= {"continue_from": "nothing", "dataset": ["shown", 0]}
    prompt["shown"] = node(
        "HypernetWords", dataset=["words", 0], template_file="", weights="", shuffle=False,
        keep_first=0, tag_dropout=0.0, caption_dropout=0.0,
        variants=1,
    )  # fmt: skip
    prompt["convert"] = node(
        "HypernetConvert", hypernet=["train", 0], name="again", file_format="pt",
        numbers="float32", keep_widths="", add_widths="",
    )  # fmt: skip
    prompt["apply"] = node(
        "HypernetApply", model=["model", 0], hypernet=["convert", 0], strength=1.0,
        width_factors="", start_percent=0.0, end_percent=1.0, curve="",
    )  # fmt: skip
    prompt["latent"] = node("EmptyLatentImage", width=64, height=64, batch_size=1)
    prompt["text"] = node("CLIPTextEncode", clip=["model", 1], text="")
    prompt["drawn"] = node(
        "KSampler", model=["apply", 0], positive=["text", 0], negative=["text", 0],
        latent_image=["latent", 0], seed=0, steps=1, cfg=1.0, sampler_name="euler",
        scheduler="normal", denoise=1.0,
    )  # fmt: skip
    prompt["picture"] = node("VAEDecode", samples=["drawn", 0], vae=["model", 2])
    prompt["saved"] = node("SaveImage", images=["picture", 0], filename_prefix="a")
    return prompt


@pytest.mark.parametrize(("where", "changes", "said"), FAULTS)
def test_each_sentence_stands_on_the_input_that_it_is_about(host, everything, where, changes, said):
    _, run = host
    everything.setdefault(where, deepcopy(AVERAGE))["inputs"] |= changes
    result = run(everything)
    assert list(result.node_errors) == [where], result.error
    found = [
        (error["extra_info"]["input_name"], error["details"])
        for error in result.node_errors[where]["errors"]
    ]
    assert sorted(name for name, _ in found) == sorted(said)
    for name, details in found:
        assert said[name] in details and details.startswith(f"{name} - ")
        assert details.count(f"{name}: ") == 0, "the input is named once"


LINKED = [("config", "layer_structure"), ("config", "widths"), ("train", "learning_rate")]


@pytest.mark.parametrize(("where", "name"), LINKED)
def test_a_text_from_another_node_is_not_looked_at_yet(host, everything, where, name):
    _, run = host
    described = {"name": "no such.pt"}
    everything["file"] = {"class_type": "HypernetInspect", "inputs": described}
    everything[where]["inputs"] |= {name: ["file", 0]}
    assert list(run(everything).node_errors) == ["file"]


def test_every_node_that_looks_at_several_inputs_is_in_the_table(everything):
    kinds = {everything.get(where, AVERAGE)["class_type"] for where, *_ in FAULTS}
    looking = [
        node
        for node in asyncio.run(Hypernet().get_node_list())
        if overrides(node, "validate_inputs")
        and len(inspect.getfullargspec(node.validate_inputs).args) > 2  # cls and two inputs
    ]
    assert looking
    for node in looking:
        assert node.define_schema().node_id in kinds
