"""The hypernetwork: per attention input width, two small residual MLPs before keys and values.

    keys(x) = x + strength · f_k(x)      values(x) = x + strength · f_v(x)

A1111's layer order, per linear layer: Linear, activation, LayerNorm, Dropout. All blocks of one
width share a pair, self- and cross-attention alike. Arithmetic is float32 whatever the context's
type, as A1111 does it, and the result has the context's type again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn

from .spec import HypernetSpec
from .vocabulary import ACTIVATIONS, INITIALIZATIONS


@dataclass(kw_only=True)
class Record:
    """What a file says beside the weights: its name, how long it learnt, and on what."""

    name: str = ""
    step: int = 0  # optimizer updates done
    sd_checkpoint: str | None = None  # short hash
    sd_checkpoint_name: str | None = None
    optional_info: str | None = None
    extra: dict = field(default_factory=dict)  # keys we do not know; written back as they were


class ResidualMlp(nn.Module):
    """f of the formula above: (…, C) → (…, C).

    `linear` holds the layers in A1111's slots, so that its state_dict has A1111's names.
    """

    def __init__(self, width: int, spec: HypernetSpec):
        super().__init__()
        sizes = [int(width * factor) for factor in spec.layer_structure]
        slots: list[nn.Module] = []
        for layer, (inside, outside) in enumerate(pairwise(sizes)):
            slots.append(nn.Linear(inside, outside))
            if spec.is_activated(layer):
                slots.append(ACTIVATIONS[spec.activation]())
            if spec.layer_norm:
                slots.append(nn.LayerNorm(outside))
            if spec.dropout_structure[layer + 1] > 0:
                slots.append(nn.Dropout(spec.dropout_structure[layer + 1]))
        self.linear = nn.Sequential(*slots)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)

    @torch.no_grad()
    def initialize(self, name: str, generator: torch.Generator) -> None:
        """A1111's: biases 0; the scale of a layer norm starts near 0 too, as N(0, 0.01)."""
        for layer in self.linear:
            if isinstance(layer, nn.Linear):
                INITIALIZATIONS[name](layer.weight, generator)
                nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.LayerNorm):
                INITIALIZATIONS["Normal"](layer.weight, generator)
                nn.init.zeros_(layer.bias)


class Hypernetwork(nn.Module):
    """Weights of one spec, with the record of where they come from. Starts in eval mode."""

    def __init__(self, spec: HypernetSpec, record: Record | None = None):
        super().__init__()
        self.spec = spec
        self.record = record or Record()
        # Hosts build nodes' outputs inside inference mode; layers draw from the global state.
        with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
            self.pairs = nn.ModuleDict(
                {
                    str(width): nn.ModuleDict(
                        {"k": ResidualMlp(width, spec), "v": ResidualMlp(width, spec)}
                    )
                    for width in spec.widths
                }
            )
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
        return (x + self.pairs[width][side](x) * strength).to(context.dtype)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def copy(self) -> Hypernetwork:
        """Weights of its own, made outside inference mode, so that they can be trained."""
        with torch.inference_mode(False):
            twin = Hypernetwork(self.spec, Record(**vars(self.record)))
            twin.load_state_dict({key: value.clone() for key, value in self.state_dict().items()})
        return twin
