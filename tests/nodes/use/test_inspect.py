"""The tool nodes in a graph, and the same from the command line."""

import json

import pytest
import torch
from hypernet_pack.cli.main import main
from PIL import Image
from safetensors.torch import load_file

from hypernet.formats.networks import open_network, save_network
from hypernet.network.hypernetwork import Hypernetwork, Record
from hypernet.network.spec import HypernetSpec

WIDTHS = (16, 24, 32)  # of the tiny checkpoint


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def write_network(folder, name, seed=0, **settings):
    spec = HypernetSpec(
        **{"widths": WIDTHS, "seed": seed, "weight_initialization": "XavierNormal"} | settings
    )
    return save_network(Hypernetwork(spec, Record(name=name, step=5)), folder / f"{name}.pt")


@pytest.fixture
def networks(host):
    return host[0] / "models" / "hypernetworks"


def test_inspect_and_estimate_say_what_a_network_is(host, networks):
    write_network(networks, "style")
    run = host[1](
        {
            "inspect": node("HypernetInspect", name="style.pt"),
            "config": node(
                "HypernetConfig",
                layer_structure="1, 2, 1", activation="linear", weight_initialization="Normal",
                layer_norm=False, dropout_structure="", activate_output=False, widths="", seed=0,
            ),
            "estimate": node("HypernetEstimate", config=["config", 0]),
        }
    )  # fmt: skip
    assert run.status == "success", run.error
    assert "1, 2, 1" in run.outputs["inspect"]["text"][0]
    assert "file         83.7 MiB" in run.outputs["estimate"]["text"][0]


def test_convert_writes_the_chosen_form(host, networks):
    write_network(networks, "style")
    inputs = {"hypernet": ["load", 0], "file_format": "safetensors", "numbers": "float16"}
    run = host[1](
        {
            "load": node("HypernetLoad", name="style.pt"),
            "convert": node(
                "HypernetConvert", name="small", keep_widths="16, 32", one_matrix=True, **inputs
            ),
        }
    )
    assert run.status == "success", run.error
    small = open_network(networks / "small.safetensors")
    assert small.spec.widths == (16, 32)
    assert small.spec.layer_structure == (1, 1)
    assert (small.record.name, small.record.step) == ("small", 5)
    x = torch.randn(1, 3, 32)
    whole = open_network(networks / "style.pt")
    torch.testing.assert_close(small.keys(x), whole.keys(x), atol=5e-3, rtol=0)


def test_merged_networks_are_compared_in_one_picture(host, networks, checkpoint):
    write_network(networks, "one", seed=1, activation="relu")
    write_network(networks, "two", seed=2, activation="relu")
    run = host[1](
        {
            "model": node("CheckpointLoaderSimple", ckpt_name=str(checkpoint)),
            "words": node("CLIPTextEncode", text="a cat", clip=["model", 1]),
            "one": node("HypernetLoad", name="one.pt"),
            "two": node("HypernetLoad", name="two.pt"),
            "merge": node(
                "HypernetMerge", method="side by side", factors="0.5, 0.5", name="both",
                hypernet_1=["one", 0], hypernet_2=["two", 0],
            ),
            "compare": node(
                "HypernetCompare",
                model=["model", 0], vae=["model", 2], positive=["words", 0], negative=["words", 0],
                strengths="0, 1", width=64, height=64, seed=1, steps=1, cfg=1.0,
                hypernet_1=["one", 0], hypernet_3=["merge", 0],
            ),
            "label": node("HypernetGrid", images=["compare", 0], columns="all", rows=""),
            "save": node("SaveImage", images=["label", 0], filename_prefix="grid"),
        }
    )  # fmt: skip
    assert run.status == "success", run.error
    (saved,) = (host[0] / "output").glob("grid*.png")
    width, height = Image.open(saved).size
    assert width > 2 * 64
    assert height > 2 * 64


@pytest.mark.parametrize(
    ("kind", "inputs", "words"),
    [
        ("HypernetMerge", {"factors": "1, x"}, '"x" is not a number'),
        ("HypernetMerge", {"factors": "1, 2, 3"}, "3 for 1 networks"),
        ("HypernetConvert", {"keep_widths": "1.5"}, 'Widths "1.5"'),
        ("HypernetConvert", {"keep_widths": "999"}, "no width 999"),
        ("HypernetConvert", {"for_core": True}, "activation gelu"),
        ("HypernetConvert", {"name": "../b"}, "../b"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(host, networks, kind, inputs, words):
    write_network(networks, "style", activation="gelu")
    defaults = {
        "HypernetMerge": {"method": "weighted", "name": "m", "hypernet_1": ["load", 0]},
        "HypernetConvert": {
            "hypernet": ["load", 0], "name": "c", "file_format": "pt", "numbers": "float32"
        },
    }  # fmt: skip
    prompt = {
        "load": node("HypernetLoad", name="style.pt"),
        "tool": node(kind, **defaults[kind] | inputs),
    }
    if kind == "HypernetMerge":
        prompt["save"] = node("HypernetSave", hypernet=["tool", 0], name="saved")
    run = host[1](prompt)
    assert run.status in ("error", "invalid")
    assert words in json.dumps(
        [run.error, run.node_errors], default=str, ensure_ascii=False
    ).replace('\\"', '"')


@pytest.mark.parametrize("given", [{"file_format": "pt"}, {"file_format": "pt", "for_core": True}])
def test_a_network_for_a_transformer_is_converted_to_safetensors_only(host, networks, given):
    spec = HypernetSpec(places=(("self", 16), ("cross", 8)), arithmetic="bfloat16")
    network = Hypernetwork(spec, Record(name="waves", architecture="anima"))
    save_network(network, networks / "waves.safetensors", overwrite=True)
    convert = {"hypernet": ["load", 0], "name": "small", "numbers": "float16"}
    prompt = {"load": node("HypernetLoad", name="waves.safetensors")}
    refused = host[1](prompt | {"tool": node("HypernetConvert", **convert | given)})
    words = "no places in a model" if "for_core" in given else 'saved as ".safetensors" only'
    assert refused.status == "error" and words in str(refused.error)
    convert |= {"file_format": "safetensors", "one_matrix": True, "keep_widths": "16"}
    made = host[1](prompt | {"tool": node("HypernetConvert", **convert)})
    assert made.status == "success", made.error
    small = open_network(networks / "small.safetensors")
    (networks / "small.safetensors").unlink()
    assert (small.spec.places, small.spec.layer_structure) == ((("self", 16),), (1, 1))
    assert (small.spec.arithmetic, small.record.architecture) == ("bfloat16", "anima")


def test_the_command_line_estimates_networks_for_known_models(capsys):
    assert main(["estimate", "auto", "--model", "flux"]) == 0
    told = capsys.readouterr().out
    assert "file         108.1 MiB; 54.1 MiB in float16" in told
    assert "places       image 3072, joint 3072, text 3072" in told
    assert "the model    22.4 GiB in bfloat16, 11.2 GiB in 8 bits" in told
    assert main(["estimate", "1, 0.25, 1", "--model", "flux", "--places", "joint"]) == 0
    assert "file         36.0 MiB" in capsys.readouterr().out
    assert main(["estimate", "1, 2, 1", "--widths", "1024"]) == 0
    assert "file         32.0 MiB" in capsys.readouterr().out
    assert main(["estimate", "auto", "--model", "flux", "--places", "self"]) == 2
    assert 'Places "self" are not in this model' in capsys.readouterr().err


def test_the_command_line_makes_files_out_of_files(tmp_path, checkpoint, capsys):
    style = str(write_network(tmp_path, "style"))
    other = str(write_network(tmp_path, "other", seed=1))
    made = {name: str(tmp_path / name) for name in ("small.pt", "both.pt", "lora.safetensors")}
    for arguments in (
        ["convert", style, made["small.pt"], "--one-matrix", "--numbers", "float16"],
        ["merge", made["both.pt"], style, other, "--method", "in-sequence", "--factors", "1, 0.5"],
        ["to-lora", style, made["lora.safetensors"], "--model", str(checkpoint)],
        ["estimate", "1, 2, 1"],
    ):
        assert main(arguments) == 0, capsys.readouterr().err
    told = capsys.readouterr().out
    assert "1 × style, then 0.5 × other" in told
    assert "relative error" in told
    assert "83.7 MiB" in told
    assert main(["convert", style, other]) == 2
    assert "exists and is kept" in capsys.readouterr().err
    assert main(["to-lora", style, str(tmp_path / "x.safetensors"), "--model", "nowhere"]) == 2
    assert '"nowhere" is neither' in capsys.readouterr().err


def test_every_command_finds_a_model_by_its_name_and_by_its_path(
    tmp_path, checkpoint, capsys, monkeypatch
):
    style = str(write_network(tmp_path, "style"))
    (tmp_path / "models" / "checkpoints").mkdir(parents=True)
    (tmp_path / "models" / "checkpoints" / "mine").symlink_to(checkpoint)
    monkeypatch.setenv("HYPERNET_MODELS", str(tmp_path / "models"))
    drawn = ["--prompt", "", "--width", "64", "--height", "64", "--steps", "1", "--strengths", "1"]
    for number, model in enumerate(("mine", str(checkpoint))):
        lora, sheet = tmp_path / f"{number}.safetensors", tmp_path / f"{number}.png"
        for command in (
            ["to-lora", style, str(lora), "--model", model],
            ["compare", str(sheet), style, "--model", model, *drawn],
        ):
            assert main(command) == 0, capsys.readouterr().err
    one, other = (load_file(tmp_path / f"{number}.safetensors") for number in (0, 1))
    assert one and one.keys() == other.keys()
    assert all(one[name].equal(other[name]) for name in one)
    missing = 'checkpoint "min" is neither in'
    for command in (
        ["to-lora", style, str(tmp_path / "x.safetensors"), "--model", "min"],
        ["compare", str(tmp_path / "x.png"), style, "--model", "min", *drawn],
    ):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert missing in said and "Near: mine." in said


def test_the_command_line_compares_networks_in_one_picture(tmp_path, checkpoint, capsys):
    files = [str(write_network(tmp_path, name, seed)) for seed, name in enumerate(("one", "two"))]
    sheet = tmp_path / "sheet.png"
    size = ["--width", "64", "--height", "64", "--steps", "1", "--strengths", "-1, 0, 1"]
    asked = ["compare", str(sheet), *files, "--model", str(checkpoint), "--prompt", "a cat", *size]
    assert main(asked) == 0, capsys.readouterr().err
    width, height = Image.open(sheet).size
    assert width > 3 * 64 and height > 2 * 64
    assert str(sheet) in capsys.readouterr().out
    refusals = [
        (asked, "exists and is kept"),
        ([*asked[:1], str(tmp_path / "a.txt"), *asked[2:]], '"a.txt"'),
        ([*asked[:1], str(tmp_path / "b.png"), *asked[2:], "--width", "65"], "65×64"),
        ([*asked[:1], str(tmp_path / "b.png"), *asked[2:], "--strengths", "a"], '"a"'),
        ([*asked[:1], str(tmp_path / "b.png"), *asked[2:], "--strengths", "11"], "11"),
        ([*asked[:1], str(tmp_path / "b.png"), *asked[2:], "--model", "nowhere"], '"nowhere"'),
    ]
    for arguments, words in refusals:
        assert main(arguments) == 2, arguments
        assert words in capsys.readouterr().err


def test_a_tree_finds_its_networks_in_the_models_folder(host, networks, monkeypatch, capsys):
    write_network(networks, "style")
    tree = networks / "trees" / "twice.hns"
    tree.parent.mkdir()
    tree.write_text('["style", ("style", 0.5)]', "utf-8")
    run = host[1]({"inspect": node("HypernetInspect", name="trees/twice.hns")})
    assert run.status == "success", run.error
    assert "style → style at 0.5" in run.outputs["inspect"]["text"][0]
    monkeypatch.setenv("HYPERNET_MODELS", str(networks.parent))
    one = str(host[0] / "one.pt")
    for arguments in (
        ["inspect", str(tree)],
        ["merge", one, str(tree), "--method", "in-sequence", "--factors", "1"],
    ):
        assert main(arguments) == 0, capsys.readouterr().err
    x = torch.randn(1, 3, 32)
    expected = open_network(tree, [networks]).keys(x)
    torch.testing.assert_close(open_network(one).keys(x), expected, atol=1e-5, rtol=1e-5)


def test_inspecting_a_tree_notices_that_one_of_its_networks_has_changed(host, networks):
    from hypernet_pack.compat.standalone import folders
    from hypernet_pack.nodes.use.inspect import InspectHypernet

    write_network(networks, "style")
    (networks / "tree.hns").write_text('["style", ("style", 0.5)]', "utf-8")
    with folders.configured(models=networks.parent):
        before = InspectHypernet.fingerprint_inputs("tree.hns")
        (networks / "style.pt").unlink()
        write_network(networks, "style", layer_structure=(1, 1))
        assert InspectHypernet.fingerprint_inputs("tree.hns") != before


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.diffusion_model.input_blocks.1.1.a", "down_blocks.0.attentions.0.a"),
        ("model.diffusion_model.input_blocks.8.1.a", "down_blocks.2.attentions.1.a"),
        ("model.diffusion_model.middle_block.1.a", "mid_block.attentions.0.a"),
        ("model.diffusion_model.output_blocks.11.1.a", "up_blocks.3.attentions.2.a"),
        ("down_blocks.0.attentions.0.a", "down_blocks.0.attentions.0.a"),
    ],
)
def test_weights_of_single_file_checkpoints_get_diffusers_names(name, expected):
    from hypernet_pack.compat.standalone.model.block_names import diffusers_name

    assert diffusers_name(name) == expected
