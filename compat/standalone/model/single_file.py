"""Reads a .safetensors file with a complete Stable Diffusion model, under the original names.

    model.diffusion_model.*                       the UNet
    first_stage_model.*                           the VAE
    cond_stage_model.transformer.*                the text model of 1.x
    cond_stage_model.model.*                      the text model of 2.x
    conditioner.embedders.0.transformer.*, conditioner.embedders.1.model.*    those of SDXL

diffusers renames the weights, but looks for configurations on the internet. Here every number of
a configuration is taken from the shapes of the weights, so small models work as well as large ones.

Two facts can't be seen from shapes. Attention has 8 heads in Stable Diffusion 1 and heads of width
64 in the others. And whether the model predicts v: SDXL files say so with an empty weight `v_pred`
(and `ztsnr` for zero terminal SNR). For 2.x the spread of the biases in one late norm decides, as
in ComfyUI.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .model_files.weights import StateDict, build, count, inside, open_weights
from .parts import Parts, needs_diffusers
from .sampling import DiscreteSampling, scaled_linear, with_zero_snr
from .text import TextEncoder

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

UNET, VAE = "model.diffusion_model.", "first_stage_model."
CLIP_PREFIXES = ("cond_stage_model.transformer.", "conditioner.embedders.0.transformer.")
NOT_OF_THE_VAE = ("loss.", "model_ema.")  # leftovers from the VAE's training
SECOND_CLIP = "conditioner.embedders.1.model."
OPEN_CLIP_PREFIXES = ("cond_stage_model.model.", "conditioner.embedders.0.model.", SECOND_CLIP)
SCALING_FACTOR, SCALING_FACTOR_OF_SDXL = 0.18215, 0.13025
SPREAD_OF_V = 0.09
SPREAD_MEASURED = "output_blocks.11.1.transformer_blocks.0.norm1.bias"
START, END = 49406, 49407  # tokens
CUT = 23  # layers of 2.x's text model if the last one, which is never used, was left out
SIZE_WIDTH = 256  # width of the embedding of each of SDXL's six numbers


def read_file(file: Path, dtype: torch.dtype | None) -> Parts:
    """The parts of a checkpoint. Raises ValueError with the reason if it is something else."""
    weights = open_weights(file)
    unet_weights = inside(weights, UNET)
    _require_known_kind(file, weights, unet_weights)
    with needs_diffusers(file):
        # A public name of diffusers, which its types do not mark as exported
        from diffusers import UNet2DConditionModel  # pyright: ignore[reportPrivateImportUsage]
        from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
        from transformers import CLIPTextModel  # noqa: F401  encoders need it

        from .clip_vocabulary import clip_tokenizer

    try:
        config = unet_config(unet_weights)
    except ValueError as fault:
        raise ValueError(f'"{file}": {fault}') from fault
    stored = unet_weights["input_blocks.0.0.weight"].dtype
    dtype = dtype or (stored if stored in (torch.float16, torch.bfloat16) else torch.float16)
    prefixed = {UNET + name: weight for name, weight in unet_weights.items()}
    unet = build(
        file,
        lambda: UNet2DConditionModel(**config),
        convert_ldm_unet_checkpoint(prefixed, config),
        dtype,
    )
    vae = _build_vae(file, inside(weights, VAE))
    is_sdxl = "label_emb.0.0.weight" in unet_weights
    return Parts(
        unet=unet,
        vae=vae,
        tokenizer=clip_tokenizer(),
        encoders=_read_encoders(file, weights, is_sdxl),
        sampling=_model_sampling(file, weights, unet_weights),
        scaling_factor=SCALING_FACTOR_OF_SDXL if is_sdxl else SCALING_FACTOR,
    )


def read_vae(file: Path) -> AutoencoderKL:
    """The AutoencoderKL in a separate file. Raises ValueError if the file is of another kind."""
    weights = open_weights(file)
    found = inside(weights, VAE) or dict(weights)
    if "decoder.conv_in.weight" not in found or "encoder.down.0.block.0.conv1.weight" not in found:
        raise ValueError(
            f'"{file}" holds no VAE under Stable Diffusion\'s own names; its first weights are '
            f"{', '.join(sorted(weights)[:3])}. Give a VAE file as ComfyUI's models/vae has them."
        )
    return _build_vae(file, found)


# --- what the file is ----------------------------------------------------------------------------


def _require_known_kind(file: Path, weights: StateDict, unet: StateDict) -> None:
    attended = any(".attn2.to_k." in name for name in unet)
    if "input_blocks.0.0.weight" not in unet or not attended:
        raise ValueError(
            f'"{file}" holds no UNet of Stable Diffusion 1, 2 or XL under "{UNET}"; its first '
            f"weights are {', '.join(sorted(weights)[:3])}. Give a whole checkpoint of such a "
            "model, or use it inside ComfyUI."
        )
    if any(".time_stack." in name for name in unet):
        raise ValueError(f'"{file}" holds a video model. Give a plain text-to-image model.')
    taken, given = unet["input_blocks.0.0.weight"].shape[1], unet["out.2.weight"].shape[0]
    if taken != given:
        raise ValueError(
            f'the UNet in "{file}" takes {taken} channels and gives {given}: an inpainting or '
            "editing model. Give a plain text-to-image model."
        )
    stems = _stems(weights)
    if "label_emb.0.0.weight" in unet and SECOND_CLIP not in stems:
        raise ValueError(
            f'the UNet in "{file}" takes more than a text, and the file does not hold the two text '
            "models of SDXL: SDXL's refiner, an unCLIP model, or a UNet alone. Give a plain "
            "text-to-image model."
        )
    if "edm_mean" in weights or "edm_vpred.sigma_max" in weights:
        raise ValueError(
            f'"{file}" was trained on continuous noise levels (EDM), which only ComfyUI samples. '
            "Give a model of Stable Diffusion's own noise levels."
        )
    lacking = ["no VAE"] if VAE not in stems else []
    lacking += ["no text model"] if not stems & {*CLIP_PREFIXES, *OPEN_CLIP_PREFIXES} else []
    if lacking:
        raise ValueError(
            f'"{file}" holds {" and ".join(lacking)}. Give the whole checkpoint; for the UNet of '
            "one model with parts of others, use ComfyUI."
        )


def _stems(weights: StateDict) -> set[str]:
    known = (VAE, *CLIP_PREFIXES, *OPEN_CLIP_PREFIXES)
    return {stem for stem in known if any(name.startswith(stem) for name in weights)}


def _model_sampling(file: Path, weights: StateDict, unet: StateDict) -> DiscreteSampling:
    alphas_cumprod = scaled_linear()
    if "ztsnr" in weights:
        alphas_cumprod = with_zero_snr(alphas_cumprod)
    spread = unet.get(SPREAD_MEASURED)
    is_second = any(stem in OPEN_CLIP_PREFIXES[:2] for stem in _stems(weights))
    if "v_pred" in weights or (
        is_second and spread is not None and spread.float().std(unbiased=False) > SPREAD_OF_V
    ):
        return DiscreteSampling(alphas_cumprod, "v")
    return DiscreteSampling(alphas_cumprod, "eps")


# --- configurations from shapes ------------------------------------------------------------------


def unet_config(weights: StateDict) -> dict[str, Any]:
    """diffusers' configuration of a UNet, from its original weights.

    Raises ValueError if diffusers' UNet can't have such a structure.
    """
    levels = _levels(weights)
    middle = _depth(weights, "middle_block.1")
    _require_even_levels(weights, levels, middle)
    widths = [level[0][0] for level in levels]
    depths = [level[0][1] for level in levels]
    first = next(name for name in weights if name.endswith("attn2.to_k.weight"))
    projection = weights[re.sub(r"transformer_blocks\..*", "proj_in.weight", first)]
    is_linear = projection.ndim == 2
    config = {
        "in_channels": weights["input_blocks.0.0.weight"].shape[1],
        "out_channels": weights["out.2.weight"].shape[0],
        "block_out_channels": widths,
        "layers_per_block": len(levels[0]),
        "down_block_types": [f"{'CrossAttn' * (d > 0)}DownBlock2D" for d in depths],
        "up_block_types": [f"{'CrossAttn' * (d > 0)}UpBlock2D" for d in reversed(depths)],
        "transformer_layers_per_block": [*(d or 1 for d in depths[:-1]), middle],
        "cross_attention_dim": weights[first].shape[1],
        "attention_head_dim": [max(1, w // 64) for w in widths] if is_linear else 8,  # heads
        "use_linear_projection": is_linear,
    }
    if "label_emb.0.0.weight" in weights:
        config |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": SIZE_WIDTH,
            "projection_class_embeddings_input_dim": weights["label_emb.0.0.weight"].shape[1],
        }
    return config


Levels = list[list[tuple[int, int]]]  # (width, depth) of each encoder block, by level


def _levels(weights: StateDict) -> Levels:
    levels: Levels = [[]]
    for place in range(1, count(weights, r"input_blocks\.(\d+)\.")):
        if f"input_blocks.{place}.0.op.weight" in weights:
            levels.append([])
        else:
            width = weights[f"input_blocks.{place}.0.out_layers.3.weight"].shape[0]
            levels[-1].append((width, _depth(weights, f"input_blocks.{place}.1")))
    return levels


def _require_even_levels(weights: StateDict, levels: Levels, middle: int) -> None:
    """Raises ValueError for a UNet whose blocks differ within a level, or on the way up."""
    blocks = len(levels[0])
    up = [
        _depth(weights, f"output_blocks.{place}.1")
        for place in range(count(weights, r"output_blocks\.(\d+)\."))
    ]
    wanted = [level[0][1] for level in reversed(levels) for _ in range(blocks + 1)]
    if any(len(set(level)) > 1 or len(level) != blocks for level in levels) or up != wanted:
        raise ValueError(
            f"the blocks of its UNet are not alike on every level (attention going up {up} where "
            f"{wanted} was expected): a distilled model, which only ComfyUI runs."
        )
    last = levels[-1][0][1]
    if middle == 0 or last not in (0, middle):
        raise ValueError(
            f"the middle of its UNet has {middle} attention blocks where {last or 'some'} "
            "were expected: a distilled model, which only ComfyUI runs."
        )


def vae_config(weights: StateDict) -> dict[str, Any]:
    """diffusers' configuration of a VAE, from its original weights."""
    levels = count(weights, r"encoder\.down\.(\d+)\.")
    return {
        "in_channels": weights["encoder.conv_in.weight"].shape[1],
        "out_channels": weights["decoder.conv_out.weight"].shape[0],
        "latent_channels": weights["decoder.conv_in.weight"].shape[1],
        "block_out_channels": [
            weights[f"encoder.down.{level}.block.0.conv1.weight"].shape[0]
            for level in range(levels)
        ],
        "layers_per_block": count(weights, r"encoder\.down\.0\.block\.(\d+)\."),
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "use_quant_conv": "quant_conv.weight" in weights,
        "use_post_quant_conv": "post_quant_conv.weight" in weights,
    }


def text_config(weights: StateDict, activation: str) -> dict[str, Any]:
    """transformers' configuration of a CLIP text model, from weights under its own names."""
    tokens = weights["embeddings.token_embedding.weight"]
    return {
        "vocab_size": tokens.shape[0],
        "hidden_size": tokens.shape[1],
        "projection_dim": tokens.shape[1],
        "intermediate_size": weights["encoder.layers.0.mlp.fc1.weight"].shape[0],
        "num_hidden_layers": count(weights, r"encoder\.layers\.(\d+)\."),
        "num_attention_heads": max(1, tokens.shape[1] // 64),
        "max_position_embeddings": weights["embeddings.position_embedding.weight"].shape[0],
        "hidden_act": activation,
        "bos_token_id": START,
        "eos_token_id": END,
        "pad_token_id": END,
    }


def _depth(weights: StateDict, place: str) -> int:
    return count(weights, re.escape(place) + r"\.transformer_blocks\.(\d+)\.")


# --- modules -------------------------------------------------------------------------------------


def _read_encoders(file: Path, weights: StateDict, is_sdxl: bool) -> tuple[TextEncoder, ...]:
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint

    encoders = []
    raw = {"layer": -2, "final_norm": False} if is_sdxl else {}
    for prefix in CLIP_PREFIXES:
        if found := inside(weights, prefix):
            encoder, _ = clip_model(file, found, "quick_gelu")
            encoders.append(TextEncoder(module=encoder, padding=END, **raw))
    for prefix in OPEN_CLIP_PREFIXES:
        if found := inside(weights, prefix):
            # Under its own name, diffusers would leave out the last layer.
            ours = {f"open_clip.{name}": weight for name, weight in found.items()}
            width = SimpleNamespace(hidden_size=found["token_embedding.weight"].shape[1])
            like = SimpleNamespace(config=width)  # diffusers reads it if there is no projection
            named = convert_open_clip_checkpoint(like, ours, prefix="open_clip.")
            encoder, projection = clip_model(file, named, "gelu")
            read = raw or {"layer": -1 if encoder.config.num_hidden_layers == CUT else -2}
            encoders.append(TextEncoder(module=encoder, padding=0, projection=projection, **read))
    return tuple(encoders)


def _build_vae(file: Path, weights: StateDict) -> AutoencoderKL:
    with needs_diffusers(file):
        # As above, a public name
        from diffusers import AutoencoderKL  # pyright: ignore[reportPrivateImportUsage]
        from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    config = vae_config(weights)
    named = convert_ldm_vae_checkpoint(
        {name: each for name, each in weights.items() if not name.startswith(NOT_OF_THE_VAE)},
        config,
    )
    return build(file, lambda: AutoencoderKL(**config), named, torch.float32)


def clip_model(file: Path, weights: StateDict, activation: str) -> tuple[Any, nn.Module | None]:
    """The text model, see TextEncoder, and the projection of its pooled vector if it has one."""
    from transformers import CLIPTextConfig, CLIPTextModel

    named = {name.removeprefix("text_model."): weight for name, weight in weights.items()}
    named.pop("embeddings.position_ids", None)
    named.pop("logit_scale", None)
    projection = named.pop("text_projection.weight", None)
    config = CLIPTextConfig(**text_config(named, activation))

    def make() -> Any:
        model = CLIPTextModel(config)
        return getattr(model, "text_model", model)  # transformers before 5.6

    model = build(file, make, named, torch.float32)
    positions = torch.arange(config.max_position_embeddings)[None]
    model.embeddings.register_buffer("position_ids", positions, persistent=False)
    if projection is None:
        return model, None
    linear = nn.Linear(*reversed(projection.shape), bias=False, device="meta")
    linear.load_state_dict({"weight": projection.float()}, assign=True)
    return model, linear
