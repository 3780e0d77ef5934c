"""One name for each device.

A tensor that was sent to "cuda" says that it is on "cuda:0"; torch holds the two names for unequal,
and likewise "cpu" and "cpu:0". A device that is compared, or that something is kept by, is
called here what its tensors call it.
"""

from __future__ import annotations

import torch


def as_tensors_name_it(device: torch.device) -> torch.device:
    """ "cuda:0" for "cuda" (the current card's number), "cpu" for "cpu:0"."""
    if device.index is not None and device.type not in ("cpu", "meta"):
        return device
    return torch.empty(0, device=device).device
