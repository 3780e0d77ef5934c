"""Reads a diffusers folder whose model is a transformer, as `save_pretrained` of a pipeline does.

    model_index.json · transformer/ · vae/ · scheduler/ · text_encoder/ · tokenizer/ · …

model_index.json names the class of the pipeline and of every part. With "_shared", parts that the
folder lacks are those of another folder: "_shared": "../tiny-sd". A folder whose only text model is
CLIP has no pipeline in diffusers: there the transformer reads the same tokens as Stable Diffusion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hypernet.diffusers.latents import latent_format
from hypernet.diffusers.prompts import PROMPTS
from hypernet.diffusers.velocities import inputs_of

from .diffusers_folder import read_json, read_text_models, without_transformers_bars
from .flow import KINDS, FlowSampling, Kind
from .parts import needs_diffusers
from .pipeline_text import PipelineText, text_pipeline
from .text import Clip

if TYPE_CHECKING:
    from diffusers.models.modeling_utils import ModelMixin

LIBRARIES = ("diffusers", "transformers")  # nothing else that a folder names is imported
TRANSFORMER = "transformer"
FLOW = "FlowMatch"  # how the names of all schedulers of flow matching begin


@dataclass(frozen=True, kw_only=True)
class FlowParts:
    """The modules, on the CPU."""

    transformer: ModelMixin
    vae: Any
    clip: Clip | PipelineText
    sampling: FlowSampling


def holds_transformer(folder: Path) -> bool:
    index = folder / "model_index.json"
    return index.is_file() and TRANSFORMER in read_json(index)


def read_transformer_folder(
    folder: Path, device: torch.device, dtype: torch.dtype | None
) -> FlowParts:
    """The parts of a checkpoint. device: for the text models. dtype: None for bfloat16.

    Text models are float32 on the CPU and bfloat16 on an accelerator, the VAE is always float32.
    Raises FileNotFoundError if the folder is incomplete, ValueError if it is of another kind.
    """
    index = read_json(folder / "model_index.json")
    parts = {name: found for name, found in index.items() if isinstance(found, list) and found[0]}
    parts.pop("safety_checker", None)  # of pictures, after they are drawn
    _require_parts(folder, index, parts)
    of_text = torch.float32 if device.type == "cpu" else torch.bfloat16
    with needs_diffusers(folder), without_transformers_bars():
        transformer = _read_part(folder, index, TRANSFORMER, dtype or torch.bfloat16)
        _check_transformer(folder, index, parts, transformer)
        leave_out_mask(transformer)
        vae = _read_part(folder, index, "vae", torch.float32)
        _check_vae(folder, transformer, vae)
        if _only_clip(parts):
            tokenizer, encoders = read_text_models(_path(folder, index, "text_encoder").parent)
            clip = Clip(tokenizer, encoders, device)
        else:
            text = {
                name: _read_part(folder, index, name, of_text)
                for name in parts
                if name.startswith(("text_encoder", "tokenizer"))
            }
            clip = PipelineText(_pipeline(index, parts, text), type(transformer).__name__, device)
    sampling = _sampling(folder, index, type(transformer).__name__)
    return FlowParts(transformer=transformer, vae=vae, clip=clip, sampling=sampling)


def _require_parts(folder: Path, index: dict, parts: dict[str, list[str]]) -> None:
    needed = {TRANSFORMER, "vae", "scheduler", "text_encoder", "tokenizer"}
    missing = sorted(needed - set(parts))
    missing += [name for name in parts if not _path(folder, index, name).is_dir()]
    if missing:
        raise FileNotFoundError(
            f'"{folder}" is not a complete diffusers folder: it lacks {", ".join(missing)}. '
            "Save the whole pipeline there with save_pretrained of its class."
        )


def _path(folder: Path, index: dict, name: str) -> Path:
    own, shared = folder / name, index.get("_shared")
    return own if own.is_dir() or not shared else folder / shared / name


def _read_part(folder: Path, index: dict, name: str, dtype: torch.dtype) -> Any:
    """A model or tokenizer, of the class that the index names."""
    import diffusers
    import transformers

    library, kind = index[name]
    found = getattr({"diffusers": diffusers, "transformers": transformers}.get(library), kind, None)
    if found is None:
        raise ValueError(
            f'"{folder}" names {library}.{kind} as its {name}, which is no class of '
            f"{' or '.join(LIBRARIES)} here. Update diffusers and transformers, or give another "
            "checkpoint."
        )
    path = _path(folder, index, name)
    if name.startswith("tokenizer"):
        return found.from_pretrained(path, local_files_only=True)
    named = {"torch_dtype" if library == "diffusers" else "dtype": dtype}
    return found.from_pretrained(path, **named, local_files_only=True, use_safetensors=True)


def _check_transformer(folder: Path, index: dict, parts: dict, transformer: Any) -> None:
    name, inputs = type(transformer).__name__, inputs_of(transformer)
    answered = transformer.config.get("out_channels")
    known = (None, transformer.config["in_channels"], inputs.channels(transformer.config))
    if name not in PROMPTS or "transformer_2" in parts or answered not in known:
        raise ValueError(
            f'"{folder}" holds a model ({index.get("_class_name")}) that takes more than a text, '
            "or is made of two. Give a plain text-to-image model."
        )


def leave_out_mask(transformer: Any) -> None:
    """Cosmos reads a mask of what is no picture, 0 everywhere here, and asks torchvision for it."""
    if transformer.config.get("concat_padding_mask"):
        first, columns = transformer.patch_embed.proj, math.prod(transformer.config["patch_size"])
        first.weight = torch.nn.Parameter(first.weight[:, :-columns].contiguous())
        first.in_features -= columns
        transformer.register_to_config(concat_padding_mask=False)


def _check_vae(folder: Path, transformer: Any, vae: Any) -> None:
    form, inputs = latent_format(vae), inputs_of(transformer)
    channels = inputs.channels(transformer.config)
    if form.channels != channels or form.has_frames != inputs.has_frames:
        raise ValueError(
            f'the transformer in "{folder}" takes latents of {channels} channels, its VAE '
            f"({type(vae).__name__}) gives {form.channels}: they are of different models."
        )


def _only_clip(parts: dict[str, list[str]]) -> bool:
    texts = [kind for name, (_, kind) in parts.items() if name.startswith("text_encoder")]
    return texts == ["CLIPTextModel"]


def _pipeline(index: dict, parts: dict[str, list[str]], text: dict[str, Any]) -> Any:
    """The pipeline with its text models alone: it encodes prompts."""
    import diffusers

    kind = getattr(diffusers, index.get("_class_name", ""), None)
    if kind is None:
        raise ValueError(
            f"diffusers has no pipeline {index.get('_class_name')}. Update it, or give another "
            "checkpoint."
        )
    return text_pipeline(kind, dict.fromkeys(parts) | text)


def _sampling(folder: Path, index: dict, transformer: str) -> FlowSampling:
    """The folder's own shift, or ComfyUI's where the pipeline shifts by the size of the picture."""
    path = _path(folder, index, "scheduler") / "scheduler_config.json"
    config, kind = read_json(path), KINDS.get(transformer, Kind(1.0))
    name = config.get("_class_name", "")
    if not name.startswith(FLOW) and transformer != "CosmosTransformer3DModel":
        raise ValueError(f'"{path}" is a {name}, but transformers learn by flow matching.')
    dynamic = config.get("use_dynamic_shifting") or not name.startswith(FLOW)
    return FlowSampling(kind.shift if dynamic else config.get("shift", kind.shift), kind.levels)
