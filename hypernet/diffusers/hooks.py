"""Applies networks to a diffusers pipeline, with forward hooks on the projections of attention.

The network changes the input of `to_k` and `to_v` in every attention layer, whatever attention
processor the pipeline uses. This module imports only torch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..apply.effect import Effect
from ..apply.memo import Memo
from ..apply.patches import PlacedWeights, attention_widths, check_fit, full_precision
from ..formats.hns import Network


@contextmanager
def apply(
    pipeline_or_unet: Any,
    network: Network,
    strength: float = 1.0,
    *,
    keys: float = 1.0,
    values: float = 1.0,
    widths: dict[int, float] | None = None,
) -> Iterator[None]:
    """Apply the network inside the block; the pipeline is restored afterwards.

    keys, values and widths are additional factors, as in Effect. The network is neither moved nor
    changed. Raises TypeError if there is no UNet, and ValueError if no width fits or the
    projections are fused. Warns if only some widths fit.
    """
    unet = find_unet(pipeline_or_unet)
    effect = Effect(
        strength=strength, keys=keys, values=values, widths=tuple((widths or {}).items())
    )
    if warning := check_fit(network, attention_widths(unet)):
        warnings.warn(warning, stacklevel=3)
    weights = PlacedWeights(network)
    memos = {"to_k": Memo(), "to_v": Memo()}
    with ExitStack() as hooks:
        for name, layer in attention_layers(unet):
            for side, memo in memos.items():
                hook = changing_input(weights, effect, side, memo if name == "attn2" else None)
                hooks.callback(getattr(layer, side).register_forward_pre_hook(hook).remove)
        yield


def find_unet(pipeline_or_unet: Any) -> nn.Module:
    unet = getattr(pipeline_or_unet, "unet", pipeline_or_unet)
    if not isinstance(unet, nn.Module):
        raise TypeError(
            f"{type(pipeline_or_unet).__name__} is no UNet and has none. Give a Stable Diffusion "
            "pipeline, or its unet."
        )
    return unet


def attention_layers(unet: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every attention layer, as ("attn1" or "attn2", layer)."""
    for path, layer in unet.named_modules():
        name = path.rpartition(".")[2]
        if name in ("attn1", "attn2") and hasattr(layer, "to_k"):
            if getattr(layer, "fused_projections", False):
                raise ValueError(
                    f"the projections of {path} are fused, so keys and values have no input of "
                    "their own. Call pipeline.unfuse_qkv_projections() first."
                )
            yield name, layer


def changing_input(
    weights: PlacedWeights, effect: Effect, side: str, memo: Memo | None
) -> Callable[[nn.Module, tuple], tuple | None]:
    """A forward pre-hook for to_k or to_v. It returns None to leave the input alone."""

    def hook(projection: nn.Module, inputs: tuple) -> tuple | None:
        tokens, *others = inputs  # (B, T, C)
        width = tokens.shape[-1]
        network = weights.on(tokens.device)
        factor = effect.on_keys(width) if side == "to_k" else effect.on_values(width)
        if factor == 0 or not network.holds(width):
            return None

        def compute() -> tuple[Tensor]:
            with full_precision(tokens.device):
                change = network.keys if side == "to_k" else network.values
                return (change(tokens, factor),)

        if memo is None or torch.compiler.is_compiling():
            return (*compute(), *others)
        return (*memo.recall(weights.writes(), (tokens,), compute), *others)

    return hook
