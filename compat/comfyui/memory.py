"""Moves ComfyUI's models out of memory, and says on which device they run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import comfy.model_management as management
import torch

from hypernet.encoding.unload import unload as unload_weights

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher
    from comfy.sd import CLIP, VAE


@torch.inference_mode()
def release(*models: VAE | CLIP | ModelPatcher) -> None:
    for model in models:
        management.unload_model_and_clones(getattr(model, "patcher", model), all_devices=True)
    management.soft_empty_cache()


def unload(folder: Path, *models: VAE | CLIP) -> None:
    for model in models:
        if not model.patcher.is_dynamic():  # dynamic ones are read from the checkpoint's file
            unload_weights(model.patcher.model, folder)


def torch_device() -> torch.device:
    return torch.device(management.get_torch_device())


def free_memory() -> None:
    management.cleanup_models_gc()
    management.soft_empty_cache()
