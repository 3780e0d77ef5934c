"""Layers of a frozen model with weights in int8: a byte each, where float16 takes two.

    W ≈ scale · W₈      scale of a row: its largest |w| ÷ 127

Products are computed in the dtype of their input. A weight is made for each product, in the forward
pass and again in the backward pass, so no graph keeps one.

Why not float8: e4m3 has 3 bits of mantissa, so each weight is 2.6 % off on average, and a row of
int8 0.9 % of its spread. At the end of a training, when gradients are mostly noise, those of e4m3
point elsewhere (a cosine of 0.95 to float32's on the demo's model, where int8 has 0.993).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_input

MOST = 127
SCALE = "int8_scale"  # the buffer of a layer whose weight is packed


class Packed(NamedTuple):
    """A weight (rows, …) in a byte each, and what its rows are multiplied with (rows, 1, …).

    Without a scale it is one that came in float8.
    """

    small: Tensor
    scale: Tensor | None

    def plain(self, dtype: torch.dtype) -> Tensor:
        found = self.small.to(dtype)
        return found if self.scale is None else found.mul_(self.scale.to(dtype))


def packed(weight: Tensor) -> Packed:
    """The weight in int8, with scales in its own dtype."""
    largest = weight.abs().amax(dim=tuple(range(1, weight.ndim)), keepdim=True)
    scale = (largest.float() / MOST).to(weight.dtype)  # rounded first, so that W₈ allows for it
    scale = torch.where(scale == 0, 1, scale)
    small = (weight.float() / scale.float()).round().clamp(-MOST, MOST)
    return Packed(small.to(torch.int8), scale)


def weight_of(layer: nn.Module) -> Packed:
    small: Any = layer.weight
    return Packed(small, getattr(layer, SCALE))


def bias_of(layer: nn.Module, x: Tensor) -> Tensor | None:
    bias: Any = layer.bias
    return None if bias is None else bias.to(x.dtype)


def forward_of(layer: nn.Linear | nn.Conv2d) -> Callable[[Tensor], Tensor]:
    """The forward of a layer with a packed weight, under the names that torch's own has."""
    if isinstance(layer, nn.Linear):
        return lambda input: PackedLinear.apply(input, *weight_of(layer), bias_of(layer, input))
    geometry = layer.stride, layer.padding, layer.dilation, layer.groups
    return lambda input: PackedConv.apply(input, *weight_of(layer), bias_of(layer, input), geometry)


class PackedLinear(torch.autograd.Function):
    """F.linear with a frozen weight. Its gradient needs no input, so none is kept."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, small: Tensor, scale: Tensor | None, bias: Tensor | None
    ) -> Tensor:
        ctx.weight = Packed(small, scale)
        return F.linear(x, ctx.weight.plain(x.dtype), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return gradient @ ctx.weight.plain(gradient.dtype), None, None, None


class PackedConv(torch.autograd.Function):
    """F.conv2d with a frozen weight, likewise. geometry: stride, padding, dilation and groups."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        small: Tensor,
        scale: Tensor | None,
        bias: Tensor | None,
        geometry: tuple[Any, ...],
    ) -> Tensor:
        ctx.weight, ctx.geometry, ctx.shape = Packed(small, scale), geometry, x.shape
        return F.conv2d(x, ctx.weight.plain(x.dtype), bias, *geometry)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weight = ctx.weight.plain(gradient.dtype)
        found = conv2d_input(ctx.shape, weight, gradient, *ctx.geometry)
        return found, None, None, None, None
