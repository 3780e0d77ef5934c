"""Reads and changes attention weights of ComfyUI's models, to fold networks into them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import comfy.lora
import comfy.model_management as management
import comfy.utils
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from torch import Tensor

from hypernet.apply.fold import AttentionWeights, attention_names
from hypernet.apply.fold_sites import SiteWeights, Target
from hypernet.families import take_census

from .model import uncompiled

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher


@torch.inference_mode()
def attention_weights(model: ModelPatcher) -> Iterator[AttentionWeights | SiteWeights]:
    """Yields the weights of each attention block, computed on the model's device.

    In transformers, those of each layer that makes keys or values.
    """
    unet = uncompiled(model.get_model_object("diffusion_model"))
    device = management.get_torch_device()
    found = model.get_key_patches("diffusion_model.")
    dtype = model.model_dtype()

    def weight(name: str) -> Tensor:
        (stored, convert), *patches = found[name]
        plain = convert(stored.to(device, torch.float32, copy=True), inplace=True)
        return comfy.lora.calculate_weight(patches, plain, name)

    if not isinstance(unet, UNetModel):
        parts = _parts_in_lora_files(model)
        for site in take_census(unet).sites:
            name = f"diffusion_model.{site.path}"
            if f"{name}.weight" not in found:
                raise ValueError(not_plain(name))
            plain = weight(f"{name}.weight")
            if plain.shape != (sum(site.rows) or len(plain), site.width):
                raise ValueError(not_plain(name))
            block = SiteWeights(site, plain, f"{name}.bias" in found, dtype)
            yield replace(block, parts=_parts_of(block, parts))
        return
    for ours, theirs in _attention_places(model).items():
        yield AttentionWeights(
            name=ours,
            keys=weight(f"{theirs}.to_k.weight"),
            values=weight(f"{theirs}.to_v.weight"),
            out=weight(f"{theirs}.to_out.0.weight"),
            dtype=dtype,
        )


def _parts_in_lora_files(model: ModelPatcher) -> dict[tuple[str, int, int], str]:
    """Names by which ComfyUI's loader knows some rows of a weight, by (weight, first, number).

    They are diffusers' names, where keys and values are layers of their own.
    """
    found: dict[tuple[str, int, int], str] = {}
    for name, key in comfy.lora.model_lora_keys_unet(model.model, {}).items():
        if isinstance(key, tuple) and len(key) == 2:
            weight, (dimension, first, number) = key
            if dimension == 0:
                found.setdefault((weight, first, number), name)
    return found


def _parts_of(block: SiteWeights, known: Mapping[tuple[str, int, int], str]) -> dict[str, str]:
    if block.site.side != "kv":
        return {}
    weight, found = f"diffusion_model.{block.site.path}.weight", {}
    for side in "kv":
        first, rows = block.rows_of(side)
        if name := known.get((weight, first, len(rows))):
            found[side] = name
    return found


def not_plain(name: str) -> str:
    return f"the weight of {name} is packed, so nothing can be folded into it. Use Apply Hypernet."


def with_weight_changes(model: ModelPatcher, changes: Mapping[Target, Tensor]) -> ModelPatcher:
    unet = uncompiled(model.get_model_object("diffusion_model"))
    if isinstance(unet, UNetModel):
        places, patches = _attention_places(model), {}
        for name, change in changes.items():
            block, _, rest = str(name).rpartition(".to_")
            patches[f"{places[block]}.to_{rest}"] = ("diff", (change,))
    else:
        patches = {_key(target, change): ("diff", (change,)) for target, change in changes.items()}
    patched = model.clone()
    missed = patches.keys() - set(patched.add_patches(patches))
    if missed:
        names = ", ".join(sorted(map(str, missed)))
        raise ValueError(f"this model has no weight {names} to change.")
    return patched


def _key(target: Target, change: Tensor) -> str | tuple[str, tuple[int, int, int]]:
    """ComfyUI's key of a weight, or of some of its rows: dimension, first row, number of rows."""
    if isinstance(target, str):
        return f"diffusion_model.{target}"
    name, first = target
    return f"diffusion_model.{name}", (0, first, len(change))


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
