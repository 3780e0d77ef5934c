"""Merged networks against the same result computed with the original networks."""

from dataclasses import replace

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork, Record
from hypernet.network.places import Place
from hypernet.tools.merge import in_sequence, side_by_side, weighted

WIDTHS = (12, 20)


def a_network(seed, structure=(1, 2, 1), widths=WIDTHS, scale=0.3, **settings):
    spec = HypernetSpec(widths=widths, layer_structure=structure, **settings)
    record = Record(name=f"net {seed}", step=seed, sd_checkpoint_name="base")
    network = Hypernetwork(spec, record)
    numbers = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(0, scale, generator=numbers)
    return network


def tokens(width):
    return torch.randn(2, 5, width, generator=torch.Generator().manual_seed(9))


def effects(network, width, strength=1.0):
    """(keys, values) minus the input; zero if the network doesn't have the width."""
    x = tokens(width)
    return torch.stack([side(x, strength) - x for side in (network.keys, network.values)])


@torch.no_grad()
def test_weighted_merges_mix_every_weight():
    parts = [(a_network(1, activation="relu"), 0.25), (a_network(2, activation="relu"), 0.75)]
    merged = weighted(parts, "both")
    for found, a, b in zip(merged.parameters(), *(n.parameters() for n, _ in parts), strict=True):
        torch.testing.assert_close(found, 0.25 * a + 0.75 * b)
    assert merged.record.name == "both"
    assert merged.record.optional_info == "0.25 × net 1 + 0.75 × net 2"
    assert merged.record.sd_checkpoint_name == "base"


def test_dropout_and_initialization_do_not_count_as_a_different_shape():
    other = a_network(2, dropout_structure=(0, 0.3, 0), weight_initialization="XavierNormal")
    assert weighted([(other, 0.5), (a_network(1), 0.5)], "m").spec.dropout_structure == (0, 0, 0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"structure": (1, 2, 2, 1)}, ["layer structure 1, 2, 1", "layer structure 1, 2, 2, 1"]),
        ({"activation": "relu"}, ["activation linear", "activation relu"]),
        ({"widths": (12,)}, ["widths 12, 20", "widths 12"]),
        ({"layer_norm": True}, ["layer norm False", "layer norm True"]),
    ],
)
def test_networks_of_other_shapes_are_refused_with_both_shapes(settings, words):
    with pytest.raises(ValueError, match='"net 1" has .*"net 2" has ') as refusal:
        weighted([(a_network(1), 0.5), (a_network(2, **settings), 0.5)], "m")
    for word in words:
        assert word in str(refusal.value)


SIDES = [
    # (settings of one, settings of the other), both have the activation
    ("relu", {}, {"structure": (1, 3, 1)}),
    ("relu", {"structure": (1, 2, 2, 1)}, {"structure": (1, 0.5, 4, 1)}),
    ("softplus", {"widths": (12,)}, {}),
    ("swish", {"widths": (12,)}, {"widths": (20,), "structure": (1, 1.5, 1)}),
    ("linear", {}, {"structure": (1, 2, 4, 2, 1)}),
    ("linear", {"structure": (1, 1)}, {"structure": (1, 1), "widths": (12,)}),
]


@pytest.mark.parametrize(("activation", "one", "other"), SIDES)
@torch.no_grad()
def test_side_by_side_adds_the_effects_of_both(activation, one, other):
    parts = [
        (a_network(1, activation=activation, **one), 0.7),
        (a_network(2, activation=activation, **other), -1.5),
    ]
    merged = side_by_side(parts, "both")
    for width in WIDTHS:
        expected = sum(effects(network, width, factor) for network, factor in parts)
        torch.testing.assert_close(effects(merged, width), expected, atol=2e-5, rtol=1e-4)
        assert expected.abs().max() > 0.1
    if activation == "linear":
        assert merged.spec.layer_structure == (1, 1)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({"activation": "relu"}, {"activation": "mish"}, "activation relu, .* activation mish"),
        ({"activation": "relu"}, {"activation": "relu", "structure": (1, 2, 2, 1)}, "1, 2, 2, 1"),
        ({"activation": "relu", "layer_norm": True}, {"activation": "relu"}, "layer norm"),
        ({"activation": "softmax"}, {"activation": "softmax"}, "activation softmax"),
        ({"activation": "relu", "activate_output": True}, {"activation": "relu"}, "its output"),
        (
            {"activation": "relu", "structure": (1, 1.33, 1)},
            {"activation": "relu", "structure": (1, 1.33, 1)},
            "layers of 15, 15",
        ),
    ],
)
def test_networks_that_cannot_be_joined_side_by_side_are_refused_with_the_reason(one, other, words):
    with pytest.raises(ValueError, match=f"cannot stand side by side.*{words}"):
        side_by_side([(a_network(1, **one), 1.0), (a_network(2, **other), 1.0)], "m")


@torch.no_grad()
def test_in_sequence_does_what_the_chain_does():
    parts = [(a_network(1), 0.5), (a_network(2, (1, 1), widths=(12,)), -1.0), (a_network(3), 0.2)]
    merged = in_sequence(parts, "chain")
    assert merged.spec.layer_structure == (1, 1)
    for width in WIDTHS:
        for side in ("keys", "values"):
            expected = tokens(width)
            for network, strength in parts:
                expected = getattr(network, side)(expected, strength)
            found = getattr(merged, side)(tokens(width))
            torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


def test_only_linear_networks_can_be_merged_in_sequence():
    with pytest.raises(ValueError, match='"net 2" cannot be folded.*Mish'):
        in_sequence([(a_network(1), 1.0), (a_network(2, activation="mish"), 1.0)], "chain")


PLACES = (("self", 20), ("text", 12), ("text", 20))


def a_placed_network(seed, architecture="anima", places=PLACES, **settings):
    network = a_network(seed, places=places, **settings)
    network.record.architecture = architecture
    return network


def every_effect(network):
    """At each of 12 blocks of each place."""
    found = []
    for stream, width in PLACES:
        for depth in range(12):
            x, place = tokens(width), Place(stream, depth, 12)
            found += [side(x, 1.0, place) - x for side in (network.keys, network.values)]
    return torch.cat([each.flatten() for each in found])


@pytest.mark.parametrize("activation", ["relu", "linear"])
@torch.no_grad()
def test_side_by_side_adds_the_effects_at_every_place_and_group(activation):
    parts = [
        (a_placed_network(1, groups=2, activation=activation, arithmetic="bfloat16"), 0.7),
        (a_placed_network(2, places=PLACES[:2], groups=3, activation=activation), -1.5),
        (a_placed_network(3, bias=False, activation=activation), 0.5),
    ]
    merged = side_by_side(parts, "both")
    assert merged.spec.places == PLACES and merged.spec.groups == 6
    assert merged.record.architecture == "anima" and merged.spec.arithmetic == "float32"
    parts[0][0].spec = replace(parts[0][0].spec, arithmetic="float32")
    expected = sum(factor * every_effect(network) for network, factor in parts)
    assert float(expected.abs().max()) > 0.1
    torch.testing.assert_close(every_effect(merged), expected, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_in_sequence_does_what_the_chain_does_at_every_place_and_group():
    one, other = a_placed_network(1, groups=2, bias=False), a_placed_network(2, bias=False)
    merged = in_sequence([(one, 1.0), (other, 1.0)], "chain")
    assert (merged.spec.layer_structure, merged.spec.groups) == ((1, 1), 2)
    assert not merged.spec.bias, "so that it folds as its parts do"
    for stream, width in PLACES:
        for depth in range(4):
            x, place = tokens(width), Place(stream, depth, 4)
            expected = other.keys(one.keys(x, 1.0, place), 1.0, place)
            found = merged.keys(x, 1.0, place)
            torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_weights_of_networks_with_places_are_mixed():
    parts = [(a_placed_network(1, groups=2), 0.25), (a_placed_network(2, groups=2), 0.75)]
    for found, a, b in zip(
        weighted(parts, "m").parameters(), *(n.parameters() for n, _ in parts), strict=True
    ):
        torch.testing.assert_close(found, 0.25 * a + 0.75 * b)
    with pytest.raises(ValueError, match="places self 20, text 12, text 20.*places self 20"):
        weighted([parts[0], (a_placed_network(2, places=PLACES[:1], groups=2), 1.0)], "m")


@pytest.mark.parametrize("merge", [weighted, side_by_side, in_sequence])
def test_networks_for_different_models_are_refused(merge):
    flux, anima = a_placed_network(1, "flux"), a_placed_network(2)
    for one, other, words in (
        (flux, anima, '"net 1" is for flux, "net 2" for anima'),
        (anima, a_network(3), '"net 2" is for anima, "net 3" for Stable Diffusion'),
        (flux, a_placed_network(4, "chroma"), '"net 4" for chroma'),
        (a_placed_network(5, ""), a_network(6), '"net 6" for Stable Diffusion'),
    ):
        with pytest.raises(ValueError, match=words):
            merge([(one, 1.0), (other, 1.0)], "m")
    assert merge([(anima, 1.0), (a_placed_network(7, "cosmos_predict2"), 1.0)], "m")
