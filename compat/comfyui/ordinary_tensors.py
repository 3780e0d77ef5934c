"""Makes tensors that autograd can use of those that ComfyUI makes in inference mode."""

from __future__ import annotations

import torch
from torch import Tensor


def ordinary(tensor: Tensor) -> Tensor:
    """A copy on the CPU that autograd can use, even if `tensor` is an inference tensor."""
    with torch.inference_mode(False), torch.no_grad():
        return tensor.to("cpu", copy=True)


def versioned(tensor: Tensor) -> Tensor:
    """The tensor, or a copy with a version counter if it is an inference tensor."""
    if not tensor.is_inference():
        return tensor
    with torch.inference_mode(False):
        return tensor.clone()
