"""A tiny random model of every family, of ComfyUI's own classes. For scripts that run in ComfyUI's
interpreter, on the CPU, after check_apply.start.

    tiny = build("flux")
    tiny.patcher                       a ModelPatcher, as Load Diffusion Model gives it
    tiny.patcher.model                 its BaseModel; .diffusion_model is the class of comfy.ldm
    sampled(tiny)                      a picture: a few steps of core's sampler
    tiny.patcher.model.apply_model(**inputs(tiny))   one call, with the inputs that it gets there

Weights and inputs are the same at every call, in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

HIDDEN, HEADS, TEXT, POOLED = 64, 2, 24, 16  # widths of the blocks, of the text, of its pooled form
ROPE = [8, 12, 12]  # of HIDDEN / HEADS


@dataclass(frozen=True)
class Tiny:
    """A model with what it is asked to draw."""

    name: str
    patcher: Any  # comfy.model_patcher.ModelPatcher
    latent: Tensor  # (1, C, H, W) or (1, C, T, H, W), zeros: an empty latent
    conditioning: list  # as a text encode node gives it: [[text, {"pooled_output": …}]]


@dataclass(frozen=True)
class Recipe:
    """How a tiny model is made: the name in comfy.supported_models, its config, its latent."""

    kind: str
    config: dict
    latent: tuple[int, ...] = (16, 8, 8)
    text: int = TEXT  # width


FLUX = {
    "image_model": "flux",
    "in_channels": 16,
    "out_channels": 16,
    "vec_in_dim": POOLED,
    "context_in_dim": TEXT,
    "hidden_size": HIDDEN,
    "mlp_ratio": 4.0,
    "num_heads": HEADS,
    "depth": 2,
    "depth_single_blocks": 3,
    "axes_dim": ROPE,
    "theta": 10000,
    "patch_size": 2,
    "qkv_bias": True,
    "guidance_embed": True,
    "txt_ids_dims": [],
}
FLUX2 = FLUX | {
    "image_model": "flux2",
    "in_channels": 128,
    "out_channels": 128,
    "vec_in_dim": None,
    "mlp_ratio": 3.0,
    "axes_dim": [8, 8, 8, 8],
    "theta": 2000,
    "patch_size": 1,
    "qkv_bias": False,
    "txt_ids_dims": [3],
    "global_modulation": True,
    "mlp_silu_act": True,
    "ops_bias": False,
    "default_ref_method": "index",
}
CHROMA = {name: FLUX[name] for name in FLUX if name != "guidance_embed"} | {
    "image_model": "chroma",
    "in_channels": 64,
    "out_channels": 64,
    "in_dim": 64,
    "out_dim": HIDDEN,
    "hidden_dim": 32,
    "n_layers": 2,
}
HUNYUAN_VIDEO = FLUX | {
    "image_model": "hunyuan_video",
    "patch_size": [1, 2, 2],
    "theta": 256,
    "byt5": False,
    "meanflow": False,
    "use_cond_type_embedding": False,
    "vision_in_dim": None,
    "meanflow_sum": False,
}
del HUNYUAN_VIDEO["txt_ids_dims"]
SD3 = {
    "in_channels": 16,
    "pos_embed_scaling_factor": None,
    "input_size": None,
    "patch_size": 2,
    "depth": 2,  # times 64: the width
    "num_blocks": 3,
    "adm_in_channels": POOLED,
    "context_embedder_config": {
        "target": "torch.nn.Linear",
        "params": {"in_features": TEXT, "out_features": 128},
    },
    "pos_embed_max_size": 8,
    "num_patches": 64,
    "qk_norm": "rms",
    "x_block_self_attn_layers": [0, 1],
}
LUMINA2 = {
    "image_model": "lumina2",
    "patch_size": 2,
    "in_channels": 16,
    "dim": HIDDEN,
    "cap_feat_dim": TEXT,
    "n_layers": 3,
    "n_refiner_layers": 2,
    "qk_norm": True,
    "n_heads": 4,
    "n_kv_heads": 2,
    "axes_dims": [4, 6, 6],
    "axes_lens": [300, 512, 512],
    "multiple_of": 32,
    "ffn_dim_multiplier": 1.0,
}
Z_IMAGE = LUMINA2 | {
    "dim": 288,  # the class takes no less than 256
    "n_heads": 9,
    "n_kv_heads": 9,
    "axes_dims": ROPE,
    "ffn_dim_multiplier": 8 / 3,
    "rope_theta": 256.0,
    "z_image_modulation": True,
    "time_scale": 1000.0,
    "pad_tokens_multiple": 32,
}
QWEN_IMAGE = {
    "image_model": "qwen_image",
    "in_channels": 64,
    "num_layers": 3,
    "attention_head_dim": 32,
    "num_attention_heads": HEADS,
    "joint_attention_dim": TEXT,
    "axes_dims_rope": tuple(ROPE),
}
WAN = {
    "image_model": "wan2.1",
    "model_type": "t2v",
    "patch_size": (1, 2, 2),
    "in_dim": 16,
    "out_dim": 16,
    "dim": HIDDEN,
    "ffn_dim": 96,
    "freq_dim": 32,
    "text_dim": TEXT,
    "num_heads": HEADS,
    "num_layers": 3,
}
COSMOS = {
    "image_model": "cosmos_predict2",
    "max_img_h": 240,
    "max_img_w": 240,
    "max_frames": 128,
    "in_channels": 16,
    "out_channels": 16,
    "patch_spatial": 2,
    "patch_temporal": 1,
    "model_channels": HIDDEN,
    "num_blocks": 3,
    "num_heads": HEADS,
    "crossattn_emb_channels": TEXT,
    "pos_emb_cls": "rope3d",
    "pos_emb_learnable": True,
    "use_adaln_lora": True,
    "adaln_lora_dim": 16,
}
HIDREAM = {
    "image_model": "hidream",
    "attention_head_dim": 32,
    "num_attention_heads": HEADS,
    "axes_dims_rope": [16, 8, 8],
    "caption_channels": [TEXT, TEXT],
    "max_resolution": [16, 16],
    "in_channels": 16,
    "out_channels": 16,
    "llama_layers": [0, 1, 1, 1, 1],
    "num_layers": 2,
    "num_single_layers": 3,
    "num_routed_experts": 2,
    "num_activated_experts": 1,
    "patch_size": 2,
    "text_emb_dim": POOLED,
}
KREA2 = {
    "image_model": "krea2",
    "features": HIDDEN,
    "tdim": 32,
    "txtdim": TEXT,
    "heads": HEADS,
    "kvheads": 1,
    "multiplier": 2,
    "layers": 3,
    "patch": 2,
    "channels": 16,
    "txtlayers": 2,
    "txtheads": 2,
    "txtkvheads": 2,
}
UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 2],
    "transformer_depth": [1, 1],
    "transformer_depth_output": [1, 1, 1, 1],
    "transformer_depth_middle": 1,
    "use_spatial_transformer": True,
    "context_dim": TEXT,
    "num_heads": 2,
    "legacy": False,
    "adm_in_channels": None,
    "use_temporal_attention": False,
}
LONGCAT = FLUX | {"vec_in_dim": None, "guidance_embed": False, "txt_ids_dims": [1, 2]}
OVIS = LONGCAT | {"yak_mlp": True, "txt_norm": True}
RADIANCE = CHROMA | {
    "image_model": "chroma_radiance",
    "in_channels": 3,
    "out_channels": 3,
    "patch_size": 8,
    "nerf_hidden_size": 16,
    "nerf_mlp_ratio": 2,
    "nerf_depth": 1,
    "nerf_max_freqs": 4,
    "nerf_tile_size": 512,
    "nerf_final_head_type": "conv",
    "nerf_embedder_dtype": torch.float32,
    "use_x0": False,
    "use_sequential_txt_ids": False,
}
MAGE_FLOW = QWEN_IMAGE | {"image_model": "mage_flow", "in_channels": 128}
OMNIGEN2 = {
    "image_model": "omnigen2",
    "hidden_size": HIDDEN,
    "num_layers": 3,
    "num_refiner_layers": 2,
    "num_attention_heads": 4,
    "num_kv_heads": 2,
    "multiple_of": 32,
    "axes_dim_rope": (4, 6, 6),
    "axes_lens": (64, 32, 32),
    "text_feat_dim": TEXT,
}
ERNIE = {
    "image_model": "ernie",
    "hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "num_layers": 3,
    "ffn_hidden_size": 96,
    "text_in_dim": TEXT,
    "rope_axes_dim": tuple(ROPE),
}
WAN_CAMERA = WAN | {"model_type": "camera_2.2", "in_dim": 36}
WAN_VACE = WAN | {"model_type": "vace", "vace_layers": 1, "vace_in_dim": 96}
FILM = (16, 2, 8, 8)  # frames of a latent between its channels and its rows
RECIPES = {
    "unet": Recipe("SD15", UNET, (4, 8, 8)),
    "flux": Recipe("Flux", FLUX),
    "flux2": Recipe("Flux2", FLUX2, (128, 4, 4)),
    "chroma": Recipe("Chroma", CHROMA),
    "hunyuan_video": Recipe("HunyuanVideo", HUNYUAN_VIDEO, FILM),
    "sd3": Recipe("SD3", SD3),
    "lumina2": Recipe("Lumina2", LUMINA2),
    "z_image": Recipe("ZImage", Z_IMAGE),
    "qwen_image": Recipe("QwenImage", QWEN_IMAGE, (16, 1, 8, 8)),
    "wan": Recipe("WAN21_T2V", WAN, FILM),
    "wan_i2v": Recipe("WAN21_I2V", WAN | {"model_type": "i2v", "in_dim": 36}, FILM),
    "cosmos_predict2": Recipe("CosmosT2IPredict2", COSMOS, (16, 1, 8, 8)),
    "anima": Recipe("Anima", COSMOS | {"image_model": "anima"}, (16, 1, 8, 8)),
    "hidream": Recipe("HiDream", HIDREAM),
    "krea2": Recipe("Krea2", KREA2, (16, 1, 8, 8), text=2 * TEXT),
    "longcat_image": Recipe("LongCatImage", LONGCAT),
    "ovis_image": Recipe("FluxSchnell", OVIS),
    "chroma_radiance": Recipe("ChromaRadiance", RADIANCE, (3, 32, 32)),
    "mage_flow": Recipe("MageFlow", MAGE_FLOW, (128, 4, 4)),
    "omnigen2": Recipe("Omnigen2", OMNIGEN2),
    "ernie": Recipe("ErnieImage", ERNIE, (128, 4, 4)),
    "wan_camera": Recipe("WAN22_Camera", WAN_CAMERA, FILM),
    "wan_vace": Recipe("WAN21_Vace", WAN_VACE, FILM),
}
TOKENS = 7


def build(
    name: str, weights: torch.dtype = torch.float32, arithmetic: torch.dtype | None = None
) -> Tiny:
    """The model of RECIPES, its weights in that dtype; arithmetic: manual cast's, if another."""
    import comfy.model_management as management
    import comfy.supported_models
    from comfy.model_patcher import CoreModelPatcher

    recipe = RECIPES[name]
    config = getattr(comfy.supported_models, recipe.kind)(recipe.config)
    config.set_inference_dtype(weights, arithmetic)
    with torch.inference_mode():  # as the host loads models
        model = config.get_model({}, "", device="cpu")
        if name == "anima":
            shrink_text_adapter(model.diffusion_model, weights)
        fill(model.diffusion_model)
    patcher = CoreModelPatcher(model, management.get_torch_device(), torch.device("cpu"))
    return Tiny(name, patcher, torch.zeros(1, *recipe.latent), conditioning(name))


def shrink_text_adapter(model: nn.Module, dtype: torch.dtype) -> None:
    """Anima's adapter has one size, of 170 million parameters."""
    import comfy.ops
    from comfy.ldm.anima.model import LLMAdapter

    operations = {"device": "cpu", "dtype": dtype, "operations": comfy.ops.disable_weight_init}
    model.llm_adapter = LLMAdapter(TEXT, TEXT, TEXT, num_layers=1, num_heads=2, **operations)
    model.llm_adapter.requires_grad_(False).eval()


def fill(model: nn.Module) -> None:
    """Random weights that let every signal through: about 1 in norms, 1/√width elsewhere."""
    chance = torch.Generator().manual_seed(0)
    tensors = [*model.named_parameters()]
    tensors += [(name, tensor) for name, tensor in model.named_buffers() if name == "pos_embed"]
    for name, weight in tensors:
        values = torch.randn(weight.shape, generator=chance)
        if weight.ndim > 1:
            values = values / (weight[0].numel() ** 0.5)
        elif "norm" in name and not name.endswith("bias"):
            values = 1 + 0.1 * values
        else:
            values = 0.1 * values
        weight.copy_(values.to(weight.dtype))


def conditioning(name: str, seed: int = 1, tokens: int = TOKENS) -> list:
    """A text, as the family's own text encoder would give it."""
    chance = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=chance)

    text = random(1, tokens, RECIPES[name].text)
    more: dict[str, Any] = {}
    if name in ("flux", "sd3", "hunyuan_video", "hidream"):
        more["pooled_output"] = random(1, POOLED)
    if name == "hidream":
        more["conditioning_llama3"] = random(1, 2, tokens, TEXT)
    if name == "wan_i2v":
        more["clip_vision_output"] = SimpleNamespace(penultimate_hidden_states=random(1, 257, 1280))
    if name == "omnigen2":
        more["attention_mask"] = torch.ones(1, tokens, dtype=torch.long)
    if name == "anima":
        more["t5xxl_ids"] = torch.arange(5)
        more["t5xxl_weights"] = torch.ones(5)
    return [[text, more]]


def inputs(tiny: Tiny, batch: int = 1, seed: int = 0, share: float = 0.5) -> dict[str, Any]:
    """What BaseModel.apply_model gets from core's sampler at this share of the way."""
    import comfy.sampler_helpers
    import comfy.samplers

    model = tiny.patcher.model
    shape = (batch, *tiny.latent.shape[1:])
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    conds = comfy.sampler_helpers.convert_cond(tiny.conditioning)
    (cond,) = comfy.samplers.encode_model_conds(
        model.extra_conds, conds, x, torch.device("cpu"), "positive"
    )
    given = {
        name: value.process_cond(batch_size=batch, area=None).cond
        for name, value in cond["model_conds"].items()
    }
    sigma = torch.tensor([float(model.model_sampling.percent_to_sigma(share))] * batch)
    return {"x": x, "t": sigma, "transformer_options": {}, **given}


def sampled(tiny: Tiny, patcher: Any = None, steps: int = 2, cfg: float = 2.0) -> Tensor:
    """The picture that core's sampler draws, with `patcher` in place of the tiny model's own."""
    import comfy.sample

    patcher = patcher or tiny.patcher
    noise = comfy.sample.prepare_noise(tiny.latent, 1)
    settings = (steps, cfg, "euler", "simple", tiny.conditioning, conditioning(tiny.name, 2))
    with torch.inference_mode():
        return comfy.sample.sample(
            patcher, noise, *settings, tiny.latent, disable_pbar=True, seed=1
        )
