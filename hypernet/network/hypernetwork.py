"""The hypernetwork: for each attention width, two small residual MLPs before keys and values.

    keys(x) = x + strength · f_k(x)      values(x) = x + strength · f_v(x)

The layers are in A1111's order: Linear, activation, LayerNorm, Dropout. All attention layers with
the same input width share a pair, self- and cross-attention alike; in a transformer also by place,
see places.py. As in A1111, everything is computed in float32, unless the spec says otherwise, and
the result is converted back to the dtype of the context.

aria1th's extension also has networks of residual blocks, y = resampled(x) + g(x), with the order
Linear, LayerNorm, Dropout, activation. For these f(x) = blocks(x) − x, so the formula above holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .places import Pair, Place
from .spec import HypernetSpec
from .vocabulary import ACTIVATIONS, INITIALIZATIONS, ZERO_OUTPUT

# Keys of Record.extra, which other programs ignore.
START = "hypernet_start"
CURVE = "hypernet_curve"


@dataclass(kw_only=True)
class Record:
    """What a file stores besides the weights: name, training steps and base checkpoint."""

    name: str = ""
    step: int = 0  # optimizer updates done
    sd_checkpoint: str | None = None  # short hash
    sd_checkpoint_name: str | None = None
    optional_info: str | None = None
    architecture: str = ""  # of the model it was trained on; "" for UNets, where widths tell
    extra: dict = field(default_factory=dict)  # unknown keys, written back unchanged

    @property
    def start(self) -> float:
        """The share of sampling before which the network had better not act; 0 unless recorded."""
        found = self.extra.get(START, 0.0)
        return found if isinstance(found, float) and 0 <= found < 1 else 0.0

    @start.setter
    def start(self, share: float) -> None:
        self._remember(START, share)

    @property
    def curve(self) -> str:
        """Its strength along sampling, as it was trained; "" for 1 all the way."""
        found = self.extra.get(CURVE, "")
        return found if isinstance(found, str) else ""

    @curve.setter
    def curve(self, text: str) -> None:
        self._remember(CURVE, text)

    def _remember(self, key: str, value: float | str) -> None:
        self.extra = {name: each for name, each in self.extra.items() if name != key}
        if value:
            self.extra[key] = value


class SkipBlock(nn.Module):
    """One residual block of aria1th's networks: (…, inside) → (…, outside)."""

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
        rows = x.reshape(1, -1, x.shape[-1])  # interpolate needs three dimensions
        found = F.interpolate(rows, size=self.outside, mode="nearest-exact")
        return found.reshape(*x.shape[:-1], self.outside)


class ResidualMlp(nn.Module):
    """The f in the formula above: (…, C) → (…, C).

    `linear` has the same slots as in A1111 (or aria1th's extension), so the names in the
    state_dict are the same too.
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
            slots.append(nn.Linear(inside, outside, bias=spec.bias))
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
        """Draw initial weights as A1111 does. Biases are 0, scales of layer norms N(0, 0.01).

        ZERO_OUTPUT also zeroes the last linear layer. With residual blocks it zeroes every one,
        because each adds to x.
        """
        linears = [layer for layer in self.modules() if isinstance(layer, nn.Linear)]
        for layer in self.modules():
            if isinstance(layer, nn.Linear) and layer.bias is None and self.skip_connection:
                # the skip path gets torch's default, as in aria1th's extension
                nn.init.kaiming_uniform_(layer.weight, a=5**0.5, generator=generator)
            elif isinstance(layer, nn.Linear):
                INITIALIZATIONS[name](layer.weight, generator)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
                if name == ZERO_OUTPUT and (layer is linears[-1] or self.skip_connection):
                    nn.init.zeros_(layer.weight)
            elif isinstance(layer, nn.LayerNorm):
                INITIALIZATIONS["Normal"](layer.weight, generator)
                nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.PReLU):
                nn.init.constant_(layer.weight, 0.25)


def module_name(pair: Pair) -> str:
    return pair.name.replace(".", "-")  # torch has no dots in the names of modules


class Hypernetwork(nn.Module):
    """The weights for one spec, and the record of where they come from. Starts in eval mode.

    blank: leave the weights uninitialised, for callers that fill them all.

    computes_in: the dtype of its products, which its weights then have; None: as the spec says.
    """

    computes_in: torch.dtype | None = None

    def __init__(self, spec: HypernetSpec, record: Record | None = None, *, blank: bool = False):
        super().__init__()
        self.spec = spec
        self.record = record or Record()
        # Hosts run nodes in inference mode, in which no trainable weights can be made. The meta
        # device keeps torch from drawing initial weights from the global random state.
        with torch.inference_mode(False):
            with torch.device("meta"):
                self.pairs = nn.ModuleDict(
                    {
                        module_name(pair): nn.ModuleDict(
                            {side: ResidualMlp(pair.width, spec) for side in ("k", "v")}
                        )
                        for pair in spec.pairs
                    }
                )
            self.to_empty(device="cpu")
            if not blank:
                generator = torch.Generator().manual_seed(spec.seed)
                for pair in spec.pairs:
                    for side in ("k", "v"):
                        self.mlp(pair, side).initialize(spec.weight_initialization, generator)
        self.eval()

    def mlp(self, pair: Pair | int, side: str) -> ResidualMlp:
        """The f for keys ("k") or values ("v") of a pair that the network has.

        A number is a width of a network for UNets.
        """
        modules = self.pairs[module_name(pair if isinstance(pair, Pair) else Pair(pair))]
        assert isinstance(modules, nn.ModuleDict)  # torch's containers don't tell what is in them
        mlp = modules[side]
        assert isinstance(mlp, ResidualMlp)
        return mlp

    def keys(
        self, context: Tensor, strength: float | Tensor = 1.0, place: Place | None = None
    ) -> Tensor:
        """Transform the input of `to_k`: (B, T, C) → same shape and dtype; (B, …, C) too.

        place: where in a transformer it is read. Returns the input itself for a width and place
        that the network doesn't have.
        """
        return self._transform("k", context, strength, place)

    def values(
        self, context: Tensor, strength: float | Tensor = 1.0, place: Place | None = None
    ) -> Tensor:
        """Transform the input of `to_v`, as `keys` does for `to_k`."""
        return self._transform("v", context, strength, place)

    def holds(self, width: int, place: Place | None = None) -> bool:
        return self.spec.pair_at(width, place) is not None

    def _transform(
        self, side: str, context: Tensor, strength: float | Tensor, place: Place | None
    ) -> Tensor:
        pair = self.spec.pair_at(context.shape[-1], place)
        if pair is None:
            return context
        if self.spec.arithmetic == "bfloat16":
            return self._in_bfloat16(self.mlp(pair, side), context, strength)
        if self.computes_in not in (None, torch.float32):
            residual = self.mlp(pair, side)(context.to(self.computes_in))
            return context + scaled(residual, strength).to(context.dtype)
        x = context.float()
        residual = self.mlp(pair, side)(x)
        if residual.requires_grad or residual.dtype != x.dtype:  # in training, or under autocast
            return (x + scaled(residual, strength)).to(context.dtype)
        # in place, which is a tenth faster at width 320
        residual = residual if is_one(strength) else residual.mul_(strength)
        return residual.add_(x).to(context.dtype)

    def _in_bfloat16(self, mlp: ResidualMlp, context: Tensor, strength: float | Tensor) -> Tensor:
        """Products are computed in bfloat16, whatever dtype the weights have."""
        with torch.autocast(context.device.type, torch.bfloat16):
            residual = mlp(context.bfloat16())
        return context + scaled(residual, strength).to(context.dtype)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def copy(self) -> Hypernetwork:
        """A copy with its own weights, made outside inference mode so that they can be trained."""
        with torch.inference_mode(False):
            twin = Hypernetwork(self.spec, Record(**vars(self.record)), blank=True)
            twin.load_state_dict({key: value.clone() for key, value in self.state_dict().items()})
        return twin


def is_one(strength: float | Tensor) -> bool:
    """Then a multiplication can be left out: nothing changes, not even the last bit."""
    return not isinstance(strength, Tensor) and strength == 1


def scaled(residual: Tensor, strength: float | Tensor) -> Tensor:
    return residual if is_one(strength) else residual * strength


def load_weights(network: Hypernetwork, weights: Mapping[str, Tensor]) -> None:
    """Load a state_dict by the order of its tensors, not by names.

    One dropout more or less changes the names of all layers after it. Raises ValueError or
    RuntimeError if the tensors don't fit.
    """
    names = list(network.state_dict())
    with torch.inference_mode(False):
        network.load_state_dict(dict(zip(names, weights.values(), strict=True)))
