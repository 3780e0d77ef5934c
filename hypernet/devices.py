"""One name for each device.

A tensor sent to "cuda" reports "cuda:0", and torch treats the two as different devices; the same
goes for "cpu" and "cpu:0". Before a device is compared or used as a key, it is converted here to
the name that its tensors report.
"""

from __future__ import annotations

import torch


def as_tensors_name_it(device: torch.device) -> torch.device:
    """ "cuda:0" for "cuda" (the current card's number), "cpu" for "cpu:0"."""
    if device.index is not None and device.type not in ("cpu", "meta"):
        return device
    return torch.empty(0, device=device).device
