"""Loads the bundled demo model as ComfyUI's MODEL, CLIP and VAE.

It is a diffusers folder with the architecture of Stable Diffusion 1, but tiny: channels of 48, 112
and 128, norms with 8 groups, and a text encoder of width 96 with 24 positions and 1,656 tokens.
ComfyUI's classes assume channels that are multiples of the first, 32 groups and 49,408 tokens. The
UNet's and the text encoder's classes let the caller change that. The VAE's class does not, so its
layers are replaced by ones that fit the weights.

ComfyUI must be able to load a model again, to make a copy that does not stream its weights or one
for another device. So each patcher is given the function of this module that loads it.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import comfy.model_management as management
import comfy.ops
import comfy.sd
import comfy.utils
import folder_paths
import torch
from comfy.diffusers_convert import convert_vae_state_dict
from comfy.ldm.models.autoencoder import AutoencoderKL
from comfy.model_patcher import CoreModelPatcher, ModelPatcher
from comfy.sd1_clip import SD1ClipModel, SD1Tokenizer, SDClipModel, SDTokenizer
from comfy.supported_models import SD15
from comfy.supported_models_base import ClipTarget
from torch import Tensor, nn
from transformers import AutoTokenizer

DIFFUSERS_WEIGHTS = "diffusion_pytorch_model.safetensors"
LONGEST_PROMPT = 8192  # tokens, as for ComfyUI's own tokenizers; it splits long prompts itself
SMALLEST_VAE = 32  # channels: the least that a norm with ComfyUI's 32 groups allows


def load_demo_model(folder: Path) -> tuple:
    return load_unet(folder), load_clip(folder), load_vae(folder)


def _read(folder: Path, weights: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration and the weights of one part of the model."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    return config, comfy.utils.load_torch_file(str(folder / weights))


# The UNet


class _Width(int):
    """A number for channel_mult that stays itself when ComfyUI multiplies it by model_channels."""

    def __mul__(self, _: int) -> int:
        return int(self)

    __rmul__ = __mul__


def _with_groups(operations: Any, groups: int) -> Any:
    """The operations, with a GroupNorm that always has `groups` groups."""

    class GroupNorm(operations.GroupNorm):
        def __init__(self, num_groups: int, num_channels: int, **settings: Any):
            super().__init__(groups, num_channels, **settings)

    return type("Operations", (operations,), {"GroupNorm": GroupNorm})


def load_unet(folder: Path, disable_dynamic: bool = False) -> ModelPatcher:
    shape, weights = _read(folder / "unet", DIFFUSERS_WEIGHTS)
    config = SD15(_unet_config(shape))
    config.unet_config["num_heads"] = shape["attention_head_dim"]  # diffusers' name misleads
    device, home = management.get_torch_device(), management.unet_offload_device()
    dtype = management.unet_dtype(
        model_params=comfy.utils.calculate_parameters(weights),
        supported_dtypes=config.supported_inference_dtypes,
        weight_dtype=comfy.utils.weight_dtype(weights),
    )
    cast = management.unet_manual_cast(dtype, device, config.supported_inference_dtypes)
    config.set_inference_dtype(dtype, cast)
    operations = comfy.ops.pick_operations(dtype, cast)
    config.custom_operations = _with_groups(operations, shape["norm_num_groups"])
    model = config.get_model({}, "", device=home)
    kind = ModelPatcher if disable_dynamic else CoreModelPatcher
    patcher = kind(model, load_device=device, offload_device=home)
    places = comfy.utils.unet_to_diffusers(config.unet_config)
    named = {places[name]: weight for name, weight in weights.items()}
    model.load_model_weights(named, assign=patcher.is_dynamic())
    patcher.cached_patcher_init = (load_unet, (folder,))
    return patcher


def _unet_config(shape: dict[str, Any]) -> dict[str, Any]:
    """ComfyUI's configuration of a UNet, from diffusers' configuration."""
    widths, layers = shape["block_out_channels"], shape["layers_per_block"]
    attends = [int(kind.startswith("CrossAttn")) for kind in shape["down_block_types"]]
    return {
        "image_size": 32,
        "in_channels": shape["in_channels"],
        "out_channels": shape["out_channels"],
        "model_channels": widths[0],
        "channel_mult": [_Width(width) for width in widths],
        "num_res_blocks": [layers] * len(widths),
        "transformer_depth": [depth for depth in attends for _ in range(layers)],
        "transformer_depth_output": [depth for depth in attends for _ in range(layers + 1)],
        "transformer_depth_middle": 1,
        "context_dim": shape["cross_attention_dim"],
        "use_spatial_transformer": True,
        "use_linear_in_transformer": False,
        "use_temporal_attention": False,
        "adm_in_channels": None,
        "legacy": False,
    }


# The text encoder


def load_clip(folder: Path, disable_dynamic: bool = False) -> comfy.sd.CLIP:
    shape, weights = _read(folder / "text_encoder", "model.safetensors")
    width, length = shape["hidden_size"], shape["max_position_embeddings"]
    inside = "clip_l.transformer."
    weights = {f"{inside}text_model.{name}": weight for name, weight in weights.items()}
    weights[f"{inside}text_projection.weight"] = torch.eye(width)  # SD 1 does not project

    def make_model(**settings: Any) -> SD1ClipModel:
        encoder = partial(
            SDClipModel,
            textmodel_json_config=shape,
            max_length=length,
            return_projected_pooled=False,
            special_tokens={
                "start": shape["bos_token_id"],
                "end": shape["eos_token_id"],
                "pad": shape["pad_token_id"],
            },
        )
        model = SD1ClipModel(clip_model=encoder, **settings)
        placed = {"dtype": settings["dtype"], "device": settings["device"]}
        words = model.clip_l.operations.Embedding(shape["vocab_size"], width, **placed)
        model.clip_l.transformer.set_input_embeddings(words)
        return model

    tokenizer = partial(
        SDTokenizer,
        tokenizer_path=str(folder / "tokenizer"),
        tokenizer_class=AutoTokenizer,
        tokenizer_args={"model_max_length": LONGEST_PROMPT},
        max_length=length,
        embedding_size=width,
    )
    clip = comfy.sd.CLIP(
        ClipTarget(partial(SD1Tokenizer, tokenizer=tokenizer), make_model),
        embedding_directory=folder_paths.get_folder_paths("embeddings"),
        parameters=comfy.utils.calculate_parameters(weights),
        state_dict=weights,
        disable_dynamic=disable_dynamic,
    )
    clip.patcher.cached_patcher_init = (_clip_patcher, (folder,))
    return clip


def _clip_patcher(folder: Path, disable_dynamic: bool = False) -> ModelPatcher:
    return load_clip(folder, disable_dynamic).patcher


# The VAE


def load_vae(folder: Path, disable_dynamic: bool = False) -> comfy.sd.VAE:
    shape, weights = _read(folder / "vae", DIFFUSERS_WEIGHTS)
    weights = convert_vae_state_dict(weights)
    params = _vae_params(shape)
    module = AutoencoderKL(**params)
    vae = comfy.sd.VAE(sd=module.state_dict(), config={"params": params})
    _fit(module, weights, shape["norm_num_groups"])
    module.eval().to(vae.vae_dtype)
    management.archive_model_dtypes(module)
    kind = ModelPatcher if disable_dynamic else CoreModelPatcher
    home = management.vae_offload_device()
    vae.patcher = kind(module, load_device=vae.device, offload_device=home)
    module.load_state_dict(weights, assign=vae.patcher.is_dynamic())
    vae.first_stage_model, vae.size = module, None
    vae.patcher.cached_patcher_init = (_vae_patcher, (folder,))
    return vae


def _vae_patcher(folder: Path, disable_dynamic: bool = False) -> ModelPatcher:
    return load_vae(folder, disable_dynamic).patcher


def _vae_params(shape: dict[str, Any]) -> dict[str, Any]:
    """Parameters for a wider autoencoder that has the same layers."""
    widths, channels = shape["block_out_channels"], shape["latent_channels"]
    layers = {
        "double_z": True,
        "z_channels": channels,
        "resolution": shape["sample_size"],
        "in_channels": shape["in_channels"],
        "out_ch": shape["out_channels"],
        "ch": SMALLEST_VAE,
        "ch_mult": [width // widths[0] for width in widths],
        "num_res_blocks": shape["layers_per_block"],
        "attn_resolutions": [],
        "dropout": 0.0,
    }
    return {"ddconfig": layers, "embed_dim": channels}


def _fit(module: nn.Module, weights: dict[str, Tensor], groups: int) -> None:
    """Replace every convolution and norm of the module by one that fits its weights."""
    for name, layer in list(module.named_modules()):
        if isinstance(layer, nn.Conv2d):
            outputs, inputs, rows, columns = weights[f"{name}.weight"].shape
            fitting = type(layer)(
                inputs,
                outputs,
                (rows, columns),
                # torch's types allow any number of dimensions here; a Conv2d has two
                stride=layer.stride,  # pyright: ignore[reportArgumentType]
                padding=layer.padding,  # pyright: ignore[reportArgumentType]
            )
        elif isinstance(layer, nn.GroupNorm):
            fitting = type(layer)(groups, *weights[f"{name}.weight"].shape, eps=layer.eps)
        else:
            continue
        parent, _, place = name.rpartition(".")
        setattr(module.get_submodule(parent), place, fitting)
