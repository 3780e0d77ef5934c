"""A model whose weights are in int8 for a while, and what it is afterwards."""

import gc
import weakref

import pytest
import torch
from torch import nn

from hypernet.training.int8_model import in_int8, plain_layers
from hypernet.training.memory_saving import again, visiting


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 4))


def test_inside_the_weights_take_a_byte_each_and_afterwards_all_is_as_it_was():
    made = model()
    weights = dict(made.named_parameters())
    before = {name: weight.clone() for name, weight in weights.items()}
    with pytest.raises(KeyboardInterrupt), in_int8(plain_layers([made])):
        assert {made[0].weight.dtype, made[2].weight.dtype} == {torch.int8}
        assert made[1].weight.dtype == made[0].bias.dtype == torch.float32
        raise KeyboardInterrupt
    assert dict(made.named_parameters()) == weights, "the very same objects"
    assert all(weights[name].equal(before[name]) for name in weights)
    assert all(weight.requires_grad for weight in weights.values())
    assert not any("forward" in vars(layer) or layer._buffers for layer in made)
    assert made.state_dict().keys() == before.keys()


def test_the_state_of_a_packed_model_has_no_names_of_ours():
    made = model()
    names = made.state_dict().keys()
    with in_int8(plain_layers([made])):
        assert made.state_dict().keys() == names


def test_a_weight_that_somebody_replaces_meanwhile_stays_replaced():
    made, other = model(), nn.Parameter(torch.ones(8, 8))
    with in_int8(plain_layers([made])):
        made[0].weight = other
    assert made[0].weight is other and made[2].weight.dtype == torch.float32


def test_weights_in_float8_stay_and_are_cast_for_each_product():
    made, x = model(), torch.randn(3, 8)
    made[0].weight = stored = nn.Parameter(made[0].weight.to(torch.float8_e4m3fn), False)
    expected = nn.functional.linear(x, stored.float(), made[0].bias)
    with in_int8([made[0]]):
        assert made[0].weight is stored and made[0](x).equal(expected)
    assert made[0].weight is stored


def test_layers_of_other_classes_with_other_forwards_or_named_ones_are_left_alone():
    class Own(nn.Linear):
        pass

    made = nn.Sequential(
        nn.Linear(2, 2), Own(2, 2), nn.Linear(2, 2), nn.Embedding(2, 2),
        nn.Conv2d(2, 2, 3, padding_mode="circular"), nn.Conv2d(2, 2, 3, padding="same"),
        nn.Linear(2, 2, device="meta"), nn.Linear(2, 2),
    )  # fmt: skip
    made[2].forward = lambda x: x
    assert plain_layers([made], but={made[7]}) == [made[0]]


def test_packed_weights_visit_a_device_and_are_used_again_by_the_backward_pass():
    made, x = model(), torch.randn(3, 8, requires_grad=True)
    with in_int8(plain_layers([made])):
        made(x).square().sum().backward()
        expected, x.grad = x.grad, None

        def visit(x):
            with visiting(made, torch.device("cpu")):
                return made(x)

        again(visit, x).square().sum().backward()
    assert x.grad.equal(expected)


def test_nothing_of_ours_outlives_the_model():
    """A cycle of references would keep its memory until the next garbage collection."""
    made = model()
    gone = weakref.ref(made[0])
    with in_int8(plain_layers([made])):
        made(torch.randn(3, 8))
    gc.disable()
    try:
        del made
        assert gone() is None
    finally:
        gc.enable()
