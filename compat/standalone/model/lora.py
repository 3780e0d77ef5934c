"""Applies LoRA files to the UNet: kohya's, diffusers' and those that this pack writes.

    lora_unet_down_blocks_0_attentions_0_….lora_down.weight · .lora_up.weight · .alpha
    unet.down_blocks.0.attentions.0.….lora_A.weight · .lora_B.weight
    ….diff · .diff_b                    full differences of a weight and its bias

A weight changes by up · down · alpha / rank. This is computed only while the model is in use, so a
LoRA takes no more memory than its file. kohya writes every dot in a layer's name as "_", and for
SDXL uses the original block names, so layers are looked up by both names with "_" throughout.
Changes of text models are ignored; LoHa, LoKr, DoRA and others are refused.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from hypernet.diffusers.blocks import original_blocks, original_layers

from .block_names import RESNET
from .patched_model import UNET_PREFIX, Change, Model

logger = logging.getLogger(__name__)

PREFIXES = ("lora_unet_", "unet_", "diffusion_model_")
OF_TEXT_MODELS = ("lora_te", "text_encoder", "text_model", "lora_prior_te")
PARTS = {  # ending of a name, with "_" for "." -> part
    "_lora_up_weight": "up",
    "_lora_B_weight": "up",
    "_lora_down_weight": "down",
    "_lora_A_weight": "down",
    "_alpha": "alpha",
    "_diff": "diff",
    "_diff_b": "diff_b",
}


@dataclass(frozen=True)
class LowRank:
    """A change of a weight as two thin matrices: up (D, r) and down (r, …)."""

    up: Tensor
    down: Tensor
    scale: float

    def to(self, weight: Tensor) -> Tensor:
        up, down = (part.to(weight).flatten(1) for part in (self.up, self.down))
        return (up @ down * self.scale).reshape(weight.shape)


@torch.inference_mode(False)
def with_lora(model: Model, file: Path, strength: float) -> Model:
    """A clone of the model with the file's changes. Raises ValueError if none is for it."""
    layers = dict(_layers(model.module))
    changes: dict[str, Change] = {}
    strange = []
    for name, parts in _read(file).items():
        layer = layers.get(name)
        if layer is None:
            strange.append(name)
            continue
        changes |= _changes(file, layer, model.module.get_submodule(layer), parts)
    if not changes:
        raise ValueError(
            f'none of the layers in "{file}" is in this model; the first are '
            f"{', '.join(strange[:3]) or 'of a text model'}. Use a LoRA for this kind of model."
        )
    if strange:
        logger.warning(
            '%s: %d layers are not in this model, the first is "%s"; %d are.',
            file.name,
            len(strange),
            strange[0],
            len(changes),
        )
    patched = model.clone()
    patches = {UNET_PREFIX + name: ("diff", (change,)) for name, change in changes.items()}
    patched.add_patches(patches, strength)
    return patched


def _read(file: Path) -> dict[str, dict[str, Tensor]]:
    """The parts of each layer; names have "_" for every dot and no prefix."""
    try:
        tensors = safetensors.torch.load_file(file)
    except (safetensors.SafetensorError, OSError) as fault:
        raise ValueError(f'"{file}" cannot be read ({fault}); copy it anew.') from fault
    found: dict[str, dict[str, Tensor]] = defaultdict(dict)
    unknown = []
    for name, tensor in tensors.items():
        if name.startswith(OF_TEXT_MODELS):
            continue
        flat = name.removeprefix("transformer.").replace(".", "_")
        ending = next((end for end in PARTS if flat.endswith(end)), None)
        if ending is None:
            unknown.append(name)
            continue
        layer = flat.removesuffix(ending)
        prefix = next((prefix for prefix in PREFIXES if layer.startswith(prefix)), "")
        found[layer.removeprefix(prefix)][PARTS[ending]] = tensor
    if unknown:
        raise ValueError(
            f'"{file}" is not a plain LoRA: it has {", ".join(unknown[:3])}. LoHa, LoKr, DoRA and '
            "others work inside ComfyUI."
        )
    return found


def _changes(
    file: Path, name: str, layer: nn.Module, parts: dict[str, Tensor]
) -> dict[str, Change]:
    """The changes of a layer's weight and bias, by name."""
    changes: dict[str, Change] = {}
    weight = layer.get_parameter("weight")
    try:
        if "up" in parts or "down" in parts:
            rank = parts["down"].shape[0]
            scale = float(parts["alpha"]) / rank if "alpha" in parts else 1.0
            change = LowRank(parts["up"], parts["down"], scale)
            change.to(torch.empty_like(weight, device="meta"))  # do the shapes fit?
            changes[f"{name}.weight"] = change
        elif "diff" in parts:
            changes[f"{name}.weight"] = parts["diff"].reshape(weight.shape)
        if "diff_b" in parts:
            changes[f"{name}.bias"] = parts["diff_b"].reshape(layer.get_parameter("bias").shape)
    except (RuntimeError, KeyError, AttributeError) as fault:
        shapes = ", ".join(f"{part} {list(each.shape)}" for part, each in parts.items())
        raise ValueError(
            f'"{file}" does not fit this model: {name} has {list(weight.shape)}, the file '
            f"{shapes}. Use a LoRA for this kind of model."
        ) from fault
    return changes


def _layers(unet: nn.Module) -> Iterator[tuple[str, str]]:
    """(name with "_", name in the UNet) for every name that a file may use for a layer."""
    is_unet = hasattr(unet, "down_blocks")
    blocks = dict(original_blocks(unet)) if is_unet else {}
    layers = dict(original_layers(unet)) if is_unet else {}
    for name, module in unet.named_modules():
        if not isinstance(getattr(module, "weight", None), nn.Parameter):
            continue
        yield name.replace(".", "_"), name
        if name in layers:
            yield layers[name], name
        block = next((block for block in blocks if name.startswith(f"{block}.")), None)
        if block is not None:
            rest = name.removeprefix(f"{block}.").replace(".", "_")
            yield f"{blocks[block]}_{RESNET.get(rest, rest)}", name
