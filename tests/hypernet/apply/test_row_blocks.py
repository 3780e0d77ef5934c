"""One layer for several inputs: equal to whole layers, with gradients, wherever it is computed."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hypernet.apply.row_blocks import by_row_blocks, joined, writes_in_place

WIDTH, ROWS = 16, (16, 8, 8, 4)  # rows of q, k, v and the rest


def layer(bias=True, dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Linear(WIDTH, sum(ROWS), bias=bias, dtype=dtype).requires_grad_(False)


def inputs(*shape, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    x, keys, values = torch.randn(3, *shape, WIDTH, generator=generator, dtype=dtype)
    return [x, keys, values, x]


def expected(linear, given):
    wholes = (linear(each).split(ROWS, -1)[block] for block, each in enumerate(given))
    return torch.cat(list(wholes), -1)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(), (5,), (2, 5), (2, 3, 5), (0, 5)], ids=str)
def test_each_block_is_the_whole_layers(shape, bias):
    linear, given = layer(bias), inputs(*shape)
    found = by_row_blocks(linear.weight, linear.bias, given, ROWS)
    assert found.shape == (*shape, sum(ROWS))
    assert torch.allclose(found, expected(linear, given), rtol=0, atol=1e-6)


def test_inputs_may_be_views():
    linear, given = layer(), inputs(5, 2)
    turned = [each.transpose(0, 1) for each in given[:3]]
    turned.append(turned[0])
    found = by_row_blocks(linear.weight, linear.bias, turned, ROWS)
    assert torch.allclose(found, expected(linear, turned), rtol=0, atol=1e-6)


@pytest.mark.parametrize("bias", [True, False])
def test_gradients_of_a_frozen_layer_are_those_of_whole_layers(bias):
    linear, given = layer(bias, torch.float64), inputs(2, 3, dtype=torch.float64)
    leaves = [each.requires_grad_() for each in given[:3]]
    assert writes_in_place(linear.weight, linear.bias)
    assert torch.autograd.gradcheck(
        lambda x, k, v: by_row_blocks(linear.weight, linear.bias, [x, k, v, x], ROWS), leaves
    )


def test_only_the_needed_gradients_are_computed():
    linear, (x, keys, values, _) = layer(), inputs(2, 3)
    by_row_blocks(
        linear.weight, linear.bias, [x, keys.requires_grad_(), values, x], ROWS
    ).sum().backward()
    assert keys.grad is not None and x.grad is None and values.grad is None


def test_a_layer_that_learns_gets_its_gradients():
    linear, given = layer().requires_grad_(True), inputs(2, 3)
    by_row_blocks(linear.weight, linear.bias, given, ROWS).square().sum().backward()
    found = [each.grad.clone() for each in linear.parameters()]
    linear.zero_grad()
    expected(linear, given).square().sum().backward()
    for one, each in zip(found, linear.parameters(), strict=True):
        assert torch.allclose(one, each.grad, rtol=1e-5, atol=1e-5)


def test_autocast_decides_about_the_dtype():
    linear, given = layer(), inputs(2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        found = by_row_blocks(linear.weight, linear.bias, given, ROWS)
        assert found.dtype == F.linear(given[0], linear.weight).dtype == torch.bfloat16


def test_neighbouring_rows_with_one_input_are_one_product_and_empty_ones_none():
    x, changed = torch.zeros(1), torch.ones(1)
    assert [part[:2] for part in joined([x, x, changed, x], (4, 2, 2, 0))] == [(0, 6), (6, 8)]
    assert [part[:2] for part in joined([x, changed, x, x], (0, 2, 2, 4))] == [(0, 2), (2, 8)]
