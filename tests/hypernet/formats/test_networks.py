"""Network files: everything that is written can be read, and nothing else can."""

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork, Record, open_network, save_network
from hypernet.formats.a1111 import from_payload
from hypernet.formats.networks import read_payload
from hypernet.formats.safetensors_file import read_safetensors
from hypernet.text.file_names import check_name, check_path

SPECS = [
    dict(),
    dict(activation="relu", layer_structure=(1, 2, 2, 1), layer_norm=True),
    dict(activation="prelu", activate_output=True),
    dict(activation="swish", dropout_structure=(0, 0.1, 0)),
    dict(layer_structure=(1, 1.5, 1.5, 1), activation="mish", dropout_structure=(0, 0.3, 0.05, 0)),
    dict(layer_structure=(1, 1.5, 1), activation="relu", layer_norm=True, skip_connection=True),
    dict(activation="prelu", skip_connection=True, upsample_linear=True),
    dict(activation="relu", layer_structure=(1, 2, 0.5, 1), layer_norm=True, bias=False),
]


def network_of(**settings):
    record = Record(
        name="my net", step=500, sd_checkpoint="abcdef1234", optional_info="made here\nby “me”",
        extra={"author": "someone", "tags": ["a", {"b": [1, 2.5, None, True]}]},
    )  # fmt: skip
    network = Hypernetwork(HypernetSpec(widths=(8, 16), **settings), record)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(parameter.numel()))
    return network


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("settings", SPECS)
def test_a_saved_network_comes_back_whole(tmp_path, settings, suffix):
    network = network_of(**settings)
    again = open_network(save_network(network, tmp_path / f"a{suffix}"))
    assert again.spec == network.spec
    assert again.record == network.record
    for key, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_network_without_biases_has_zeros_in_the_file_that_others_read(tmp_path, suffix):
    path = save_network(network_of(bias=False), tmp_path / f"a{suffix}")
    payload = read_payload(path) if suffix == ".pt" else read_safetensors(path)
    assert payload["bias"] is False
    for state in payload[8]:
        assert sorted(state) == sorted(
            f"linear.{n}.{part}" for n in (0, 1) for part in ("weight", "bias")
        )
        assert not state["linear.1.bias"].any() and state["linear.0.bias"].shape == (16,)
    others = {key: value for key, value in payload.items() if key != "bias"}
    there, here = from_payload(others, "a"), open_network(path)
    assert there.spec.bias and not here.spec.bias
    x = torch.randn(1, 3, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(there.keys(x), here.keys(x))
    if suffix == ".pt":
        assert path.stat().st_size == pytest.approx(here.spec.file_bytes, abs=1000)


def test_biases_that_another_program_has_trained_count(tmp_path):
    path = save_network(network_of(bias=False), tmp_path / "a.pt")
    payload = read_payload(path)
    payload[16][1]["linear.1.bias"] += 1
    network = from_payload(payload, "a")
    assert network.spec.bias and network.mlp(16, "v").linear[1].bias.eq(1).all()


def test_the_file_holds_every_key_of_a1111_in_plain_types(tmp_path):
    network = network_of(activation="relu")
    path = save_network(network, tmp_path / "a.pt")
    payload = torch.load(path, weights_only=True)
    assert type(payload[8]) is tuple and list(payload[8][0]) == [
        "linear.0.weight", "linear.0.bias", "linear.2.weight", "linear.2.bias",
    ]  # fmt: skip
    settings = {key: value for key, value in payload.items() if isinstance(key, str)}
    assert settings == network.record.extra | {
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
        "optional_info": "made here\nby “me”",
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


def side_with(name, tensor):
    k, v = plain()
    return {**k, name: tensor}, v


def saved(tmp_path, payload):
    torch.save(payload, tmp_path / "old.pt")
    return open_network(tmp_path / "old.pt")


@pytest.mark.parametrize(
    "names", [("linear1", "linear2"), ("linear.0", "linear.1"), ("linear.0", "linear.2")]
)
def test_old_and_new_files_are_read_by_the_shapes_of_their_layers(tmp_path, names):
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
        ({"activation_func": "relu", "activate_output": None}, "activate_output", False),
        ({"use_dropout": True}, "dropout_structure", (0, 0, 0)),
        ({"use_dropout": True, "last_layer_dropout": True}, "dropout_structure", (0, 0.3, 0)),
        (
            {"use_dropout": False, "dropout_structure": [0, 0.1, 0]},
            "dropout_structure",
            (0, 0.1, 0),
        ),
        ({"dropout_structure": [0, 0.1]}, "dropout_structure", (0, 0, 0)),
        ({"layer_structure": None}, "layer_structure", (1, 2, 1)),
        ({"layer_structure": [1, 3, 1]}, "layer_structure", (1, 2, 1)),
        ({"activation_func": "ReLU"}, "activation", "relu"),
    ]
    for settings, field, value in cases:
        assert getattr(saved(tmp_path, {8: plain(), **settings}).spec, field) == value, settings


def test_string_widths_and_list_pairs_are_read(tmp_path):
    assert saved(tmp_path, {"8": list(plain())}).spec.widths == (8,)


def test_a_file_of_losalina_is_read(tmp_path):
    settings = {
        "enable_sizes": [8, 16], "layer_structure": [1, 2, 1], "activation_func": "mish",
        "is_layer_norm": False, "weight_initialization": "KaimingNormal", "use_dropout": True,
        "dropout_structure": [0, 0, 0.3], "activate_output": False,
    }  # fmt: skip
    network = saved(tmp_path, {8: list(plain()), 16: list(plain(16)), **settings})
    assert network.spec.widths == (8, 16) and network.spec.activation == "mish"
    assert not network.spec.activate_output and network.record.extra == {}


def test_layer_norm_is_recognised_from_the_layers_not_from_losalinas_setting(tmp_path):
    """losalina's trainer takes "False" on its command line for yes, and stores that text."""

    def side():
        norms = {f"linear.{n}.weight": torch.randn(size) for n, size in ((1, 16), (3, 8))}
        norms |= {f"linear.{n}.bias": torch.randn(size) for n, size in ((1, 16), (3, 8))}
        return plain(names=("linear.0", "linear.2"))[0] | norms

    cases = [([side(), side()], True), (list(plain()), False)]
    for pair, layer_norm in cases:
        for said in ("False", "True", False, None):
            network = saved(tmp_path, {8: pair, "is_layer_norm": said})
            assert network.spec.layer_norm == layer_norm, said
    for said in ("False", "None", ""):
        assert not saved(tmp_path, {8: plain(), "skip_connection": said}).spec.skip_connection


def test_an_unrecorded_structure_is_derived_from_the_shapes(tmp_path):
    def pair(width, inner):
        shapes = {"linear.0": (inner, width), "linear.2": (width, inner)}
        side = {f"{n}.weight": torch.randn(s) for n, s in shapes.items()}
        side |= {f"{n}.bias": torch.randn(s[0]) for n, s in shapes.items()}
        return side, side

    cases = [((8, 4), (16, 8), 0.5), ((32, 10), (64, 21), 0.33), ((49, 1), (98, 2), 0.03)]
    for one, two, factor in cases:
        network = saved(tmp_path, {one[0]: pair(*one), two[0]: pair(*two)})
        assert network.spec.layer_structure[1] == factor
    with pytest.raises(ValueError, match="no one layer structure"):
        saved(tmp_path, {8: pair(8, 4), 16: pair(16, 16)})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_dtype_are_read_as_float32(tmp_path, dtype):
    pair = plain()
    network = saved(tmp_path, {8: tuple({n: t.to(dtype) for n, t in s.items()} for s in pair)})
    weight = network.pairs["8"]["k"].linear[0].weight
    assert torch.equal(weight, pair[0]["linear.0.weight"].to(dtype).float())


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_file_can_be_written_in_half_precision(tmp_path, suffix):
    network = network_of()
    path = save_network(network, tmp_path / f"a{suffix}", dtype=torch.float16)
    assert torch.equal(
        next(open_network(path).parameters()), next(network.parameters()).half().float()
    )


def test_step_name_and_base_model_come_back(tmp_path):
    pair = {8: plain()}
    record = saved(tmp_path, {**pair, "step": 7, "name": "x", "sd_checkpoint": "0a1b2c3d4e"}).record
    assert (record.step, record.name, record.sd_checkpoint) == (7, "x", "0a1b2c3d4e")
    assert saved(tmp_path, {**pair, "step": None, "name": None}).record == Record(name="old")


def test_a_network_with_nan_is_not_saved_over_a_good_one(tmp_path):
    path = save_network(network_of(), tmp_path / "a.pt")
    before = path.read_bytes()
    broken = network_of()
    with torch.no_grad():
        next(broken.parameters()).view(-1)[3] = float("nan")
    with pytest.raises(ValueError, match="NaN or infinite numbers at width 8"):
        save_network(broken, path, overwrite=True)
    with torch.no_grad():
        next(broken.parameters()).view(-1)[3] = 1e6
    with pytest.raises(ValueError, match="as float16"):
        save_network(broken, path, overwrite=True, dtype=torch.float16)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ([1, 2], "holds a list"),
        ({"hello": 1}, "no attention width"),
        ({8: plain(), "skip_connection": True}, "its layers have none"),
        ({8: plain(), "8": plain()}, "width 8 twice"),
        ({True: plain()}, "key of type bool"),
        ({8: plain(), "step": "many"}, '"step" should be a whole number'),
        ({8: plain(), "step": -1}, '"step" should be a whole number'),
        ({8: plain(), "step": float("nan")}, '"step" should be a whole number'),
        ({8: plain(), "layer_structure": ["1"]}, '"layer_structure" should be a list'),
        ({8: plain(), "activation_func": 3, "name": [1]}, '"activation_func" should be text'),
        ({8: plain(), "dropout_structure": [0, 2, 0]}, "at least 0, below 1"),
        ({8: plain(), "activation_func": "glu"}, "it halves the width"),
        ({8: plain(), "activation_func": "prelu"}, "its record asks for Linear 16×8, PReLU 1"),
        ({8: side_with("linear.2.weight", torch.ones(16))}, "no layer of a hypernetwork"),
        ({8: side_with("linear.0.bias", torch.ones(3))}, "which do not fit"),
        ({8: side_with("linear.0.bias", torch.ones(16).int())}, '"linear.0.bias" is no layer'),
        ({8: side_with("linear.0.weight", torch.tensor(1.0))}, "weight of shape []"),
        ({8: side_with("linear.0.linear.0.weight", torch.ones(8, 8))}, "in blocks"),
        ({8: ({}, {})}, "do not form a chain"),
        ({8: plain(), "activation_func": "wobble"}, 'Activation "wobble" is not known'),
        ({8: plain(16)}, "do not form a chain"),
        ({8: (plain()[0],)}, "pair of state dicts"),
        ({8: ({"conv.weight": torch.ones(1)}, {})}, '"conv.weight" is no layer'),
        ({8: tuple({k: v * float("nan") for k, v in s.items()} for s in plain())}, "NaN"),
    ],
)
def test_a_file_that_is_no_network_is_refused_with_the_reason(tmp_path, payload, words):
    with pytest.raises(ValueError) as fault:
        saved(tmp_path, payload)
    assert words in str(fault.value) and "old.pt" in str(fault.value)


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
def test_the_size_of_a_file_is_estimated(tmp_path, structure, mebibytes):
    spec = HypernetSpec(layer_structure=structure)
    assert spec.file_bytes / 2**20 == pytest.approx(mebibytes, abs=0.06)
    if structure == (1, 1):
        small = save_network(Hypernetwork(spec), tmp_path / "a.pt")
        assert small.stat().st_size == pytest.approx(spec.file_bytes, rel=0.01)


@pytest.mark.parametrize(
    "name",
    ["a/b", "..\\up", "", "  ", "..", "a:b", "x" * 200, "new\nline", "NUL", "com1.pt",
     "con", "Aux.v1", "prn .txt", "lpt\u00b9", "CONOUT$", "ink.", "ink..", "a?", "<b>", "a\tb"],
)  # fmt: skip
def test_names_that_no_file_can_have_are_refused(name):
    with pytest.raises(ValueError, match="Name"):
        check_name(name)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("ink", "ink"),
        ("styles/ink", "styles/ink"),
        ("styles\\ink", "styles/ink"),
        (" styles / 水墨.pt ", "styles/水墨.pt"),
        ("a/b/c", "a/b/c"),
    ],
)
def test_names_may_contain_folders(name, path):
    assert check_path(name) == path


@pytest.mark.parametrize(
    "name",
    ["", "/", "/ink", "styles/", "a//b", "../ink", "a/../b", "./ink", "C:\\ink", "\\\\host\\ink",
     "styles/nul", "con/ink", "v1./ink", "a/" * 90 + "b", "a/x\ny"],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused_in_words(name):
    with pytest.raises(ValueError, match="Name"):
        check_path(name)


@pytest.mark.parametrize(
    "name", ["console", "nullen", "com", "com10", "aux_1", "v1.con", "水墨 🦊"]
)
def test_names_that_only_begin_like_reserved_ones_are_accepted(name):
    assert check_name(name) == name


def test_an_existing_file_with_such_a_name_can_be_opened(tmp_path):
    path = save_network(Hypernetwork(HypernetSpec(widths=(16,))), tmp_path / "plain.pt")
    for name in ("nul.v1.pt", "aux.pt", "a?.pt", "ink .pt", "ink..pt"):
        assert open_network(path.rename(path.with_name(name))).spec.widths == (16,)
        path = path.with_name(name)
