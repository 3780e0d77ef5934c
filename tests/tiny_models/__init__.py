"""A tiny random model of every class of diffusers that the library knows, and what to call it with.

    model, inputs = build("flux")
    with torch.no_grad():
        (velocity, *_) = model(**inputs)

On the CPU, in float32, the same weights and inputs at every call. Sizes are those of
tests/live/tiny_models.py, which builds ComfyUI's classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

HIDDEN, HEADS, TEXT, POOLED = 64, 2, 24, 16  # widths of the blocks, of the text, of its pooled form
ROPE = (8, 12, 12)  # of HIDDEN / HEADS
ROWS, TOKENS = 4, 7  # rows and columns of image tokens; tokens of the text

Inputs = dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """The class in diffusers, its config, and its inputs from a function of random numbers."""

    kind: str
    config: dict
    inputs: Callable[[Callable[..., Tensor]], Inputs]


def image_ids(axes: int = 3) -> Tensor:
    """Where each image token lies: (ROWS², axes), rows and columns on axes 1 and 2."""
    ids = torch.zeros(ROWS, ROWS, axes)
    ids[..., 1], ids[..., 2] = torch.arange(ROWS)[:, None], torch.arange(ROWS)[None]
    return ids.flatten(0, 1)


def picture(random: Callable[..., Tensor], frames: int | None = None) -> Tensor:
    """A latent of 16 channels whose patches of 2×2 give ROWS² tokens a frame."""
    time = [] if frames is None else [frames]
    return random(1, 16, *time, 2 * ROWS, 2 * ROWS)


def flux_inputs(random: Callable[..., Tensor]) -> Inputs:
    return {
        "hidden_states": random(1, ROWS**2, 64),
        "encoder_hidden_states": random(1, TOKENS, TEXT),
        "pooled_projections": random(1, POOLED),
        "timestep": torch.tensor([0.5]),
        "guidance": torch.tensor([1.0]),
        "img_ids": image_ids(),
        "txt_ids": torch.zeros(TOKENS, 3),
    }


def chroma_inputs(random: Callable[..., Tensor]) -> Inputs:
    inputs = flux_inputs(random)
    return {name: inputs[name] for name in inputs if name not in ("pooled_projections", "guidance")}


def flux2_inputs(random: Callable[..., Tensor]) -> Inputs:
    inputs = flux_inputs(random)
    del inputs["pooled_projections"]
    inputs["hidden_states"] = random(1, ROWS**2, 128)
    return inputs | {"img_ids": image_ids(4), "txt_ids": torch.zeros(TOKENS, 4)}


def sd3_inputs(random: Callable[..., Tensor]) -> Inputs:
    return {
        "hidden_states": picture(random),
        "encoder_hidden_states": random(1, TOKENS, TEXT),
        "pooled_projections": random(1, POOLED),
        "timestep": torch.tensor([500.0]),
    }


def lumina2_inputs(random: Callable[..., Tensor]) -> Inputs:
    return {
        "hidden_states": picture(random),
        "timestep": torch.tensor([0.5]),
        "encoder_hidden_states": random(1, TOKENS, TEXT),
        "encoder_attention_mask": torch.ones(1, TOKENS, dtype=torch.bool),
    }


def z_image_inputs(random: Callable[..., Tensor]) -> Inputs:
    return {
        "x": [picture(random, frames=1)[0]],
        "t": torch.tensor([0.5]),
        "cap_feats": [random(TOKENS, TEXT)],
    }


def qwen_image_inputs(random: Callable[..., Tensor]) -> Inputs:
    return {
        "hidden_states": random(1, ROWS**2, 64),
        "encoder_hidden_states": random(1, TOKENS, TEXT),
        "encoder_hidden_states_mask": torch.ones(1, TOKENS, dtype=torch.long),
        "timestep": torch.tensor([0.5]),
        "img_shapes": [[(1, ROWS, ROWS)]],
    }


def wan_inputs(random: Callable[..., Tensor]) -> Inputs:
    return {
        "hidden_states": picture(random, frames=2),
        "timestep": torch.tensor([500.0]),
        "encoder_hidden_states": random(1, TOKENS, TEXT),
    }


def wan_i2v_inputs(random: Callable[..., Tensor]) -> Inputs:
    return wan_inputs(random) | {"encoder_hidden_states_image": random(1, 257, 40)}


def cosmos_inputs(random: Callable[..., Tensor]) -> Inputs:
    return {
        "hidden_states": picture(random, frames=1),
        "timestep": torch.tensor([0.5]),
        "encoder_hidden_states": random(1, TOKENS, TEXT),
    }


def hidream_inputs(random: Callable[..., Tensor]) -> Inputs:
    return {
        "hidden_states": picture(random),
        "timesteps": torch.tensor([500.0]),
        "encoder_hidden_states_t5": random(1, TOKENS, TEXT),
        "encoder_hidden_states_llama3": random(2, 1, TOKENS, TEXT),
        "pooled_embeds": random(1, POOLED),
    }


def krea2_inputs(random: Callable[..., Tensor]) -> Inputs:
    return {
        "hidden_states": random(1, ROWS**2, 64),
        "encoder_hidden_states": random(1, TOKENS, 2, TEXT),
        "timestep": torch.tensor([0.5]),
        "position_ids": torch.cat([torch.zeros(TOKENS, 3), image_ids()]),
    }


def ernie_inputs(random: Callable[..., Tensor]) -> Inputs:
    return {
        "hidden_states": random(1, 16, ROWS, ROWS),
        "timestep": torch.tensor([500.0]),
        "text_bth": random(1, TOKENS, TEXT),
        "text_lens": torch.tensor([TOKENS]),
    }


def unet_inputs(random: Callable[..., Tensor]) -> Inputs:
    return {
        "sample": random(1, 4, 8, 8),
        "timestep": torch.tensor([500]),
        "encoder_hidden_states": random(1, TOKENS, TEXT),
    }


BLOCKS = {"attention_head_dim": HIDDEN // HEADS, "num_attention_heads": HEADS}
FLUX = BLOCKS | {
    "in_channels": 64,
    "num_layers": 2,
    "num_single_layers": 3,
    "joint_attention_dim": TEXT,
    "axes_dims_rope": ROPE,
}
WAN = BLOCKS | {
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": TEXT,
    "freq_dim": 32,
    "ffn_dim": 96,
    "num_layers": 3,
    "rope_max_seq_len": 32,
}
COSMOS = BLOCKS | {
    "in_channels": 16,
    "out_channels": 16,
    "num_layers": 3,
    "text_embed_dim": TEXT,
    "adaln_lora_dim": 16,
    "max_size": (4, 16, 16),
    "rope_scale": (1.0, 4.0, 4.0),
    "extra_pos_embed_type": None,
    "concat_padding_mask": False,  # that needs torchvision
}
RECIPES = {
    "flux": Recipe(
        "FluxTransformer2DModel",
        FLUX | {"pooled_projection_dim": POOLED, "guidance_embeds": True},
        flux_inputs,
    ),
    "chroma": Recipe(
        "ChromaTransformer2DModel",
        FLUX | {"approximator_hidden_dim": 32, "approximator_layers": 2},
        chroma_inputs,
    ),
    "flux2": Recipe(
        "Flux2Transformer2DModel",
        FLUX | {"in_channels": 128, "axes_dims_rope": (8, 8, 8, 8)},
        flux2_inputs,
    ),
    "sd3": Recipe(
        "SD3Transformer2DModel",
        {
            "sample_size": 8,
            "attention_head_dim": 64,  # the size that ComfyUI's class takes
            "num_attention_heads": HEADS,
            "num_layers": 3,
            "joint_attention_dim": TEXT,
            "caption_projection_dim": 128,
            "pooled_projection_dim": POOLED,
            "pos_embed_max_size": 8,
            "dual_attention_layers": (0, 1),
            "qk_norm": "rms_norm",
        },
        sd3_inputs,
    ),
    "lumina2": Recipe(
        "Lumina2Transformer2DModel",
        {
            "hidden_size": HIDDEN,
            "num_layers": 3,
            "num_attention_heads": 4,
            "num_kv_heads": 2,
            "multiple_of": 32,
            "ffn_dim_multiplier": 0.25,
            "axes_dim_rope": (4, 6, 6),
            "axes_lens": (32, 32, 32),
            "cap_feat_dim": TEXT,
        },
        lumina2_inputs,
    ),
    "z_image": Recipe(
        "ZImageTransformer2DModel",
        {
            "dim": 288,  # the class takes no less than 256
            "n_layers": 3,
            "n_heads": 9,
            "n_kv_heads": 9,
            "cap_feat_dim": TEXT,
            "axes_dims": list(ROPE),
            "axes_lens": [64, 32, 32],
        },
        z_image_inputs,
    ),
    "qwen_image": Recipe(
        "QwenImageTransformer2DModel",
        BLOCKS
        | {
            "in_channels": 64,
            "num_layers": 3,
            "joint_attention_dim": TEXT,
            "axes_dims_rope": ROPE,
        },
        qwen_image_inputs,
    ),
    "wan": Recipe("WanTransformer3DModel", WAN, wan_inputs),
    "wan_i2v": Recipe(
        "WanTransformer3DModel",
        WAN | {"image_dim": 40, "added_kv_proj_dim": HIDDEN},
        wan_i2v_inputs,
    ),
    "cosmos_predict2": Recipe("CosmosTransformer3DModel", COSMOS, cosmos_inputs),
    "hidream": Recipe(
        "HiDreamImageTransformer2DModel",
        BLOCKS
        | {
            "patch_size": 2,
            "in_channels": 16,
            "out_channels": 16,
            "num_layers": 2,
            "num_single_layers": 3,
            "caption_channels": [TEXT, TEXT],
            "text_emb_dim": POOLED,
            "num_routed_experts": 2,
            "num_activated_experts": 1,
            "axes_dims_rope": (16, 8, 8),
            "max_resolution": (16, 16),
            "llama_layers": [0, 1, 1, 1, 1],
            "force_inference_output": True,
        },
        hidream_inputs,
    ),
    "krea2": Recipe(
        "Krea2Transformer2DModel",
        BLOCKS
        | {
            "num_layers": 3,
            "num_key_value_heads": 1,
            "intermediate_size": 128,
            "timestep_embed_dim": 32,
            "text_hidden_dim": TEXT,
            "num_text_layers": 2,
            "text_num_attention_heads": 2,
            "text_num_key_value_heads": 2,
            "text_intermediate_size": 48,
            "axes_dims_rope": ROPE,
        },
        krea2_inputs,
    ),
    "ernie": Recipe(
        "ErnieImageTransformer2DModel",
        {
            "hidden_size": HIDDEN,
            "num_attention_heads": HEADS,
            "num_layers": 3,
            "ffn_hidden_size": 96,
            "in_channels": 16,
            "out_channels": 16,
            "text_in_dim": TEXT,
            "rope_axes_dim": ROPE,
        },
        ernie_inputs,
    ),
    "unet": Recipe(
        "UNet2DConditionModel",
        {
            "sample_size": 8,
            "block_out_channels": (32, 64),
            "layers_per_block": 1,
            "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
            "cross_attention_dim": TEXT,
            "attention_head_dim": 2,
        },
        unet_inputs,
    ),
}


def build(name: str, **changes: Any) -> tuple[nn.Module, Inputs]:
    """The model of RECIPES in eval mode and without gradients, and its inputs.

    changes: of its config.
    """
    import diffusers

    recipe = RECIPES[name]
    model = getattr(diffusers, recipe.kind)(**recipe.config | changes).eval().requires_grad_(False)
    fill(model)
    chance = torch.Generator().manual_seed(1)
    inputs = recipe.inputs(lambda *shape: torch.randn(shape, generator=chance))
    return model, inputs | {"return_dict": False}


def fill(model: nn.Module) -> None:
    """Random weights that let every signal through: about 1 in norms, 1/√width elsewhere."""
    chance = torch.Generator().manual_seed(0)
    for name, weight in model.named_parameters():
        values = torch.randn(weight.shape, generator=chance)
        if weight.ndim > 1:
            values = values / weight[0].numel() ** 0.5
        elif "norm" in name and not name.endswith("bias"):
            values = 1 + 0.1 * values
        else:
            values = 0.1 * values
        weight.copy_(values)
