"""What a network does to a model: a patch on the inputs of `to_k` and `to_v`.

Hosts call a patch as patch(n, context, value, extra_options) before the projections, once per
attention block; n, context and value are (B, T, C). Self-attention (attn1) and cross-attention
(attn2) get a patch object each. A patch never changes: clones of a model share it, and another
strength is another object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .network import Hypernetwork


class HypernetPatch:
    """Sends keys and values of every block through `network`, widths it does not hold excepted.

    The network is used as it is (dropout follows its train/eval mode). Its own weights are never
    moved or cast: each device gets a copy on first use, dropped when the host takes the model off
    that device.
    """

    def __init__(self, network: Hypernetwork, strength: float = 1.0):
        self.network = network
        self.strength = strength
        self._copies: dict[torch.device, Hypernetwork] = {}

    def __call__(
        self, n: Tensor, context: Tensor, value: Tensor, extra_options: Mapping[str, Any]
    ) -> tuple[Tensor, Tensor, Tensor]:
        network = self.on(n.device)
        return (
            n,
            network.keys(n if context is None else context, self.strength),
            network.values(n if value is None else value, self.strength),
        )

    def on(self, device: torch.device) -> Hypernetwork:
        if self.network.device == device:
            return self.network
        if device not in self._copies:
            self._copies[device] = self.network.copy().to(device)
        return self._copies[device]

    def to(self, target: Any) -> HypernetPatch:
        """ComfyUI calls this with devices and dtypes when it moves a model; only leaving counts."""
        if isinstance(target, torch.device) and target.type == "cpu":
            self._copies.clear()
        return self


class TrainingPatch(HypernetPatch):
    """The patch while training: strength 1, the very weights that the optimizer moves."""

    def on(self, device: torch.device) -> Hypernetwork:
        return self.network


def attention_widths(unet: nn.Module) -> dict[str, tuple[int, ...]]:
    """{"attn1": …, "attn2": …}: input sizes of every to_k in a UNet, sorted."""
    found: dict[str, set[int]] = {"attn1": set(), "attn2": set()}
    for name, module in unet.named_modules():
        kind, _, last = name.rpartition(".")
        kind = kind.rpartition(".")[2]
        if last == "to_k" and kind in found:
            found[kind].add(int(module.weight.shape[1]))
    return {kind: tuple(sorted(widths)) for kind, widths in found.items()}
