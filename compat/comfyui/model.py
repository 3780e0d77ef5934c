"""ComfyUI's UNet for nodes that apply networks: its file, its attention widths, its changes.

ComfyUI runs nodes in `torch.inference_mode()`. Tensors that are made there have no version counter,
so one cannot see whether they were written to. `Tracked` gives attention ordinary tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comfy.model_management as management
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.model_patcher import CoreModelPatcher
from comfy.patcher_extension import WrapperExecutor

from hypernet.families import take_census

from ..compiled_models import CompiledAgain, drops_guards
from .ordinary_tensors import versioned

if TYPE_CHECKING:
    from comfy.model_base import BaseModel
    from comfy.model_patcher import ModelPatcher
    from comfy.sd import CLIP, VAE
    from torch import Tensor


def model_name(model: ModelPatcher) -> str:
    file = model_file(model)
    return file.name if file else ""


def model_file(model: ModelPatcher) -> Path | None:
    """The file that ComfyUI can reload this model from, if it knows one."""
    loader = getattr(model, "cached_patcher_init", None)
    path = loader[1][0] if loader and loader[1] else None
    return Path(path) if path and isinstance(path, (str, Path)) else None


def changes_of(model: ModelPatcher | CLIP | VAE) -> dict[str, Any]:
    patches = getattr(model, "patcher", model).patches
    return {"patches": patches, "layer": getattr(model, "layer_idx", None)}


def attention_widths(model: ModelPatcher) -> dict[str, tuple[int, ...]]:
    unet = uncompiled(model.get_model_object("diffusion_model"))
    if not isinstance(unet, UNetModel):
        return take_census(unet).widths()
    found: dict[str, set[int]] = {"attn1": set(), "attn2": set()}
    for path, module in unet.named_modules():
        kind = path.rpartition(".")[2]
        to_k: Any = getattr(module, "to_k", None)
        if kind in found and to_k is not None:
            found[kind].add(to_k.in_features)
    return {kind: tuple(sorted(widths)) for kind, widths in found.items()}


def architecture(model: ModelPatcher) -> str:
    unet = uncompiled(model.get_model_object("diffusion_model"))
    return "unet" if isinstance(unet, UNetModel) else take_census(unet).architecture


def pixels_per_latent(model: ModelPatcher) -> int:
    return model.get_model_object("latent_format").spacial_downscale_ratio


def uncompiled(module: torch.nn.Module) -> torch.nn.Module:
    """The module that torch.compile has wrapped, or the module itself."""
    return getattr(module, "_orig_mod", module)


def manage(module: torch.nn.Module) -> list:
    device, home = management.get_torch_device(), management.unet_offload_device()
    return [CoreModelPatcher(module, load_device=device, offload_device=home)]


TRACKING = "hypernet.track_changes"
HANDLED = "hypernet.handled"  # in transformer_options of a call that a wrapper of ours has seen
COMPILED = "torch_compile_kwargs"  # ComfyUI's key for the arguments that a model is compiled with


class ApplyWrapper:
    """Wraps BaseModel.apply_model of one model and its clones, with ordinary tensors for text and
    noise levels."""

    def __call__(
        self,
        apply: WrapperExecutor,
        x: Tensor,
        t: Tensor,
        c_concat: Tensor | None = None,
        c_crossattn: Tensor | None = None,
        control: dict[str, Any] | None = None,
        transformer_options: dict[str, Any] | None = None,
        **others: Any,
    ) -> Tensor:
        if HANDLED in (transformer_options or {}):  # by a hook's wrapper beside the model's own
            return apply(x, t, c_concat, c_crossattn, control, transformer_options, **others)
        text, options = ordinary_inputs(apply.class_obj, x, c_crossattn, transformer_options)
        with self.acting(apply, options) as inner:
            return inner(x, t, c_concat, text, control, options, **others)

    def acting(
        self, apply: WrapperExecutor, options: Mapping[str, Any]
    ) -> AbstractContextManager[WrapperExecutor]:
        """Inside, what is to be called in place of `apply`."""
        raise NotImplementedError


class Tracked(ApplyWrapper):
    """For UNets, whose attention calls the patches itself."""

    def __init__(self) -> None:
        self._again = CompiledAgain()

    def acting(
        self, apply: WrapperExecutor, options: Mapping[str, Any]
    ) -> AbstractContextManager[WrapperExecutor]:
        return nullcontext(self._heeding_patches(apply))

    def _heeding_patches(self, apply: WrapperExecutor) -> WrapperExecutor:
        """Let compiled models heed patches; see compiled_models.py.

        ComfyUI compiles in a wrapper of its own, before or after this one. Compiled modules must be
        replaced after both, so that is done in a last wrapper.
        """
        patcher = apply.class_obj.current_patcher
        asked = patcher.model_options.get(COMPILED) if patcher else None
        if not drops_guards(asked):
            return apply

        def last(apply: WrapperExecutor, *inputs: Any, **more: Any) -> Tensor:
            with self._again.within(apply.class_obj, asked):
                return apply(*inputs, **more)

        return ending_with(apply, last)


def ending_with(apply: WrapperExecutor, last: Callable[..., Tensor]) -> WrapperExecutor:
    """The same call with another wrapper after all that there are."""
    wrappers = [*apply.wrappers, last]
    return WrapperExecutor.new_class_executor(apply.original, apply.class_obj, wrappers, apply.idx)


def ordinary_inputs(
    model: BaseModel, x: Tensor, text: Tensor | None, options: dict[str, Any] | None
) -> tuple[Tensor | None, dict[str, Any]]:
    """Text and transformer_options of a call of apply_model, with ordinary tensors.

    The text gets its final dtype here, because a later cast in inference mode would make an
    inference tensor again.
    """
    if text is not None:
        text = versioned(text.to(x.device, model.get_dtype_inference()))
    options = {**(options or {}), HANDLED: True}
    if "sigmas" in options:
        options["sigmas"] = versioned(options["sigmas"])
    return text, options
