"""The network: widths, dtypes, slots, initial weights, refusals. Its numbers: test_conformance."""

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork
from hypernet.network.vocabulary import ACTIVATIONS, FLAT_AT_ZERO


def randomized(spec):
    network = Hypernetwork(spec)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    return network


def test_a_width_the_network_does_not_hold_passes_untouched():
    network = randomized(HypernetSpec(widths=(16,)))
    x = torch.randn(1, 3, 24)
    assert network.keys(x) is x and network.values(x) is x


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32_and_cast_back(dtype):
    network = randomized(HypernetSpec(widths=(16,), activation="mish"))
    x = torch.randn(2, 3, 16).to(dtype)
    assert torch.equal(network.keys(x), network.keys(x.float()).to(dtype))
    assert next(network.parameters()).dtype == torch.float32


def test_the_slots_are_named_as_a1111_names_them():
    cases = [
        (dict(activation="relu"), ["linear.0", "linear.2"]),
        (dict(activation="linear"), ["linear.0", "linear.1"]),
        (
            dict(activation="relu", layer_norm=True, dropout_structure=(0, 0.3, 0)),
            ["linear.0", "linear.2", "linear.4", "linear.5"],
        ),
    ]
    for settings, slots in cases:
        state = Hypernetwork(HypernetSpec(widths=(8,), **settings)).pairs["8"]["k"].state_dict()
        assert list(state) == [f"{slot}.{part}" for slot in slots for part in ("weight", "bias")]


def test_one_seed_gives_one_network_and_another_seed_another():
    def weights(seed):
        return torch.cat(
            [p.flatten() for p in Hypernetwork(HypernetSpec(widths=(32,), seed=seed)).parameters()]
        )

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


@pytest.mark.parametrize(
    ("name", "spread"),
    [
        ("Normal", 0.01),
        ("XavierNormal", (2 / (256 + 512)) ** 0.5),
        ("XavierUniform", (2 / (256 + 512)) ** 0.5),
        ("KaimingNormal", (2 / 256) ** 0.5),
        ("KaimingUniform", (2 / 256) ** 0.5),
        ("ZeroOutput", (1 / 256) ** 0.5),
    ],
)
def test_first_weights_have_the_spread_of_their_initialization(name, spread):
    spec = HypernetSpec(widths=(256,), weight_initialization=name, layer_norm=True)
    mlp = Hypernetwork(spec).pairs["256"]["k"].linear
    assert mlp[0].weight.detach().std() == pytest.approx(spread, rel=0.02)
    assert mlp[0].bias.abs().max() == 0
    assert mlp[1].weight.detach().std() == pytest.approx(0.01, rel=0.15), (
        "layer norm's too: a known trap"
    )


@pytest.mark.parametrize(
    "settings",
    [
        dict(activation="relu"),
        dict(activation="mish", layer_structure=(1, 2, 2, 1), layer_norm=True),
        dict(layer_structure=(1, 1)),
        dict(activation="mish", skip_connection=True),
        dict(activation="mish", activate_output=True),
    ],
)
def test_with_zero_output_a_new_network_changes_nothing_and_learns_from_the_first_step(settings):
    spec = HypernetSpec(widths=(16,), weight_initialization="ZeroOutput", **settings)
    network = Hypernetwork(spec).requires_grad_(True)
    x = torch.randn(2, 3, 16)
    found = network.keys(x)
    assert torch.allclose(found, x, atol=1e-6)
    (found * torch.randn(2, 3, 16)).sum().backward()
    *_, last = (layer for layer in network.pairs["16"]["k"].modules() if hasattr(layer, "bias"))
    assert last.weight.grad.abs().sum() > 0 or last.bias.grad.abs().sum() > 0


@pytest.mark.parametrize("where", ["activate_output", "skip_connection"])
@pytest.mark.parametrize("activation", FLAT_AT_ZERO)
def test_zero_output_is_refused_where_nothing_could_be_learnt(activation, where):
    with pytest.raises(ValueError, match=f'"{activation}" after layers of 0 .* than ZeroOutput'):
        HypernetSpec(activation=activation, weight_initialization="ZeroOutput", **{where: True})


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS.keys() - {"softmax2d"}))
def test_which_activations_are_flat_at_zero(activation):
    x = torch.zeros(1, 4, requires_grad=True)
    (ACTIVATIONS[activation]()(x) * torch.arange(4)).sum().backward()
    assert (x.grad.abs().sum() == 0) == (activation in FLAT_AT_ZERO)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("strength", [1.0, -0.3, torch.tensor([0.7])])
def test_with_and_without_gradients_the_numbers_are_the_same_and_the_input_is_kept(strength, skip):
    """Without gradients the sum is made in place, in the memory of the network's own output."""
    network = randomized(HypernetSpec(widths=(16,), activation="relu", skip_connection=skip))
    x = torch.randn(2, 3, 16)
    kept = x.clone()
    with_gradients = network.keys(x, strength)
    assert with_gradients.requires_grad
    with torch.no_grad():
        assert torch.equal(network.keys(x, strength), with_gradients)
        assert torch.equal(network.values(x, 0.0), x)
    assert torch.equal(x, kept)


def test_dropout_acts_only_while_training():
    spec = HypernetSpec(widths=(64,), activation="relu", dropout_structure=(0, 0.5, 0))
    network = randomized(spec)
    x = torch.randn(1, 4, 64)
    assert torch.equal(network.keys(x), network.keys(x))
    network.train()
    assert not torch.equal(network.keys(x), network.keys(x))


def test_skip_connections_are_named_and_counted_as_aria1th_names_them():
    for upsample in (False, True):
        spec = HypernetSpec(
            widths=(8,), layer_structure=(1, 1.5, 1), activation="prelu", layer_norm=True,
            skip_connection=True, upsample_linear=upsample,
        )  # fmt: skip
        network = Hypernetwork(spec)
        names = ["linear.0.weight", "linear.0.bias", "linear.1.weight", "linear.1.bias"]
        names = [*["upsample_layer.weight"][: int(upsample)], *names, "linear.2.weight"]
        state = network.pairs["8"]["k"].state_dict()
        assert list(state) == [f"linear.{block}.{name}" for block in (0, 1) for name in names]
        assert sum(p.numel() for p in network.parameters()) == spec.parameters


def test_making_a_network_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    Hypernetwork(HypernetSpec(widths=(8,)))
    Hypernetwork(HypernetSpec(widths=(8,)), blank=True)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_copy_has_the_same_numbers_and_its_own_memory():
    network = randomized(HypernetSpec(widths=(8,), activation="prelu"))
    twin = network.copy()
    for mine, other in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, other) and mine.data_ptr() != other.data_ptr()


def test_every_activation_can_be_trained():
    from hypernet.network.vocabulary import ACTIVATIONS

    for name in ACTIVATIONS:
        network = Hypernetwork(HypernetSpec(widths=(8,), activation=name))
        network.values(torch.randn(2, 3, 8)).sum().backward()
        assert network.pairs["8"]["v"].linear[0].weight.grad is not None, name


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (dict(layer_structure=(2, 1)), 'Layer structure "2, 1" must begin and end with 1'),
        (dict(layer_structure=(1, 2)), 'Layer structure "1, 2" must begin and end with 1'),
        (dict(layer_structure=(1,)), "must begin and end with 1"),
        (dict(layer_structure=(1, -2, 1)), "every factor must be above 0"),
        (dict(activation="mush"), 'Activation "mush" is not known. Nearest: mish'),
        (dict(activation="glu"), 'Activation "glu" cannot be used: it halves the width'),
        (dict(weight_initialization="normal"), 'initialization "normal" is not known'),
        (dict(dropout_structure=(0, 0.3)), "has 2 entries"),
        (dict(dropout_structure=(0, 1.5, 0)), "at least 0, below 1"),
        (dict(widths=()), "at least one whole number"),
        (dict(layer_structure=(1, 1e308, 1)), "no factor may be above 1024"),
        (dict(layer_structure=(1, float("nan"), 1)), "every factor must be above 0"),
        (dict(layer_structure=(1, 1000, 1000, 1)), "GiB: use smaller factors"),
        (dict(layer_structure=(1,) * 1000), "has 1000 entries: at most 65"),
        (dict(widths=range(1, 1000)), "no model has more than 64"),
        (dict(widths=(10**9,)), "GiB: use smaller factors or fewer widths"),
        (dict(upsample_linear=True), "belongs to skip_connection"),
    ],
)
def test_a_wrong_spec_is_refused_in_words_that_quote_it(settings, words):
    with pytest.raises(ValueError) as fault:
        HypernetSpec(**settings)
    assert words in str(fault.value)


def test_several_faults_make_one_message():
    with pytest.raises(ValueError, match=r'"3, 1".*"mush"'):
        HypernetSpec(layer_structure=(3, 1), activation="mush")


def test_a_network_without_biases_adds_no_constant():
    spec = HypernetSpec(widths=(16,), layer_structure=(1, 2, 1), bias=False)
    network = Hypernetwork(spec)
    assert sum(p.numel() for p in network.parameters()) == spec.parameters == 2 * 2 * 16 * 32
    assert not network.keys(torch.zeros(1, 2, 16)).any()
    biased = Hypernetwork(HypernetSpec(widths=(16,), layer_structure=(1, 2, 1)))
    x = torch.randn(1, 2, 16, generator=torch.Generator().manual_seed(1))
    assert torch.equal(network.keys(x), biased.keys(x)), "the seed gives the same matrices"


def test_blocks_with_skip_connections_cannot_do_without_biases():
    with pytest.raises(ValueError, match="leave bias on"):
        HypernetSpec(skip_connection=True, bias=False)
