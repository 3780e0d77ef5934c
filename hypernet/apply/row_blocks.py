"""One linear layer for several inputs: each block of its rows computes with an input of its own.

    y[…, start:end] = x_i · weight[start:end]ᵀ + bias[start:end]

As many multiplications as in the whole layer. Every product is written where it belongs in y:
joined afterwards, the parts would cost a tenth of the layer's time again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .int8 import Packed

Block = tuple[int, int, Tensor]  # first row, end, and what the rows compute with


def by_row_blocks(
    weight: Tensor | Packed, bias: Tensor | None, inputs: Sequence[Tensor], rows: Sequence[int]
) -> Tensor:
    """(…, sum of rows): block i of the weight's rows, applied to input i (…, C)."""
    blocks = list(joined(inputs, rows))
    stored, scale = weight if isinstance(weight, Packed) else (weight, None)
    if writes_in_place(stored, bias):
        edges = [(start, end) for start, end, _ in blocks]
        return RowBlocks.apply(stored, scale, bias, edges, *(x for _, _, x in blocks))
    weight = weight.plain(inputs[0].dtype) if isinstance(weight, Packed) else weight
    parts = [F.linear(x, *cut(weight, bias, start, end)) for start, end, x in blocks]
    return torch.cat(parts, dim=-1)


def writes_in_place(weight: Tensor, bias: Tensor | None) -> bool:
    """Not where a compiler joins the parts itself, dtypes are changed or weights are learnt."""
    if torch.compiler.is_compiling() or torch.is_autocast_enabled(weight.device.type):
        return False
    learnt = weight.requires_grad or (bias is not None and bias.requires_grad)
    return not (learnt and torch.is_grad_enabled())


def cut(weight: Tensor, bias: Tensor | None, start: int, end: int) -> tuple[Tensor, Tensor | None]:
    return weight[start:end], None if bias is None else bias[start:end]


class RowBlocks(torch.autograd.Function):
    """The blocks of a frozen layer, with the gradients of their inputs."""

    @staticmethod
    def forward(
        ctx,
        stored: Tensor,
        scale: Tensor | None,
        bias: Tensor | None,
        edges: list[tuple[int, int]],
        *inputs: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(stored, scale)
        ctx.edges = edges
        weight = Packed(stored, scale).plain(inputs[0].dtype)
        y = inputs[0].new_empty(*inputs[0].shape[:-1], edges[-1][1])
        lines = y.view(-1, y.shape[-1])
        for (start, end), x in zip(edges, inputs, strict=True):
            rows, constant = cut(weight, bias, start, end)
            x, target = x.reshape(-1, x.shape[-1]), lines[:, start:end]
            if constant is None:
                torch.mm(x, rows.t(), out=target)
            else:
                torch.addmm(constant, x, rows.t(), out=target)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weight = Packed(*ctx.saved_tensors).plain(gradient.dtype)
        wanted = ctx.needs_input_grad[4:]
        found = (
            gradient[..., start:end] @ weight[start:end] if wants else None
            for (start, end), wants in zip(ctx.edges, wanted, strict=True)
        )
        return None, None, None, None, *found


def by_picked_rows(
    own: Callable[[Tensor], Tensor], inputs: Sequence[Tensor], rows: Sequence[int]
) -> Tensor:
    """The same result, of whole calls with each different input."""
    wholes: list[tuple[Tensor, Tensor]] = []
    parts = []
    for start, end, x in joined(inputs, rows):
        made = next((whole for seen, whole in wholes if seen is x), None)
        if made is None:
            # some layers clamp their input in place, which others still have to read
            made = own(x.clone())
            wholes.append((x, made))
        parts.append(made[..., start:end])
    return torch.cat(parts, dim=-1)


def joined(inputs: Sequence[Tensor], rows: Sequence[int]) -> Iterator[Block]:
    """Yields each block; neighbours with the same input are one."""
    ends = [0]
    for count in rows:
        ends.append(ends[-1] + count)
    begun: Block | None = None
    for (start, end), x in zip(pairwise(ends), inputs, strict=True):
        if start == end:
            continue
        if begun is not None and begun[2] is x:
            begun = begun[0], end, x
            continue
        if begun is not None:
            yield begun
        begun = start, end, x
    if begun is not None:
        yield begun
