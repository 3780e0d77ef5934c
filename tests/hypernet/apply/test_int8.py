"""Layers with weights of a byte each: what they compute, and what their graphs keep."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hypernet.apply.int8 import MOST, Packed, packed
from hypernet.apply.row_blocks import by_row_blocks
from hypernet.training.int8_model import in_int8

LAYERS = [
    (lambda: nn.Linear(12, 8), (2, 5, 12)),
    (lambda: nn.Linear(12, 8, bias=False), (3, 12)),
    (lambda: nn.Conv2d(12, 8, 3, padding=1), (2, 12, 6, 4)),
    (lambda: nn.Conv2d(12, 8, 3, stride=2, padding=1, groups=4), (2, 12, 6, 4)),
]


def made(make, dtype=torch.float32):
    torch.manual_seed(0)
    return make().to(dtype).requires_grad_(False)


def input_of(shape, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_a_packed_weight_is_off_by_half_a_step_of_its_row_at_most(dtype):
    weight = torch.randn(64, 32, generator=torch.Generator().manual_seed(0)).to(dtype)
    weight[3] *= 1000  # hurts no other row
    small, scale = packed(weight)
    assert small.dtype == torch.int8 and scale.shape == (64, 1) and scale.dtype == dtype
    steps = weight.float().abs().amax(1, keepdim=True) / MOST
    off = (Packed(small, scale).plain(torch.float32) - weight.float()).abs()
    assert (off <= 0.51 * steps).all() and off.max() > 0


def test_rows_of_zeros_and_the_largest_of_a_row_are_exact():
    weight = torch.tensor([[0.0, 0.0], [127.0, -1.0]])
    assert packed(weight).plain(torch.float32).equal(weight)


@pytest.mark.parametrize(("make", "shape"), LAYERS)
def test_a_packed_layer_computes_with_its_packed_weight_and_so_does_its_gradient(make, shape):
    layer = made(make, torch.float64)
    twin = made(make, torch.float64)
    twin.weight.copy_(packed(layer.weight).plain(torch.float64))
    x, other = (input_of(shape, torch.float64).requires_grad_() for _ in range(2))
    expected = twin(other)
    expected.square().sum().backward()
    with in_int8([layer]):
        found = layer(x)
        found.square().sum().backward()
    assert found.equal(expected) and torch.allclose(x.grad, other.grad, rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_products_are_of_the_inputs_dtype(dtype):
    layer = made(LAYERS[0][0], torch.float16)
    with in_int8([layer]):
        assert layer(input_of((2, 12), dtype)).dtype == dtype


@pytest.mark.parametrize(("make", "shape"), LAYERS)
def test_a_graph_keeps_neither_weights_nor_inputs(make, shape):
    layer, kept = made(make), []
    x = input_of(shape).requires_grad_()

    def pack(tensor):
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        layer(x)
        assert any(each.is_floating_point() for each in kept), "torch's own keeps the weight"
        kept.clear()
        with in_int8([layer]):
            layer(x)
    assert kept == []


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_of_several_outputs_is_cut_into_rows_as_ever(bias):
    rows, layer = (4, 2, 2), made(lambda: nn.Linear(12, 8, bias=bias))
    x, keys, values = (input_of((3, 12)) * number for number in (1, 2, 3))
    weight = packed(layer.weight)
    inputs = [each.requires_grad_() for each in (x, keys, values)]
    found = by_row_blocks(weight, layer.bias, inputs, rows)
    plain = [F.linear(each, weight.plain(each.dtype), layer.bias) for each in inputs]
    expected = torch.cat([y.split(rows, -1)[at] for at, y in enumerate(plain)], -1)
    assert torch.allclose(found, expected, atol=1e-6)
    for one, other in zip(
        torch.autograd.grad(found.square().sum(), inputs),
        torch.autograd.grad(expected.square().sum(), inputs),
        strict=True,
    ):
        assert torch.allclose(one, other, atol=1e-5)
