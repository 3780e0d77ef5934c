"""The network against the formulas, written anew here from the format's description."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from hypernet import HypernetSpec, Hypernetwork

FUNCTIONS = {
    "linear": lambda x: x,
    "relu": F.relu,
    "leakyrelu": lambda x: F.leaky_relu(x, 0.01),
    "elu": F.elu,
    "swish": lambda x: x * F.relu6(x + 3) / 6,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": F.gelu,
    "mish": F.mish,
    "softsign": F.softsign,
    "silu": F.silu,
    "selu": F.selu,
    "relu6": F.relu6,
    "softplus": F.softplus,
}


def reference(x, weights, function, layer_norm, activate_output):
    """x + f(x) by hand, from (weight, bias, gamma, beta) per layer."""
    y = x
    for i, (weight, bias, gamma, beta) in enumerate(weights):
        y = F.linear(y, weight, bias)
        if activate_output or i < len(weights) - 1:
            y = function(y)
        if layer_norm:
            y = F.layer_norm(y, (len(gamma),), gamma, beta)
    return y


def randomized(spec):
    network = Hypernetwork(spec)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    return network


def weights_of(mlp):
    linears = [m for m in mlp.linear if isinstance(m, torch.nn.Linear)]
    norms = [m for m in mlp.linear if isinstance(m, torch.nn.LayerNorm)] or [None] * len(linears)
    return [
        (a.weight, a.bias, n.weight if n else None, n.bias if n else None)
        for a, n in zip(linears, norms, strict=True)
    ]


@pytest.mark.parametrize(
    "structure", [(1, 1), (1, 2, 1), (1, 2, 2, 1), (1, 0.5, 1), (1, 2, 4, 2, 1)]
)
@pytest.mark.parametrize("activation", FUNCTIONS)
def test_keys_and_values_equal_the_formula(structure, activation):
    x = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(1))
    for layer_norm, activate_output, dropout in itertools.product((False, True), repeat=3):
        spec = HypernetSpec(
            widths=(16,),
            layer_structure=structure,
            activation=activation,
            layer_norm=layer_norm,
            activate_output=activate_output,
            dropout_structure=(0.3,) * len(structure) if dropout else (),
        )
        network = randomized(spec)
        for side, strength in itertools.product("kv", (-1, 0, 0.5, 1, 2)):
            mlp = network.pairs["16"][side]
            found = (network.keys if side == "k" else network.values)(x, strength)
            residual = reference(
                x, weights_of(mlp), FUNCTIONS[activation], layer_norm, activate_output
            )
            assert torch.equal(found, x + residual * strength)


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


def test_dropout_acts_only_while_training():
    spec = HypernetSpec(widths=(64,), activation="relu", dropout_structure=(0, 0.5, 0))
    network = randomized(spec)
    x = torch.randn(1, 4, 64)
    assert torch.equal(network.keys(x), network.keys(x))
    network.train()
    assert not torch.equal(network.keys(x), network.keys(x))


def test_every_activation_can_be_trained():
    from hypernet.vocabulary import ACTIVATIONS

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
    ],
)
def test_a_wrong_spec_is_refused_in_words_that_quote_it(settings, words):
    with pytest.raises(ValueError) as fault:
        HypernetSpec(**settings)
    assert words in str(fault.value)


def test_several_faults_make_one_message():
    with pytest.raises(ValueError, match=r'"3, 1".*"mush"'):
        HypernetSpec(layer_structure=(3, 1), activation="mush")
