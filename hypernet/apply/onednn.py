"""Linear layers at the speed that the CPU has: oneDNN's product in place of MKL's.

torch multiplies float32 matrices with MKL, which runs at less than half of an AMD processor's speed
(110 of 250 GFLOP/s on a core with AVX-512), while it convolves, most of what a UNet does, with
oneDNN. So there a network would cost twice its arithmetic. oneDNN adds up in another order: results
differ from MKL's in the last bit or two of a sum, as they do between processors. Small products, in
which nothing is won, go the usual way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WORTHWHILE = 2**24  # multiplications: about a third of a millisecond


def is_worthwhile(x: Tensor, weight: Tensor) -> bool:
    return (
        not torch.compiler.is_compiling()
        and x.device.type == weight.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.shape[:-1].numel() * weight.numel() >= WORTHWHILE
        and torch.backends.mkldnn.enabled
        and torch.backends.mkldnn.is_available()
    )


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """oneDNN's F.linear: x (…, inside), weight (outside, inside), as it is or as oneDNN keeps it.
    Autograd does not see it."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


class LearntProduct(torch.autograd.Function):
    """F.linear(x, weight, bias), forwards and backwards."""

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


def learnt(linear: nn.Linear, x: Tensor) -> Tensor:
    """What linear(x) gives, for autograd too."""
    if is_worthwhile(x, linear.weight):
        return LearntProduct.apply(x, linear.weight, linear.bias)
    return F.linear(x, linear.weight, linear.bias)


@contextmanager
def quickened(module: nn.Module) -> Iterator[None]:
    """Inside, every Linear of a module that learns multiplies quickly."""
    linears = [layer for layer in module.modules() if type(layer) is nn.Linear]
    for layer in linears:
        layer.forward = partial(learnt, layer)
    try:
        yield
    finally:
        for layer in linears:
            del layer.forward


class QuickLinear(nn.Linear):
    """A Linear over the very weights of another, for use only. What oneDNN makes of them is kept,
    and made again when somebody has written into them."""

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
        """A copy makes its own."""
        return self.__dict__ | {"_packed": None}

    def _apply(self, *given, **more) -> QuickLinear:
        """Moved or cast: what was made of the weights is not."""
        self._packed = None
        return super()._apply(*given, **more)


def quicken(module: nn.Module) -> None:
    """Replace every Linear below a module, for good, by a quick one over the same weights."""
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            setattr(module, name, QuickLinear(child).train(child.training))
        else:
            quicken(child)
