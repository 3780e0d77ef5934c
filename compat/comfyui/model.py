"""The real host: every name of `contract.py` by ComfyUI's own means, and nothing else.

This file, and demo_model.py for one model, are all of the pack that may import from ComfyUI.
They are tried against 0.33 and use what has been there since 0.25. Four surprises:

- ComfyUI runs nodes in `torch.inference_mode()`, so weights loaded by a graph are inference
  tensors, which autograd refuses to save. `denoiser` lends it ordinary tensors over the same
  storage: no copy, no memory, and the originals go back afterwards.
- Only training leaves that mode: host code expects it and is called in it here, whatever the
  caller's mode, and results come out as ordinary tensors.
- A UNet's forward writes into the `transformer_options` it is given, so each call gets its own.
- Every progress update and every op of a model may throw the user's interrupt, and clears it by
  doing so. Here the request is put back, because trainers poll `is_interrupted`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import comfy.lora
import comfy.model_management as management
import comfy.sample
import comfy.utils
import torch
from comfy.ldm.cosmos.predict2 import MiniTrainDIT
from comfy.ldm.modules.diffusionmodules.openaimodel import (
    UNetModel,
)
from comfy.model_patcher import CoreModelPatcher
from comfy.patcher_extension import WrapperExecutor, WrappersMP
from torch import Tensor

from hypernet.encoding.unload import unload as unload_weights

from .compiled import CompiledAgain, drops_guards
from .ordinary_tensors import _ordinary, _versioned

# Folders


# Interrupts and progress


# Talking to the editor


# Pictures and texts


@torch.inference_mode()
def generate(
    model, vae, positive, negative, *, width: int, height: int, seed: int, steps: int, cfg: float
) -> Tensor:
    """One picture (1, height, width, 3), by euler on the normal schedule."""
    empty = torch.zeros(1, 4, height // 8, width // 8, device=management.intermediate_device())
    empty = comfy.sample.fix_empty_latent_channels(model, empty)
    latent = comfy.sample.sample(
        model,
        comfy.sample.prepare_noise(empty, seed),
        steps,
        cfg,
        "euler",
        "normal",
        positive,
        negative,
        empty,
        disable_pbar=True,
        seed=seed,
    )
    return _ordinary(vae.decode(latent).float())


# Memory


@torch.inference_mode()
def release(*models) -> None:
    """VAE and CLIP objects, or models, leave the accelerator."""
    for model in models:
        management.unload_model_and_clones(getattr(model, "patcher", model), all_devices=True)
    management.soft_empty_cache()


def unload(folder: Path, *models) -> None:
    for model in models:
        if not model.patcher.is_dynamic():  # then they are in the checkpoint's own file
            unload_weights(model.patcher.model, folder)


def torch_device() -> torch.device:
    return torch.device(management.get_torch_device())


def free_memory() -> None:
    management.cleanup_models_gc()
    management.soft_empty_cache()


# The UNet


def load_demo_model(folder: Path) -> tuple:
    from . import demo_model

    return demo_model.load_demo_model(folder)


def model_name(model) -> str:
    file = model_file(model)
    return file.name if file else ""


def model_file(model) -> Path | None:
    """The file that the host can reload this model from, if it knows one."""
    loader = getattr(model, "cached_patcher_init", None)
    path = loader[1][0] if loader and loader[1] else None
    return Path(path) if path and isinstance(path, (str, Path)) else None


def changes_of(model) -> dict:
    patches = getattr(model, "patcher", model).patches
    return {"patches": patches, "layer": getattr(model, "layer_idx", None)}


def attention_widths(model) -> dict[str, tuple[int, ...]]:
    found: dict[str, set[int]] = {"attn1": set(), "attn2": set()}
    for kind, to_k in _patched_projections(model):
        found[kind].add(to_k.in_features)
    return {kind: tuple(sorted(widths)) for kind, widths in found.items()}


def _patched_projections(model) -> Iterator[tuple[str, torch.nn.Module]]:
    """The kind and the to_k of every attention layer whose patches run before its projections.

    Other architectures call the same patches elsewhere, with other tensors, or not at all.
    """
    unet = model.get_model_object("diffusion_model")
    if isinstance(unet, UNetModel):
        for name, module in unet.named_modules():
            kind = name.rpartition(".")[2]
            if kind in ("attn1", "attn2") and hasattr(module, "to_k"):
                yield kind, module.to_k
    elif isinstance(unet, MiniTrainDIT):
        for module in unet.modules():
            if hasattr(module, "is_selfattn") and hasattr(module, "k_proj"):
                yield "attn1" if module.is_selfattn else "attn2", module.k_proj
    else:
        raise ValueError(
            f"this model is a {type(model.model).__name__} ({type(unet).__name__}), which has no "
            "place where a hypernetwork can act before its attention. Hypernetworks work with "
            "Stable Diffusion 1, 2 and XL, Cosmos Predict2 and Anima."
        )


def manage(module: torch.nn.Module) -> list:
    device, home = management.get_torch_device(), management.unet_offload_device()
    return [CoreModelPatcher(module, load_device=device, offload_device=home)]


TRACKING = "hypernet.track_changes"
COMPILED = "torch_compile_kwargs"  # where the host keeps what a model is compiled with


def track_changes(model) -> None:
    if not model.get_wrappers(WrappersMP.APPLY_MODEL, TRACKING):
        model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, TRACKING, _Tracked())


class _Tracked:
    """Wraps BaseModel.apply_model of one model and its clones."""

    def __init__(self) -> None:
        self._again = CompiledAgain()

    def __call__(
        self, apply, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options=None,
        **others,
    ):  # fmt: skip
        """The text gets the type here that it would get inside, because a cast in inference mode
        makes another inference tensor."""
        if c_crossattn is not None:
            dtype = apply.class_obj.get_dtype_inference()
            c_crossattn = _versioned(c_crossattn.to(x.device, dtype))
        options = dict(transformer_options or {})
        if "sigmas" in options:
            options["sigmas"] = _versioned(options["sigmas"])
        return self._heeding_patches(apply)(x, t, c_concat, c_crossattn, control, options, **others)

    def _heeding_patches(self, apply):
        """The host compiles by a wrapper too, which may come before or after this one. What stands
        in for compiled modules has to come after both, so it is the last wrapper."""
        patcher = apply.class_obj.current_patcher
        asked = patcher.model_options.get(COMPILED) if patcher else None
        if not drops_guards(asked):
            return apply

        def last(apply, *inputs, **more):
            with self._again.within(apply.class_obj, asked):
                return apply(*inputs, **more)

        wrappers = [*apply.wrappers, last]
        return WrapperExecutor.new_class_executor(
            apply.original, apply.class_obj, wrappers, apply.idx
        )
