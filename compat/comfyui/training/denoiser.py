"""Opens ComfyUI's models for training, and says what kind of noise each was trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.model_sampling import (
    CONST,
    COSMOS_RFLOW,
    EPS,
    V_PREDICTION,
    ModelSamplingCosmosRFlow,
    ModelSamplingDiscrete,
    ModelSamplingDiscreteFlow,
    ModelSamplingFlux,
)

from hypernet.families import take_census
from hypernet.training.diffusion import Denoiser, diffusion_levels, flow_levels

from ..model import uncompiled
from ..ordinary_tensors import ordinary
from .gradients import in_training
from .transformer import FrozenTransformer, require_trainable_transformer, shift_of
from .unet import FrozenUnet, require_trainable_unet

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

OF_UNETS = {(EPS, ModelSamplingDiscrete): "eps", (V_PREDICTION, ModelSamplingDiscrete): "v"}
OF_TRANSFORMERS = {
    (CONST, ModelSamplingDiscreteFlow): "flow",
    (CONST, ModelSamplingFlux): "flow",
    (COSMOS_RFLOW, ModelSamplingCosmosRFlow): "flow",
}


@contextmanager
def denoiser(
    model: ModelPatcher,
    *,
    dtype: torch.dtype | None = None,
    swapped: int = 0,
    compiled: Callable[[str], object] | None = None,
) -> Iterator[Denoiser]:
    """Inside, the model is frozen, loaded and ready for autograd; then all is restored.

    Patches and LoRAs of the model stay in force, so the network learns with them. Inside the block
    inference mode is off and gradients are on, also for the caller's code. dtype: in which the
    model computes, None for its own; int8 leaves that alone, and has its weights in int8.

    Raises:
        ValueError: the model's architecture is unknown, it takes inputs that training cannot give
            it, or predicts something else than models of its architecture do.
    """
    kind = prediction(model)
    is_unet = _is_unet(model)
    (require_trainable_unet if is_unet else require_trainable_transformer)(model)
    with ExitStack() as inside:
        for each in (torch.inference_mode(False), torch.enable_grad(), in_training()):
            inside.enter_context(each)
        if model.is_dynamic():  # its weights would leave while the graph still needs them
            model = _resident_copy(model)
        if dtype not in (None, torch.int8, model.model.get_dtype_inference()):
            model = model.clone()
            model.set_model_compute_dtype(dtype)
        if is_unet:
            sigmas = ordinary(model.get_model_object("model_sampling").sigmas).float()
            levels = diffusion_levels(1 / (1 + sigmas**2))
            frozen = FrozenUnet(model, sigmas, swapped, compiled)
        else:
            levels = flow_levels()
            frozen = FrozenTransformer(model, swapped, compiled)
        frozen.in_int8 = dtype == torch.int8
        try:
            frozen.load()
            yield Denoiser(
                predict=frozen, levels=levels, prediction=kind, shift=shift_of(model),
                device=frozen.device, dtype=frozen.dtype, recomputes=swapped > 0,
                checkpointed=frozen.checkpointed, prepared=frozen.prepared,
                addresses=frozen.addresses,
            )  # fmt: skip
        finally:
            frozen.restore()


def _is_unet(model: ModelPatcher) -> bool:
    return isinstance(uncompiled(model.get_model_object("diffusion_model")), UNetModel)


def prediction(model: ModelPatcher) -> str:
    """ "eps", "v" or "flow", by the classes that define how a model denoises and counts timesteps.

    Raises ValueError naming them if they do not belong to the model's architecture, and for an
    unknown architecture.
    """
    known = OF_UNETS
    if not _is_unet(model):
        known = OF_TRANSFORMERS
        take_census(uncompiled(model.get_model_object("diffusion_model")))
    sampling = model.get_model_object("model_sampling")
    answer, clock = (
        next((kind for kind in type(sampling).__mro__ if method in vars(kind)), object)
        for method in ("calculate_denoised", "timestep")
    )
    if (answer, clock) in known and getattr(sampling, "noise_scale", 1.0) == 1:
        return known[answer, clock]
    raise ValueError(
        f"this model samples by {answer.__name__} and {clock.__name__}, as no model of its kind is "
        "trained. Leave out the node that changes the sampling, or take another model."
    )


def _resident_copy(model: ModelPatcher) -> ModelPatcher:
    """A copy of the model, with its patches, that is wholly on its device.

    Dynamic VRAM fetches a layer's weights when it runs, and may give their memory to the next
    layer, so that a backward pass would read wrong weights. ComfyUI's own training makes such a
    copy too.
    """
    try:
        return model.clone(disable_dynamic=True)
    except RuntimeError as error:
        raise ValueError(
            "this model cannot be trained on while ComfyUI streams its weights (dynamic VRAM), "
            "because its loader does not say which file to read it from again. Load it with "
            '"Load Checkpoint", or start ComfyUI with --disable-dynamic-vram.'
        ) from error
