"""The hypernetwork: per attention input width, two small residual MLPs before keys and values.

    keys(x) = x + strength · f_k(x)      values(x) = x + strength · f_v(x)

A1111's layer order, per linear layer: Linear, activation, LayerNorm, Dropout. All blocks of one
width share a pair, self- and cross-attention alike. Arithmetic is float32 whatever the context's
type, as A1111 does it, and the result has the context's type again.

aria1th's extension also has networks of residual blocks, y = resampled(x) + g(x) with the order
Linear, LayerNorm, Dropout, activation. There f(x) = blocks(x) − x, so the formula above holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .spec import HypernetSpec
from .vocabulary import ACTIVATIONS, INITIALIZATIONS, ZERO_OUTPUT


@dataclass(kw_only=True)
class Record:
    """What a file says beside the weights: its name, how long it learnt, and on what."""

    name: str = ""
    step: int = 0  # optimizer updates done
    sd_checkpoint: str | None = None  # short hash
    sd_checkpoint_name: str | None = None
    optional_info: str | None = None
    extra: dict = field(default_factory=dict)  # keys we do not know; written back as they were


class SkipBlock(nn.Module):
    """One layer of aria1th's networks: (…, inside) → (…, outside)."""

    def __init__(self, inside: int, outside: int, spec: HypernetSpec, dropout: float):
        super().__init__()
        self.outside = outside
        self.upsample_layer = None
        if spec.upsample_linear:
            self.upsample_layer = nn.Linear(inside, outside, bias=False)
        slots: list[nn.Module] = [nn.Linear(inside, outside)]
        if spec.layer_norm:
            slots.append(nn.LayerNorm(outside))
        if dropout > 0:
            slots.append(nn.Dropout(dropout))
        if spec.activation != "linear":
            slots.append(ACTIVATIONS[spec.activation]())
        self.linear = nn.Sequential(*slots)

    def forward(self, x: Tensor) -> Tensor:
        return self._resampled(x) + self.linear(x)

    def _resampled(self, x: Tensor) -> Tensor:
        if self.upsample_layer is not None:
            return self.upsample_layer(x)
        if self.outside == x.shape[-1]:
            return x
        rows = x.reshape(1, -1, x.shape[-1])  # interpolate wants three dimensions
        found = F.interpolate(rows, size=self.outside, mode="nearest-exact")
        return found.reshape(*x.shape[:-1], self.outside)


class ResidualMlp(nn.Module):
    """f of the formula above: (…, C) → (…, C).

    `linear` holds the layers in the slots of A1111 (or of aria1th's extension), so that its
    state_dict has their names.
    """

    def __init__(self, width: int, spec: HypernetSpec):
        super().__init__()
        self.skip_connection = spec.skip_connection
        sizes = [int(width * factor) for factor in spec.layer_structure]
        slots: list[nn.Module] = []
        for layer, (inside, outside) in enumerate(pairwise(sizes)):
            dropout = spec.dropout_structure[layer + 1]
            if spec.skip_connection:
                slots.append(SkipBlock(inside, outside, spec, dropout))
                continue
            slots.append(nn.Linear(inside, outside))
            if spec.is_activated(layer):
                slots.append(ACTIVATIONS[spec.activation]())
            if spec.layer_norm:
                slots.append(nn.LayerNorm(outside))
            if dropout > 0:
                slots.append(nn.Dropout(dropout))
        self.linear = nn.Sequential(*slots)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) - x if self.skip_connection else self.linear(x)

    @torch.no_grad()
    def initialize(self, name: str, generator: torch.Generator) -> None:
        """A1111's: biases 0; the scale of a layer norm starts near 0 too, as N(0, 0.01).

        ZERO_OUTPUT zeroes the last layer besides, and every residual block's: each adds to x."""
        linears = [layer for layer in self.modules() if isinstance(layer, nn.Linear)]
        for layer in self.modules():
            if isinstance(layer, nn.Linear) and layer.bias is None:  # torch's own, as aria1th's is
                nn.init.kaiming_uniform_(layer.weight, a=5**0.5, generator=generator)
            elif isinstance(layer, nn.Linear):
                INITIALIZATIONS[name](layer.weight, generator)
                nn.init.zeros_(layer.bias)
                if name == ZERO_OUTPUT and (layer is linears[-1] or self.skip_connection):
                    nn.init.zeros_(layer.weight)
            elif isinstance(layer, nn.LayerNorm):
                INITIALIZATIONS["Normal"](layer.weight, generator)
                nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.PReLU):
                nn.init.constant_(layer.weight, 0.25)


class Hypernetwork(nn.Module):
    """Weights of one spec, with the record of where they come from. Starts in eval mode.

    blank: the weights are whatever lay in memory, for callers that fill them all.
    """

    def __init__(self, spec: HypernetSpec, record: Record | None = None, *, blank: bool = False):
        super().__init__()
        self.spec = spec
        self.record = record or Record()
        # Hosts build nodes' outputs inside inference mode. Layers are made without numbers, for
        # torch would draw them from the global random state.
        with torch.inference_mode(False):
            with torch.device("meta"):
                self.pairs = nn.ModuleDict(
                    {
                        str(width): nn.ModuleDict(
                            {"k": ResidualMlp(width, spec), "v": ResidualMlp(width, spec)}
                        )
                        for width in spec.widths
                    }
                )
            self.to_empty(device="cpu")
            if not blank:
                generator = torch.Generator().manual_seed(spec.seed)
                for width in spec.widths:
                    for side in ("k", "v"):
                        mlp = self.pairs[str(width)][side]
                        mlp.initialize(spec.weight_initialization, generator)
        self.eval()

    def keys(self, context: Tensor, strength: float | Tensor = 1.0) -> Tensor:
        """The input of `to_k`: (B, T, C) → same shape and type; itself for a width not held."""
        return self._transform("k", context, strength)

    def values(self, context: Tensor, strength: float | Tensor = 1.0) -> Tensor:
        """The input of `to_v`: (B, T, C) → same shape and type; itself for a width not held."""
        return self._transform("v", context, strength)

    def _transform(self, side: str, context: Tensor, strength: float | Tensor) -> Tensor:
        width = str(context.shape[-1])
        if width not in self.pairs:
            return context
        x = context.float()
        residual = self.pairs[width][side](x)
        if residual.requires_grad or residual.dtype != x.dtype:  # learning, or under autocast
            return (x + residual * strength).to(context.dtype)
        return residual.mul_(strength).add_(x).to(context.dtype)  # a tenth faster at width 320

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def copy(self) -> Hypernetwork:
        """Weights of its own, made outside inference mode, so that they can be trained."""
        with torch.inference_mode(False):
            twin = Hypernetwork(self.spec, Record(**vars(self.record)), blank=True)
            twin.load_state_dict({key: value.clone() for key, value in self.state_dict().items()})
        return twin


def load_weights(network: Hypernetwork, weights: Mapping[str, Tensor]) -> None:
    """Put a state_dict into the network by place: a dropout more or less renames the layers after
    it. Raises ValueError or RuntimeError when they do not fit."""
    names = list(network.state_dict())
    with torch.inference_mode(False):
        network.load_state_dict(dict(zip(names, weights.values(), strict=True)))
