"""Faster linear layers on the CPU: matrix products by oneDNN instead of MKL.

torch multiplies float32 matrices with MKL, which reaches less than half of an AMD processor's speed
(110 of 250 GFLOP/s on a core with AVX-512). Convolutions, most of a UNet's work, already use
oneDNN. So with MKL a network would take twice as long as it should. oneDNN sums in another order:
results differ from MKL's in the last bit or two, as they do between processors. Small products gain
nothing and stay with MKL, and all do on Intel's processors, where MKL is as fast forward and a
tenth faster backward.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WORTHWHILE = 2**24  # multiplications: about a third of a millisecond


@cache
def mkl_is_slow() -> bool:
    """Not on Intel's processors. Where torch cannot name the processor, it is taken for another."""
    told = getattr(torch.cpu, "get_capabilities", dict)()
    return "Intel" not in str(told.get("cpu_name", ""))


def is_worthwhile(x: Tensor, weight: Tensor) -> bool:
    return (
        not torch.compiler.is_compiling()
        and x.device.type == weight.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.shape[:-1].numel() * weight.numel() >= WORTHWHILE
        and torch.backends.mkldnn.enabled
        and torch.backends.mkldnn.is_available()
        and mkl_is_slow()
    )


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """F.linear by oneDNN, without autograd.

    x: (…, inside). weight: (outside, inside), plain or in oneDNN's packed layout.
    """
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


class LearntProduct(torch.autograd.Function):
    """F.linear(x, weight, bias) by oneDNN, with its backward pass."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        rows = gradient.flatten(0, -2)
        return (
            product(gradient, weight.t()) if wanted[0] else None,
            product(rows.t(), x.flatten(0, -2).t()) if wanted[1] else None,
            rows.sum(0) if wanted[2] else None,
        )


def learnt(linear: nn.Linear, input: Tensor) -> Tensor:
    """linear(input), by oneDNN if that is faster, with autograd. Called as Linear.forward is."""
    if is_worthwhile(input, linear.weight):
        return LearntProduct.apply(input, linear.weight, linear.bias)
    return F.linear(input, linear.weight, linear.bias)


@contextmanager
def quickened(module: nn.Module) -> Iterator[None]:
    """Inside the block, every Linear of a module in training uses oneDNN."""
    linears = [layer for layer in module.modules() if type(layer) is nn.Linear]
    for layer in linears:
        layer.forward = partial(learnt, layer)
    try:
        yield
    finally:
        for layer in linears:
            del layer.forward


class QuickLinear(nn.Linear):
    """A Linear that shares another's weights, for inference.

    oneDNN's packed copy of the weights is cached, and renewed after a write into them.
    """

    def __init__(self, linear: nn.Linear):
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self._packed: tuple[tuple[int, int], Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not is_worthwhile(x, self.weight):
            return F.linear(x, self.weight, self.bias)
        if torch.is_grad_enabled() or self.weight.is_inference():
            return LearntProduct.apply(x, self.weight, self.bias)
        return product(x, self._as_packed(), self.bias)

    def _as_packed(self) -> Tensor:
        packed, seen = self._packed, (self.weight._version, self.weight.data_ptr())
        if packed is None or packed[0] != seen:
            with torch.inference_mode(False), torch.no_grad():
                packed = self._packed = (seen, self.weight.detach().to_mkldnn())
        return packed[1]

    def __getstate__(self) -> dict:
        """A copy of the layer packs its own weights."""
        return self.__dict__ | {"_packed": None}

    def _apply(self, *given, **more) -> QuickLinear:
        """Drop the packed copy when the weights are moved or cast."""
        self._packed = None
        return super()._apply(*given, **more)


def quicken(module: nn.Module) -> None:
    """Permanently replace every Linear in a module by a QuickLinear with the same weights."""
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            setattr(module, name, QuickLinear(child).train(child.training))
        else:
            quicken(child)
