"""Files in A1111's format against the formulas, which are written here independently.

Each file is made here, slot by slot, opened by the library and compared with arithmetic that knows
nothing of the library. The last test prints how many rows were tried and how many were equal.
"""

import itertools

import pytest
import torch
import torch.nn.functional as F

from hypernet import open_network
from hypernet.network.vocabulary import ACTIVATIONS

WIDTH = 8
STRUCTURES = [(1, 1), (1, 2, 1), (1, 2, 2, 1), (1, 0.5, 1), (1, 2, 4, 2, 1)]
STRENGTHS = (-1, 0, 0.5, 1, 2)
EVAL_SLOPE = 11 / 48  # of rrelu: the middle of 1/8 and 1/3

# What each word means on (B, T, C); "swish" is not SiLU, the softmaxes go over the batch.
FUNCTIONS = {
    "linear": lambda x: x,
    "relu": F.relu,
    "leakyrelu": lambda x: F.leaky_relu(x, 0.01),
    "elu": lambda x: F.elu(x, 1.0),
    "swish": F.hardswish,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "celu": lambda x: F.celu(x, 1.0),
    "gelu": lambda x: F.gelu(x, approximate="none"),
    "hardshrink": lambda x: F.hardshrink(x, 0.5),
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "hardtanh": lambda x: F.hardtanh(x, -1.0, 1.0),
    "logsigmoid": F.logsigmoid,
    "logsoftmax": lambda x: F.log_softmax(x, 0),
    "mish": F.mish,
    "prelu": None,  # has a trainable slope
    "rrelu": lambda x: F.leaky_relu(x, EVAL_SLOPE),
    "relu6": F.relu6,
    "selu": F.selu,
    "silu": F.silu,
    "softmax": lambda x: F.softmax(x, 0),
    "softmax2d": lambda x: F.softmax(x, -3),
    "softmin": lambda x: F.softmin(x, 0),
    "softplus": lambda x: F.softplus(x, 1.0, 20.0),
    "softshrink": lambda x: F.softshrink(x, 0.5),
    "softsign": F.softsign,
    "tanhshrink": lambda x: x - torch.tanh(x),
}


def write_side(structure, activation, layer_norm, dropout, activate_output, draw):
    """A1111's state dict for one MLP, and the same layers as a list of functions."""
    state, steps, slot = {}, [], 0
    for i in range(len(structure) - 1):
        inside, outside = int(WIDTH * structure[i]), int(WIDTH * structure[i + 1])
        weight, bias = draw(outside, inside), draw(outside)
        state |= {f"linear.{slot}.weight": weight, f"linear.{slot}.bias": bias}
        steps.append(lambda x, w=weight, b=bias: F.linear(x, w, b))
        slot += 1
        if activation not in (None, "linear") and (activate_output or i < len(structure) - 2):
            function = FUNCTIONS[activation]
            if activation == "prelu":
                slope = draw(1).abs()
                state[f"linear.{slot}.weight"] = slope

                def function(x, slope=slope):
                    return F.prelu(x, slope)

            steps.append(function)
            slot += 1
        if layer_norm:
            gamma, beta = draw(outside), draw(outside)
            state |= {f"linear.{slot}.weight": gamma, f"linear.{slot}.bias": beta}
            steps.append(lambda x, g=gamma, b=beta: F.layer_norm(x, (len(g),), g, b, 1e-5))
            slot += 1
        if dropout[i + 1] > 0:
            slot += 1  # has no weights, but takes a slot
    return state, steps


def run(steps, x):
    for step in steps:
        x = step(x)
    return x


def write_file(path, structure, activation, layer_norm, dropout, activate_output):
    generator = torch.Generator().manual_seed(7)

    def draw(*shape):
        return torch.randn(shape, generator=generator) * 0.3

    probabilities = [0.3 if dropout else 0.0] * len(structure)
    sides = [
        write_side(structure, activation, layer_norm, probabilities, activate_output, draw)
        for _ in range(2)
    ]
    payload = {
        WIDTH: tuple(state for state, _ in sides),
        "step": 100,
        "name": "conformance",
        "layer_structure": list(structure),
        "activation_func": activation,
        "is_layer_norm": layer_norm,
        "weight_initialization": "Normal",
        "activate_output": activate_output,
        "use_dropout": dropout,
        "dropout_structure": probabilities,
        "last_layer_dropout": dropout,
        "sd_checkpoint": None,
        "sd_checkpoint_name": None,
        "optional_info": None,
    }
    torch.save(payload, path)
    return [steps for _, steps in sides]


@pytest.fixture(scope="module")
def rows():
    """{activation: (rows tried, rows equal)}, filled by the tests below."""
    return {}


def test_the_table_holds_every_usable_activation():
    assert set(FUNCTIONS) == set(ACTIVATIONS)


@torch.no_grad()
@pytest.mark.parametrize("activation", FUNCTIONS)
def test_every_file_gives_the_numbers_of_the_formula(tmp_path, rows, activation):
    x = torch.randn(2, 5, WIDTH, generator=torch.Generator().manual_seed(1))
    tried = equal = 0
    path = tmp_path / "a.pt"
    for structure, layer_norm, dropout, activate_output in itertools.product(
        STRUCTURES, (False, True), (False, True), (False, True)
    ):
        sides = write_file(path, structure, activation, layer_norm, dropout, activate_output)
        network = open_network(path)
        for steps, transform in zip(sides, (network.keys, network.values), strict=True):
            residual = run(steps, x)
            for strength in STRENGTHS:
                tried += 1
                found, wanted = transform(x, strength), x + residual * strength
                equal += float((found - wanted).abs().max()) == 0
    rows[activation] = (tried, equal)
    assert equal == tried == 400


@torch.no_grad()
@pytest.mark.parametrize("activation", [None, "relu", "mish", "prelu"])
@pytest.mark.parametrize("upsample", [None, "Linear"])
def test_files_with_skip_connections_give_the_numbers_of_aria1ths_blocks(
    tmp_path, rows, activation, upsample
):
    x = torch.randn(2, 5, WIDTH, generator=torch.Generator().manual_seed(1))
    tried = equal = 0
    for structure, layer_norm, dropout in itertools.product(
        [*STRUCTURES, (1, 1.5, 0.3, 1)], (False, True), (False, True)
    ):
        generator = torch.Generator().manual_seed(7)

        def draw(*shape, generator=generator):
            return torch.randn(shape, generator=generator) * 0.3

        sides = [
            write_blocks(structure, activation, layer_norm, dropout, upsample, draw)
            for _ in range(2)
        ]
        payload = {
            WIDTH: tuple(state for state, _ in sides),
            "layer_structure": list(structure),
            "activation_func": activation,
            "is_layer_norm": layer_norm,
            "activate_output": False,  # has no effect on blocks
            "dropout_structure": [0.3 if dropout else 0.0] * len(structure),
            "skip_connection": True,
            "upsample_linear": upsample,
        }
        torch.save(payload, tmp_path / "a.pt")
        network = open_network(tmp_path / "a.pt")
        assert network.spec.skip_connection and network.spec.upsample_linear == bool(upsample)
        for (_, steps), transform in zip(sides, (network.keys, network.values), strict=True):
            residual = run(steps, x) - x
            for strength in STRENGTHS:
                tried += 1
                found, wanted = transform(x, strength), x + strength * residual
                equal += float((found - wanted).abs().max()) == 0
    rows[f"skip, {activation}, upsample {upsample}"] = (tried, equal)
    assert equal == tried == 240


def write_blocks(structure, activation, layer_norm, dropout, upsample, draw):
    """aria1th's state dict: block N has linear.0 Linear, then LayerNorm, Dropout, activation."""
    state, blocks = {}, []
    for i in range(len(structure) - 1):
        inside, outside = int(WIDTH * structure[i]), int(WIDTH * structure[i + 1])
        weight, bias = draw(outside, inside), draw(outside)
        carry = draw(outside, inside) if upsample else None
        if upsample:
            state[f"linear.{i}.upsample_layer.weight"] = carry
        state |= {f"linear.{i}.linear.0.weight": weight, f"linear.{i}.linear.0.bias": bias}
        steps = [lambda x, w=weight, b=bias: F.linear(x, w, b)]
        if layer_norm:
            gamma, beta = draw(outside), draw(outside)
            state |= {f"linear.{i}.linear.1.weight": gamma, f"linear.{i}.linear.1.bias": beta}
            steps.append(lambda x, g=gamma, b=beta: F.layer_norm(x, (len(g),), g, b, 1e-5))
        if activation == "prelu":
            slope = draw(1).abs()
            state[f"linear.{i}.linear.{1 + layer_norm + dropout}.weight"] = slope
            steps.append(lambda x, s=slope: F.prelu(x, s))
        elif activation:
            steps.append(FUNCTIONS[activation])

        def block(x, carry=carry, steps=steps, outside=outside):
            if carry is None:
                kept = F.interpolate(x, size=outside, mode="nearest-exact")
            else:
                kept = F.linear(x, carry)
            return kept + run(steps, x)

        blocks.append(block)
    return state, blocks


def test_the_table_of_rows_is_printed(rows, capsys):
    if not rows:
        pytest.skip("no row was tried: run the whole file")
    with capsys.disabled():
        print("\nconformance (rows tried, rows equal to the last digit)")
        for name, (tried, equal) in rows.items():
            print(f"  {name:<32}{tried:>6}{equal:>6}")
        tried, equal = (sum(column) for column in zip(*rows.values(), strict=True))
        print(f"  {'all':<32}{tried:>6}{equal:>6}")
    assert tried == equal > 0
