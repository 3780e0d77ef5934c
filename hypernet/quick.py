"""Linear layers at the speed that the CPU has: oneDNN's product in place of MKL's.

torch multiplies float32 matrices with MKL, which runs at less than half of an AMD processor's speed
(110 of 250 GFLOP/s on a core with AVX-512), while it convolves, most of what a UNet does, with
oneDNN. So there a network would cost twice its arithmetic. oneDNN adds up in another order: results
differ from MKL's in the last bit or two of a sum, as they do between processors. Small products,
where nothing is won, and all that autograd watches go the usual way.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WORTHWHILE = 2**24  # multiplications: about a third of a millisecond


class QuickLinear(nn.Linear):
    """A Linear over the very weights of another, for use only. What oneDNN needs is made of them
    when it is first called for, and again when somebody has written into them."""

    def __init__(self, linear: nn.Linear):
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self._packed: tuple[tuple[int, int], Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not is_worthwhile(x, self.weight):
            return F.linear(x, self.weight, self.bias)
        return torch.ops.mkldnn._linear_pointwise(x, self._as_packed(), self.bias, "none", [], "")

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


def is_worthwhile(x: Tensor, weight: Tensor) -> bool:
    return (
        x.device.type == weight.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.shape[:-1].numel() * weight.numel() >= WORTHWHILE
        and not torch.is_grad_enabled()
        and not weight.is_inference()
        and not torch.compiler.is_compiling()
        and torch.backends.mkldnn.enabled
        and torch.backends.mkldnn.is_available()
    )


def quicken(module: nn.Module) -> None:
    """Replace every Linear below the module by a quick one over the same weights."""
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            setattr(module, name, QuickLinear(child).train(child.training))
        else:
            quicken(child)
