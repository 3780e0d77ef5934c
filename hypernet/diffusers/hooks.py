"""Applies networks to a diffusers pipeline, whatever attention processor it uses.

In a UNet, forward hooks change the input of `to_k` and `to_v` in every attention layer. In a
transformer the census tells which layers make keys and values. This module imports only torch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..apply.effect import EXACT, Effect, arithmetic_on
from ..apply.fit import check_fit
from ..apply.memo import Memo
from ..apply.patches import PlacedWeights, attention_widths, full_precision
from ..apply.site_patches import SitePatch, applied
from ..families import take_census
from ..families.census import FAMILIES, class_name, runs_fused
from ..formats.hns import Network

UNET = "unet"
PARTS = (UNET, "transformer", "transformer_2")  # of pipelines; Wan 2.2 has one for late steps


@contextmanager
def apply(
    pipeline_or_model: Any,
    network: Network,
    strength: float = 1.0,
    *,
    keys: float = 1.0,
    values: float = 1.0,
    widths: dict[int, float] | None = None,
    precision: str = EXACT,
) -> Iterator[None]:
    """Apply the network inside the block; the pipeline is restored afterwards.

    keys, values and widths are additional factors, as in Effect. precision: "exact", a network for
    UNets computes in float32, or "as the model", in the UNet's dtype. The network is neither moved
    nor changed. Raises TypeError if there is neither UNet nor transformer, and ValueError if the
    network was trained for another kind, nothing of it fits, or the projections are fused. Warns
    if only a part fits.
    """
    effect = Effect(
        strength=strength, keys=keys, values=values, widths=tuple((widths or {}).items())
    )
    with ExitStack() as inside:
        for model in find_models(pipeline_or_model):
            on_model = on_unet if is_unet(model) else on_transformer
            warning = inside.enter_context(on_model(model, network, effect, precision))
            if warning:
                warnings.warn(warning, stacklevel=3)
        yield


@contextmanager
def on_unet(unet: nn.Module, network: Network, effect: Effect, precision: str) -> Iterator[str]:
    """Inside, the network acts; yields what check_fit warns of."""
    warning = check_fit(network, attention_widths(unet), UNET)
    weights = placed(network, unet, precision)
    memos = {"to_k": Memo(), "to_v": Memo()}
    with ExitStack() as hooks:
        for name, layer in attention_layers(unet):
            for side, memo in memos.items():
                hook = changing_input(weights, effect, side, memo if name == "attn2" else None)
                hooks.callback(getattr(layer, side).register_forward_pre_hook(hook).remove)
        yield warning


@contextmanager
def on_transformer(
    model: nn.Module, network: Network, effect: Effect, precision: str
) -> Iterator[str]:
    """As on_unet does."""
    census = take_census(model)
    warning = check_fit(network, census.widths(), census.architecture)
    patch = SitePatch(placed(network, model, precision), effect)
    with applied(model, census.sites, [patch], {}):
        yield warning


def placed(network: Network, model: nn.Module, precision: str) -> PlacedWeights:
    dtype = arithmetic_on(next(model.parameters()).dtype, precision)
    return PlacedWeights(network, dtype=dtype)


def find_models(pipeline_or_model: Any) -> list[nn.Module]:
    """The model itself, or the models of a pipeline that predict noise."""
    if isinstance(pipeline_or_model, nn.Module):
        return [uncompiled(pipeline_or_model)]
    parts = [getattr(pipeline_or_model, name, None) for name in PARTS]
    found = [uncompiled(part) for part in parts if isinstance(part, nn.Module)]
    if not found:
        raise TypeError(
            f"{type(pipeline_or_model).__name__} is no UNet or transformer and has none. Give a "
            "pipeline of diffusers, or one of these of it."
        )
    return found


def uncompiled(model: nn.Module) -> nn.Module:
    """The model that torch.compile has wrapped, or the model itself."""
    return getattr(model, "_orig_mod", model)


def is_unet(model: nn.Module) -> bool:
    """Has it a UNet's attention? Also one that the census does not know."""
    family = FAMILIES.get(class_name(model))
    if family is not None:
        return family.architecture == UNET
    return any(True for _ in attention_layers(model))


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
            if runs_fused(layer):
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
