"""What a network file is said to be: as data, in lines, as text."""

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork, Record, open_network, save_network
from hypernet.network.vocabulary import ACTIVATIONS
from hypernet.tools.report import as_lines, describe, report_text, residual_size

ABOUT = dict(
    name="style", step=1200, sd_checkpoint="0123456789", sd_checkpoint_name="base.safetensors",
    optional_info="ink on paper",
)  # fmt: skip


def network(record=None, **spec):
    made = Hypernetwork(
        HypernetSpec(**dict(widths=(8, 16), activation="relu") | spec),
        Record(**ABOUT if record is None else record),
    )
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(3))
    return made


@pytest.fixture(params=[".pt", ".safetensors"])
def file(request, tmp_path):
    return tmp_path / f"style{request.param}"


def test_the_data_are_those_of_the_record_and_the_spec(file):
    made = network(layer_norm=True, dropout_structure=(0, 0.25, 0))
    save_network(made, file)
    found = describe(file)
    assert found.pop("residual").keys() == {"8", "16"}
    assert found == ABOUT | {
        "file": str(file),
        "bytes": file.stat().st_size,
        "widths": [8, 16],
        "layer_structure": [1, 2, 1],
        "activation": "relu",
        "activate_output": False,
        "layer_norm": True,
        "dropout_structure": [0, 0.25, 0],
        "skip_connection": False,
        "upsample_linear": False,
        "weight_initialization": "Normal",
        "parameters": sum(p.numel() for p in made.parameters()),
    }


def test_a_network_that_is_open_already_is_said_to_be_the_same(file):
    save_network(network(), file)
    assert describe(file, open_network(file)) == describe(str(file)) == describe(file)


@pytest.mark.parametrize("skip", [False, True])
def test_the_residual_is_how_much_standard_normal_input_is_changed(skip):
    made = network(skip_connection=skip)
    x = torch.randn(256, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        changes = {"k": made.keys(x) - x, "v": made.values(x) - x}
    expected = {side: (change.norm() / x.norm()).item() for side, change in changes.items()}
    assert residual_size(made, 16) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_a_network_of_any_activation_has_a_residual(activation):
    """Softmax2d wants a batch of tokens, as models give it, and not rows."""
    made = network(activation=activation)
    x = torch.randn(1, 256, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = ((made.keys(x) - x).norm() / x.norm()).item()
    assert residual_size(made, 16)["k"] == pytest.approx(expected, abs=1e-5)


def test_a_network_that_changes_nothing_has_no_residual():
    made = Hypernetwork(HypernetSpec(widths=(8,), weight_initialization="ZeroOutput"))
    assert residual_size(made, 8) == {"k": 0, "v": 0}


def test_measuring_the_residual_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    residual_size(network(), 8)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("spec", "label", "words"),
    [
        ({}, "structure", "1, 2, 1"),
        (dict(skip_connection=True), "structure", "1, 2, 1, in blocks with skip connections"),
        (
            dict(skip_connection=True, upsample_linear=True), "structure",
            "1, 2, 1, in blocks with skip connections through a matrix",
        ),
        ({}, "activation", "relu"),
        (dict(activate_output=True), "activation", "relu, on the output too"),
        (dict(activation="linear", activate_output=True), "activation", "linear"),
        ({}, "layer norm", "no"),
        (dict(layer_norm=True), "layer norm", "yes"),
        ({}, "dropout", "no"),
        (dict(dropout_structure=(0, 0.25, 0)), "dropout", "0, 0.25, 0"),
        ({}, "widths", "8, 16"),
        ({}, "parameters", "2,704"),
        ({}, "steps", "1200"),
        ({}, "name", "style"),
        ({}, "trained on", "base.safetensors"),
        ({}, "note", "ink on paper"),
    ],
)  # fmt: skip
def test_a_line_says_it_in_words(tmp_path, spec, label, words):
    save_network(network(**spec), tmp_path / "style.pt")
    assert dict(as_lines(describe(tmp_path / "style.pt")))[label] == words


@pytest.mark.parametrize(("label", "words"), [("trained on", "not recorded"), ("note", "none")])
def test_what_a_record_does_not_say_is_said_to_be_unknown(tmp_path, label, words):
    save_network(network(record={}), tmp_path / "plain.pt")
    lines = dict(as_lines(describe(tmp_path / "plain.pt")))
    assert lines[label] == words and lines["name"] == "plain"


def test_the_text_is_the_file_and_a_line_for_each_fact(file):
    save_network(network(), file)
    told = describe(file)
    first, *lines = report_text(told).splitlines()
    assert first == str(file)
    assert lines == [f"  {label:<11} {words}" for label, words in as_lines(told)]
    sizes = told["residual"]["16"]
    assert f"16: k {sizes['k']:.4f}, v {sizes['v']:.4f}" in lines[-1]


def test_of_a_network_with_places_its_model_places_groups_and_arithmetic_are_said(tmp_path):
    places = (("self", 16), ("cross", 8), ("cross", 16))
    made = network(
        ABOUT | {"architecture": "anima"},
        places=places,
        groups=2,
        arithmetic="bfloat16",
        bias=False,
    )
    found = describe(save_network(made, tmp_path / "style.safetensors"))
    assert found["residual"].keys() == {pair.name for pair in made.spec.pairs}
    assert found["residual"]["self.16.1"]["k"] > 0
    assert (found["architecture"], found["groups"], found["bias"]) == ("anima", 2, False)
    assert found["places"] == {"cross": [8, 16], "self": [16]}
    lines = dict(as_lines(found))
    assert "widths" not in lines
    assert lines["places"] == "cross 8, 16, self 16, in 2 groups of blocks"
    assert (lines["model"], lines["computes in"]) == ("anima", "bfloat16")
    assert lines["structure"] == "1, 2, 1, without biases"
    (tmp_path / "both.hns").write_text('["style", "style"]', "utf-8")
    tree = dict(as_lines(describe(tmp_path / "both.hns")))
    assert tree["places"] == "cross 8, 16, self 16"


def test_of_a_tree_its_networks_are_named(tmp_path):
    for name in ("ink", "wash"):
        save_network(network(), tmp_path / f"{name}.pt")
    tree = tmp_path / "both.hns"
    tree.write_text('{"ink": 0.6, "wash": 0.4}', "utf-8")
    found = describe(tree)
    assert (found["networks"], found["widths"]) == (["ink", "wash"], [8, 16])
    lines = dict(as_lines(found))
    assert (lines["name"], lines["networks"], lines["widths"]) == ("both", "ink, wash", "8, 16")
    assert lines["tree"] == found["tree"] and str(tree) in report_text(found)


def test_a_file_that_is_not_there_or_no_network_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no hypernetwork file ".*missing\.pt"'):
        describe(tmp_path / "missing.pt")
    (tmp_path / "broken.pt").write_bytes(b"no network")
    with pytest.raises(ValueError, match=r'broken\.pt" cannot be read as a hypernetwork'):
        describe(tmp_path / "broken.pt")
