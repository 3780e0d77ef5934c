"""Reads and changes attention weights of ComfyUI's UNet, to fold networks into them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import comfy.lora
import comfy.model_management as management
import comfy.utils
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from torch import Tensor

from hypernet.apply.fold import AttentionWeights, attention_names

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher


@torch.inference_mode()
def attention_weights(model: ModelPatcher) -> Iterator[AttentionWeights]:
    """Yields the weights of each attention block, computed on the model's device."""
    unet = model.get_model_object("diffusion_model")
    if not isinstance(unet, UNetModel):
        raise ValueError(
            f"this model is a {type(model.model).__name__} ({type(unet).__name__}). Hypernetworks "
            "are folded into Stable Diffusion 1, 2 and XL; use Apply Hypernet for others."
        )
    device = management.get_torch_device()
    found = model.get_key_patches("diffusion_model.")

    def weight(name: str) -> Tensor:
        (stored, convert), *patches = found[name]
        plain = convert(stored.to(device, torch.float32, copy=True), inplace=True)
        return comfy.lora.calculate_weight(patches, plain, name)

    for ours, theirs in _attention_places(model).items():
        yield AttentionWeights(
            name=ours,
            keys=weight(f"{theirs}.to_k.weight"),
            values=weight(f"{theirs}.to_v.weight"),
            out=weight(f"{theirs}.to_out.0.weight"),
            dtype=model.model_dtype(),
        )


def with_weight_changes(model: ModelPatcher, changes: Mapping[str, Tensor]) -> ModelPatcher:
    places, patches = _attention_places(model), {}
    for name, change in changes.items():
        block, _, rest = name.rpartition(".to_")
        patches[f"{places[block]}.to_{rest}"] = ("diff", (change,))
    patched = model.clone()
    missed = patches.keys() - set(patched.add_patches(patches))
    if missed:
        raise ValueError(f"this model has no weight {', '.join(sorted(missed))} to change.")
    return patched


def _attention_places(model: ModelPatcher) -> dict[str, str]:
    """Maps diffusers' name of each attention block to ComfyUI's.

    Blocks that diffusers has no name for keep ComfyUI's.
    """
    known = comfy.utils.unet_to_diffusers(model.model.model_config.unet_config)
    by_place, found = {place: name for name, place in known.items()}, {}
    for place in attention_names(model.model.state_dict()):
        weight = f"{place.removeprefix('diffusion_model.')}.to_k.weight"
        found[by_place.get(weight, weight).removesuffix(".to_k.weight")] = place
    return found
