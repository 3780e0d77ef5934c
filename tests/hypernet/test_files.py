"""Files: what is written can be read by everyone, and nothing else can be."""

import pickle

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork, Record, open_network, save_network
from hypernet.files import check_name

SPECS = [
    dict(),
    dict(activation="relu", layer_structure=(1, 2, 2, 1), layer_norm=True),
    dict(activation="prelu", activate_output=True),
    dict(activation="swish", dropout_structure=(0, 0.1, 0)),
    dict(layer_structure=(1, 1.5, 1.5, 1), activation="mish", dropout_structure=(0, 0.3, 0.05, 0)),
]


def network_of(**settings):
    record = Record(name="my net", step=500, sd_checkpoint="abcdef1234", optional_info="made here")
    network = Hypernetwork(HypernetSpec(widths=(8, 16), **settings), record)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(parameter.numel()))
    return network


@pytest.mark.parametrize("settings", SPECS)
def test_a_saved_network_comes_back_whole(tmp_path, settings):
    network = network_of(**settings)
    again = open_network(save_network(network, tmp_path / "a.pt"))
    assert again.spec == network.spec
    assert again.record == network.record
    for key, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)


def test_the_file_holds_every_key_of_a1111_in_plain_types(tmp_path):
    path = save_network(network_of(activation="relu"), tmp_path / "a.pt")
    payload = torch.load(path, weights_only=True)
    assert type(payload[8]) is tuple and list(payload[8][0]) == [
        "linear.0.weight", "linear.0.bias", "linear.2.weight", "linear.2.bias",
    ]  # fmt: skip
    settings = {key: value for key, value in payload.items() if isinstance(key, str)}
    assert settings == {
        "step": 500,
        "name": "my net",
        "layer_structure": [1, 2, 1],
        "activation_func": "relu",
        "is_layer_norm": False,
        "weight_initialization": "Normal",
        "activate_output": False,
        "use_dropout": False,
        "dropout_structure": [0, 0, 0],
        "last_layer_dropout": False,
        "sd_checkpoint": "abcdef1234",
        "sd_checkpoint_name": None,
        "optional_info": "made here",
    }


def plain(width=8, names=("linear.0", "linear.1")):
    def side():
        return {
            f"{names[0]}.weight": torch.randn(2 * width, width),
            f"{names[0]}.bias": torch.randn(2 * width),
            f"{names[1]}.weight": torch.randn(width, 2 * width),
            f"{names[1]}.bias": torch.randn(width),
        }

    return side(), side()


def saved(tmp_path, payload):
    torch.save(payload, tmp_path / "old.pt")
    return open_network(tmp_path / "old.pt")


@pytest.mark.parametrize(
    "names", [("linear1", "linear2"), ("linear.0", "linear.1"), ("linear.0", "linear.2")]
)
def test_files_of_every_age_are_read_by_the_shapes_of_their_layers(tmp_path, names):
    pair = plain(names=names)
    network = saved(tmp_path, {8: pair})
    x = torch.randn(1, 2, 8)
    k = pair[0]
    hidden = torch.nn.functional.linear(x, k[f"{names[0]}.weight"], k[f"{names[0]}.bias"])
    output = torch.nn.functional.linear(hidden, k[f"{names[1]}.weight"], k[f"{names[1]}.bias"])
    assert torch.equal(network.keys(x), x + output)
    assert network.record.name == "old"


def test_missing_settings_mean_what_they_meant_then(tmp_path):
    cases = [
        ({}, "activation", "linear"),
        ({"activation_func": None}, "activation", "linear"),
        ({"activation_func": "relu"}, "activate_output", True),
        ({"activation_func": "relu", "activate_output": False}, "activate_output", False),
        ({"use_dropout": True}, "dropout_structure", (0, 0, 0)),
        ({"use_dropout": True, "last_layer_dropout": True}, "dropout_structure", (0, 0.3, 0)),
    ]
    for settings, field, value in cases:
        assert getattr(saved(tmp_path, {8: plain(), **settings}).spec, field) == value, settings


def test_string_widths_and_list_pairs_are_read(tmp_path):
    assert saved(tmp_path, {"8": list(plain())}).spec.widths == (8,)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ([1, 2], "holds a list"),
        ({"hello": 1}, "no attention width"),
        ({8: plain(), "skip_connection": True}, "skip connections"),
        ({8: plain(), "activation_func": "wobble"}, 'Activation "wobble" is not known'),
        ({8: plain(16)}, "do not form a chain"),
        ({8: (plain()[0],)}, "pair of state dicts"),
        ({8: ({"conv.weight": torch.ones(1)}, {})}, '"conv.weight" is no layer'),
        ({8: tuple({k: v * float("nan") for k, v in s.items()} for s in plain())}, "NaN"),
    ],
)
def test_what_is_no_network_is_refused_with_the_file_and_the_reason(tmp_path, payload, words):
    with pytest.raises(ValueError) as fault:
        saved(tmp_path, payload)
    assert words in str(fault.value) and "old.pt" in str(fault.value)


class Hostile:
    def __reduce__(self):
        return (print, ("code ran",))


def test_code_in_a_file_is_not_run(tmp_path, capsys):
    for write in (torch.save, lambda obj, path: path.write_bytes(pickle.dumps(obj))):
        write({8: Hostile()}, tmp_path / "evil.pt")
        with pytest.raises(ValueError, match="evil.pt"):
            open_network(tmp_path / "evil.pt")
    assert "code ran" not in capsys.readouterr().out


def test_a_truncated_file_is_refused(tmp_path):
    path = save_network(network_of(), tmp_path / "a.pt")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="a.pt"):
        open_network(path)


def test_an_existing_file_is_never_overwritten_unasked(tmp_path):
    path = save_network(network_of(), tmp_path / "a.pt")
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="Choose another name"):
        save_network(network_of(activation="relu"), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"], "no passing file stays behind"


@pytest.mark.parametrize(
    ("structure", "mebibytes"), [((1, 2, 1), 83.7), ((1, 2, 2, 1), 167.4), ((1, 1), 20.9)]
)
def test_the_size_of_a_file_is_foretold(tmp_path, structure, mebibytes):
    spec = HypernetSpec(layer_structure=structure)
    assert spec.file_bytes / 2**20 == pytest.approx(mebibytes, abs=0.06)
    if structure == (1, 1):
        small = save_network(Hypernetwork(spec), tmp_path / "a.pt")
        assert small.stat().st_size == pytest.approx(spec.file_bytes, rel=0.01)


@pytest.mark.parametrize("name", ["a/b", "..\\up", "", "  ", "..", "a:b", "x" * 200, "new\nline"])
def test_names_that_cannot_be_files_are_refused(name):
    with pytest.raises(ValueError, match="Name"):
        check_name(name)
