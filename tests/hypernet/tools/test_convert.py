"""Converted networks: what stays the same and what is refused."""

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork, Record, open_network, save_network
from hypernet.network.places import Place
from hypernet.tools.convert import for_core, with_widths
from hypernet.tools.estimate import estimate


def a_network(**settings):
    spec = HypernetSpec(
        **{"widths": (12, 20), "weight_initialization": "XavierNormal", "activation": "relu"}
        | settings
    )
    return Hypernetwork(spec, Record(name="style", step=7))


def tokens(width):
    return torch.randn(2, 5, width, generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize("changes", [{}, {"keep": (12,)}, {"add": (16,)}])
def test_a_tree_of_networks_is_refused(tmp_path, changes):
    save_network(a_network(), tmp_path / "style.pt")
    (tmp_path / "tree.hns").write_text('["style", "style"]')
    with pytest.raises(ValueError, match='"tree" is a tree of networks'):
        with_widths(open_network(tmp_path / "tree.hns"), **changes)


def test_widths_can_be_left_out_and_the_rest_stays():
    network = a_network()
    small = with_widths(network, keep=(20,))
    assert small.spec.widths == (20,)
    assert torch.equal(small.keys(tokens(20)), network.keys(tokens(20)))
    assert small.keys(tokens(12)) is not None
    assert torch.equal(small.keys(tokens(12)), tokens(12))
    assert network.spec.widths == (12, 20)


@pytest.mark.parametrize("settings", [{}, {"layer_norm": True}, {"layer_structure": (1, 1)}])
def test_added_widths_do_nothing_until_trained(settings):
    wide = with_widths(a_network(**settings), add=(16,))
    assert wide.spec.widths == (12, 16, 20)
    for found in (wide.keys(tokens(16)), wide.values(tokens(16))):
        torch.testing.assert_close(found, tokens(16))
    wide.keys(tokens(16)).sum().backward()
    assert any(weight.grad.any() for weight in wide.pairs["16"]["k"].parameters())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"keep": (999,)}, "no width 999 to keep; it holds 12, 20"),
        ({"add": (12,)}, "width 12 already; it holds 12, 20"),
    ],
)
def test_wrong_widths_are_refused(changes, words):
    with pytest.raises(ValueError, match=f'"style".*{words}'):
        with_widths(a_network(), **changes)


@pytest.mark.parametrize("settings", [{"activate_output": True}, {"skip_connection": True}])
def test_a_width_that_could_not_start_at_zero_cannot_be_added(settings):
    with pytest.raises(ValueError, match=r"activation on its output|skip connections"):
        with_widths(a_network(**settings), add=(16,))


@pytest.mark.parametrize(
    "settings",
    [
        {"activation": "hardswish"},
        {"dropout_structure": (0, 0.3, 0)},
        {"activation": "gelu", "layer_structure": (1, 1)},
        {"activation": "linear", "layer_norm": True},
    ],
)
def test_for_core_gives_the_same_network_without_what_core_does_not_know(settings):
    network = a_network(**settings)
    core = for_core(network)
    assert torch.equal(core.keys(tokens(12)), network.keys(tokens(12)))
    assert core.spec.activation in {"swish", "relu", "linear"}
    assert not any(core.spec.dropout_structure)
    assert core.record.step == 7


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"activation": "gelu"}, "activation gelu"),
        ({"layer_norm": True}, "activation on the output too"),
        ({"skip_connection": True, "layer_structure": (1, 1)}, "skip connections"),
    ],
)
def test_what_core_would_draw_wrongly_is_refused_with_the_reason(settings, words):
    with pytest.raises(ValueError, match=f'"style" right.*{words}'):
        for_core(a_network(**settings))


def a_placed_network(**settings):
    network = a_network(places=(("self", 12), ("text", 12), ("text", 20)), groups=2, **settings)
    network.record.architecture = "anima"
    return network


def test_of_a_network_with_places_widths_can_be_kept_but_not_added(tmp_path):
    network = a_placed_network(arithmetic="bfloat16", bias=False)
    small = with_widths(network, keep=(12,))
    assert small.spec.places == (("self", 12), ("text", 12))
    assert (small.spec.groups, small.record.architecture) == (2, "anima")
    place = Place("text", 3, 4)
    assert small.keys(tokens(12), 1.0, place).equal(network.keys(tokens(12), 1.0, place))
    assert small.keys(tokens(20), 1.0, place).equal(tokens(20))
    with pytest.raises(ValueError, match="for a transformer, which has no widths to add"):
        with_widths(network, add=(16,))
    half = save_network(small, tmp_path / "small.safetensors", dtype=torch.float16)
    assert open_network(half).spec == small.spec


def test_a_network_with_places_is_not_for_cores_loader():
    with pytest.raises(ValueError, match='"style" right.*no places'):
        for_core(a_placed_network())


def test_a_width_can_be_added_to_a_network_without_biases():
    wide = with_widths(a_network(bias=False), add=(16,))
    torch.testing.assert_close(wide.keys(tokens(16)), tokens(16))


@pytest.mark.parametrize("structure", [(1, 1), (1, 2, 1), (1, 2, 4, 2, 1)])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_the_estimated_file_is_as_large_as_the_written_one(tmp_path, structure, layer_norm):
    network = a_network(layer_structure=structure, widths=(64, 96), layer_norm=layer_norm)
    found = estimate(network.spec)
    for kind, dtype in (("file", torch.float32), ("file_float16", torch.float16)):
        path = save_network(network, tmp_path / f"{kind}.pt", dtype=dtype)
        assert path.stat().st_size == pytest.approx(found[kind], rel=0.05)
    assert found["parameters"] == sum(weight.numel() for weight in network.parameters())


def test_float16_weights_are_close_and_the_record_stays(tmp_path):
    network = a_network()
    for name in ("half.pt", "half.safetensors"):
        save_network(network, tmp_path / name, dtype=torch.float16)
        again = open_network(tmp_path / name)
        torch.testing.assert_close(
            again.keys(tokens(12)), network.keys(tokens(12)), rtol=0, atol=0.01
        )
        assert again.record.step == 7
