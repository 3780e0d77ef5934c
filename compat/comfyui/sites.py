"""Networks on ComfyUI's models: attention patches in UNets, the sites of a census in all others.

Only UNets call patches before their projections. In any other model each call of `apply_model` is
wrapped: for its length, the sites get the patches that ComfyUI keeps under the name "hypernet". It
moves, counts and cleans those as it does others, clones copy their list, and hooks of prompts add
to it. `apply_model` is what all families call, with the very model of this call, also where there
are several cards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.ops import CastBiasWeightContext, disable_weight_init
from comfy.patcher_extension import WrapperExecutor, WrappersMP
from torch import Tensor, nn

from hypernet.apply.effect import EXACT, arithmetic_on
from hypernet.apply.patches import PlacedWeights, patches_of
from hypernet.apply.site_patches import SitePatch, applied
from hypernet.apply.sites import Weights, read_plain
from hypernet.families import Census, take_census

from .model import HANDLED, TRACKING, ApplyWrapper, Tracked, ending_with, manage, uncompiled

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

    from hypernet.apply.effect import Effect
    from hypernet.formats.hns import Network

NAME = "hypernet"  # of our patches and of the wrapper


def with_network(
    model: ModelPatcher, network: Network, effect: Effect, precision: str = EXACT
) -> ModelPatcher:
    patched = model.clone()
    dtype = arithmetic_on(model.model.get_dtype_inference(), precision)
    options = options_with(patched, PlacedWeights(network, manage, dtype), effect)
    for name, patches in options["patches"].items():
        for patch in patches:
            patched.set_model_patch(patch, name)
    for kind, wrappers in options["wrappers"].items():
        for key, (wrapper,) in wrappers.items():
            if not patched.get_wrappers(kind, key):
                patched.add_wrapper_with_key(kind, key, wrapper)
    return patched


def options_with(model: ModelPatcher, weights: PlacedWeights, effect: Effect) -> dict[str, Any]:
    """The transformer_options that let a network act on this model, in ComfyUI's form.

    Raises ValueError for a model that the census does not know.
    """
    unet = uncompiled(model.get_model_object("diffusion_model"))
    if isinstance(unet, UNetModel):
        key, wrapper = TRACKING, Tracked()
        attn1, attn2 = patches_of(weights, effect)
        patches = {"attn1_patch": [attn1], "attn2_patch": [attn2]}
    else:
        key, wrapper = NAME, _AtSites()
        wrapper.known[unet] = take_census(unet)
        patches = {NAME: [SitePatch(weights, effect)]}
    return {"patches": patches, "wrappers": {WrappersMP.APPLY_MODEL: {key: [wrapper]}}}


class _AtSites(ApplyWrapper):
    """For all other models, whose sites get the patches for the length of a call."""

    def __init__(self) -> None:
        self.known: WeakKeyDictionary[nn.Module, Census] = WeakKeyDictionary()

    @contextmanager
    def acting(
        self, apply: WrapperExecutor, options: Mapping[str, Any]
    ) -> Iterator[WrapperExecutor]:
        unet = uncompiled(apply.class_obj.diffusion_model)
        if unet not in self.known:  # the copy of the model on another card
            self.known[unet] = take_census(unet)
        with applied(unet, self.known[unet].sites, found_in(options), options, read_weights):
            yield ending_with(apply, _without_ours)


def _without_ours(
    apply: WrapperExecutor,
    x: Tensor,
    t: Tensor,
    c_concat: Tensor | None = None,
    c_crossattn: Tensor | None = None,
    control: dict[str, Any] | None = None,
    transformer_options: dict[str, Any] | None = None,
    **others: Any,
) -> Tensor:
    """ComfyUI drops a compiled model's guards on its options. One that copies them, such as Krea
    2, would miss ours as soon as there is no network any more."""
    options = dict(transformer_options or {})
    options.pop(HANDLED, None)
    patches = dict(options.pop("patches", {}))
    patches.pop(NAME, None)
    if patches:
        options["patches"] = patches
    return apply(x, t, c_concat, c_crossattn, control, options, **others)


def found_in(options: Mapping[str, Any]) -> list[SitePatch]:
    return options.get("patches", {}).get(NAME, [])


OWN = disable_weight_init.Linear


def read_weights(layer: nn.Module, x: Tensor) -> Weights | None:
    """Weight and bias of ComfyUI's Linear, as its own forward gets them for x.

    They are on x's device and in its dtype, with the LoRAs that are added on the fly. None for
    layers that do something else with them: quantized ones, and those of other packs.
    """
    if not isinstance(layer, OWN):
        return read_plain(layer, x)
    kind: Any = type(layer)
    computes = kind.forward, kind.forward_comfy_cast_weights
    if computes != (OWN.forward, OWN.forward_comfy_cast_weights):
        return None
    if type(layer.weight) is not nn.Parameter:  # quantized
        return None
    if layer.comfy_cast_weights or layer.weight_function or layer.bias_function:
        return CastBiasWeightContext(layer, x, offloadable=True)
    bias: Any = layer.bias
    return nullcontext((layer.weight, bias))
