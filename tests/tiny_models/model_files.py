"""The parts of a tiny pipeline as files of their own, with the names that ComfyUI's models have.

    parts = tiny_models.model_files.write("z_image", models)

writes models/diffusion_models, text_encoders (each with its tokenizer beside) and vae, under the
names that the templates have, and returns the modules of diffusers and transformers that they were
made from. The names are turned round by tables of their own, not by those that are tested.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from . import HIDDEN, POOLED, TEXT, build, pipelines

Names = Iterable[tuple[str, str]]  # pattern, replacement; all are applied, one after the other
CLIP_WORDS, CLIP_LENGTH = 49408, 77

Z_IMAGE: Names = (
    (r"^all_(final_layer|x_embedder)\.2-1\.", r"\1."),
    (r"attention\.to_out\.0\.", "attention.out."),
    (r"attention\.norm_([qk])\.", r"attention.\1_norm."),
)
LUMINA2: Names = (
    (r"^time_caption_embed\.timestep_embedder\.linear_1", "t_embedder.mlp.0"),
    (r"^time_caption_embed\.timestep_embedder\.linear_2", "t_embedder.mlp.2"),
    (r"^time_caption_embed\.caption_embedder", "cap_embedder"),
    (r"^norm_out\.linear_1", "final_layer.adaLN_modulation.1"),
    (r"^norm_out\.linear_2", "final_layer.linear"),
    (r"\.norm1\.linear\.", ".adaLN_modulation.1."),
    (r"\.norm1(\.norm)?\.", ".attention_norm1."),
    (r"\.norm2\.", ".attention_norm2."),
    (r"\.attn\.", ".attention."),
    (r"attention\.to_out\.0\.", "attention.out."),
    (r"attention\.norm_([qk])\.", r"attention.\1_norm."),
    (r"feed_forward\.linear_", "feed_forward.w"),
)
FLUX: Names = (
    (r"^x_embedder", "img_in"),
    (r"^context_embedder", "txt_in"),
    (r"^proj_out", "final_layer.linear"),
    (r"^norm_out\.linear", "final_layer.adaLN_modulation.1"),
    (r"^time_text_embed\.timestep_embedder", "time_in"),
    (r"^time_text_embed\.text_embedder", "vector_in"),
    (r"^time_text_embed\.guidance_embedder", "guidance_in"),
    (r"_in\.linear_1", "_in.in_layer"),
    (r"_in\.linear_2", "_in.out_layer"),
    (r"^single_transformer_blocks", "single_blocks"),
    (r"^transformer_blocks", "double_blocks"),
    (r"^(single.*)\.norm\.linear", r"\1.modulation.lin"),
    (r"^(single.*)\.attn\.norm_q\.weight", r"\1.norm.query_norm.scale"),
    (r"^(single.*)\.attn\.norm_k\.weight", r"\1.norm.key_norm.scale"),
    (r"^(single.*)\.proj_out", r"\1.linear2"),
    (r"\.norm1\.linear", ".img_mod.lin"),
    (r"\.norm1_context\.linear", ".txt_mod.lin"),
    (r"\.attn\.norm_q\.weight", ".img_attn.norm.query_norm.scale"),
    (r"\.attn\.norm_k\.weight", ".img_attn.norm.key_norm.scale"),
    (r"\.attn\.norm_added_q\.weight", ".txt_attn.norm.query_norm.scale"),
    (r"\.attn\.norm_added_k\.weight", ".txt_attn.norm.key_norm.scale"),
    (r"\.attn\.to_out\.0", ".img_attn.proj"),
    (r"\.attn\.to_add_out", ".txt_attn.proj"),
    (r"\.ff\.net\.(0\.proj|0|2)", r".img_mlp.\1"),
    (r"\.ff_context\.net\.(0\.proj|0|2)", r".txt_mlp.\1"),
    (r"_mlp\.0\.proj", "_mlp.0"),
)
COSMOS: Names = (
    (r"^patch_embed\.proj", "x_embedder.proj.1"),
    (r"^time_embed\.t_embedder", "t_embedder.1"),
    (r"^time_embed\.norm", "t_embedding_norm"),
    (r"^norm_out\.linear_", "final_layer.adaln_modulation."),
    (r"^proj_out", "final_layer.linear"),
    (r"^transformer_blocks", "blocks"),
    (r"\.norm1\.linear_", ".adaln_modulation_self_attn."),
    (r"\.norm2\.linear_", ".adaln_modulation_cross_attn."),
    (r"\.norm3\.linear_", ".adaln_modulation_mlp."),
    (r"\.attn1\.", ".self_attn."),
    (r"\.attn2\.", ".cross_attn."),
    (r"\.to_([qkv])\.", r".\1_proj."),
    (r"\.to_out\.0\.", ".output_proj."),
    (r"\.norm_([qk])\.", r".\1_norm."),
    (r"\.ff\.net\.0\.proj", ".mlp.layer1"),
    (r"\.ff\.net\.2", ".mlp.layer2"),
    (r"^", "net."),
)
KL: Names = (
    (r"\.down_blocks\.(\d)\.resnets\.(\d)\.", r".down.\1.block.\2."),
    (r"\.down_blocks\.(\d)\.downsamplers\.0\.", r".down.\1.downsample."),
    (r"\.mid_block\.resnets\.0\.", ".mid.block_1."),
    (r"\.mid_block\.resnets\.1\.", ".mid.block_2."),
    (r"\.mid_block\.attentions\.0\.", ".mid.attn_1."),
    (r"attn_1\.group_norm\.", "attn_1.norm."),
    (r"attn_1\.to_([qkv])\.", r"attn_1.\1."),
    (r"attn_1\.to_out\.0\.", "attn_1.proj_out."),
    (r"\.conv_norm_out\.", ".norm_out."),
    (r"\.conv_shortcut\.", ".nin_shortcut."),
)
FILM: Names = (
    (r"^quant_conv", "conv1"),
    (r"^post_quant_conv", "conv2"),
    (r"coder\.conv_in\.", "coder.conv1."),
    (r"coder\.norm_out\.", "coder.head.0."),
    (r"coder\.conv_out\.", "coder.head.2."),
    (r"mid_block\.resnets\.0\.", "middle.0."),
    (r"mid_block\.attentions\.0\.", "middle.1."),
    (r"mid_block\.resnets\.1\.", "middle.2."),
    (r"\.down_blocks\.", ".downsamples."),
    (r"(\.\d+)\.norm1\.gamma", r"\1.residual.0.gamma"),
    (r"(\.\d+)\.conv1\.(weight|bias)", r"\1.residual.2.\2"),
    (r"(\.\d+)\.norm2\.gamma", r"\1.residual.3.gamma"),
    (r"(\.\d+)\.conv2\.(weight|bias)", r"\1.residual.6.\2"),
    (r"\.conv_shortcut\.", ".shortcut."),
)


def renamed(weights: dict[str, Tensor], names: Names) -> dict[str, Tensor]:
    found = {}
    for name, weight in weights.items():
        for pattern, replacement in names:
            name = re.sub(pattern, replacement, name)
        found[name] = weight
    return found


def fused(weights: dict[str, Tensor], parts: tuple[str, ...], whole: str) -> dict[str, Tensor]:
    """With one weight or bias in the place of several, each block's rows one after the other."""
    found = dict(weights)
    for name in weights:
        place, found_it, kind = name.partition(f"{parts[0]}.")
        several = [f"{place}{part}.{kind}" for part in parts]
        if found_it and all(each in found for each in several):
            found[f"{place}{whole}.{kind}"] = torch.cat([found.pop(each) for each in several])
    return found


def transformer_file(name: str, model: nn.Module) -> dict[str, Tensor]:
    weights = dict(model.state_dict())
    if name == "z_image":
        parts = ("attention.to_q", "attention.to_k", "attention.to_v")
        return renamed(fused(weights, parts, "attention.qkv"), Z_IMAGE)
    if name == "lumina2":
        parts = ("attn.to_q", "attn.to_k", "attn.to_v")
        return renamed(fused(weights, parts, "attn.qkv"), LUMINA2)
    if name == "flux":
        three = ("attn.to_q", "attn.to_k", "attn.to_v")
        weights = fused(weights, (*three, "proj_mlp"), "linear1")
        weights = fused(weights, three, "img_attn.qkv")
        added = ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")
        weights = fused(weights, added, "txt_attn.qkv")
        for kind in ("weight", "bias"):
            scale, shift = weights[f"norm_out.linear.{kind}"].chunk(2)
            weights[f"norm_out.linear.{kind}"] = torch.cat([shift, scale])
        return renamed(weights, FLUX)
    if name == "cosmos_predict2":
        columns = weights["patch_embed.proj.weight"]  # and those of a mask that is 0
        weights["patch_embed.proj.weight"] = torch.cat([columns, torch.ones(HIDDEN, 4)], dim=1)
        return renamed(weights, COSMOS)
    assert name == "qwen_image"
    return weights


def kl_file(vae: nn.Module) -> dict[str, Tensor]:
    levels = len(vae.config.block_out_channels)
    found = {}
    for name, weight in vae.state_dict().items():
        if up := re.match(r"decoder\.up_blocks\.(\d)\.", name):
            place = levels - 1 - int(up[1])
            name = re.sub(r"up_blocks\.\d\.resnets\.(\d)\.", rf"up.{place}.block.\1.", name)
            name = re.sub(r"up_blocks\.\d\.upsamplers\.0\.", f"up.{place}.upsample.", name)
        if "attentions" in name and name.endswith("weight") and weight.ndim == 2:
            weight = weight[..., None, None]
        found[name] = weight
    return renamed(found, KL)


def film_file(vae: nn.Module) -> dict[str, Tensor]:
    found = {}
    for name, weight in vae.state_dict().items():
        if up := re.match(r"decoder\.up_blocks\.(\d)\.(resnets\.(\d)|upsamplers\.0)\.", name):
            place = 4 * int(up[1]) + (3 if up[3] is None else int(up[3]))
            name = f"decoder.upsamples.{place}.{name[up.end() :]}"
        found[name] = weight
    return renamed(found, FILM)


def qwen3(words: int = 128) -> Any:
    from transformers import Qwen3Config, Qwen3Model

    rope = {"rope_type": "default", "rope_theta": 1e6}
    config = Qwen3Config(**pipelines.LLAMA, vocab_size=words, rope_parameters=rope)
    return pipelines.filled(Qwen3Model(config))


def qwen_vl() -> Any:
    """Heads of its rotation have one width, 128, in all sizes."""
    from transformers import Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel

    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
    shape = {"hidden_size": 256, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = Qwen2_5_VLTextConfig(
        **pipelines.SIZE | shape, vocab_size=128, rope_parameters=rope, rms_norm_eps=1e-6
    )
    return pipelines.filled(Qwen2_5_VLTextModel(config))


def gemma2() -> Any:
    from transformers import Gemma2Config, Gemma2Model

    shape = {"num_attention_heads": 8, "num_key_value_heads": 4, "query_pre_attn_scalar": 8}
    config = Gemma2Config(**pipelines.LLAMA | shape, vocab_size=128, pad_token_id=0)
    return pipelines.filled(Gemma2Model(config))


def clip() -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        hidden_size=POOLED, projection_dim=POOLED, intermediate_size=48, num_hidden_layers=3,
        num_attention_heads=1, vocab_size=CLIP_WORDS, max_position_embeddings=CLIP_LENGTH,
        bos_token_id=CLIP_WORDS - 2, eos_token_id=CLIP_WORDS - 1, pad_token_id=CLIP_WORDS - 1,
    )  # fmt: skip
    return pipelines.filled(CLIPTextModel(config))


def t5() -> Any:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=128, d_model=TEXT, d_kv=8, d_ff=48, num_layers=2, num_heads=2,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    return pipelines.filled(T5EncoderModel(config))


def adapter() -> Any:
    from diffusers import AnimaTextConditioner

    return pipelines.filled(
        AnimaTextConditioner(
            source_dim=TEXT, target_dim=TEXT, model_dim=TEXT, num_layers=2, num_attention_heads=2,
            target_vocab_size=128, min_sequence_length=512,
        )
    )  # fmt: skip


def flux_vae() -> Any:
    from diffusers import AutoencoderKL

    return pipelines.filled(
        AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
            block_out_channels=[32] * 4, layers_per_block=1, latent_channels=16,
            scaling_factor=0.3611, shift_factor=0.1159,
            use_quant_conv=False, use_post_quant_conv=False,
        )
    )  # fmt: skip


def film_vae(kind: str = "AutoencoderKLWan") -> Any:
    import diffusers

    return pipelines.filled(getattr(diffusers, kind)(base_dim=4))


# Shares of a head's width as in the published models; no weight tells them
TRANSFORMERS: dict[str, dict[str, Any]] = {
    "z_image": {"axes_lens": [1536, 512, 512]},
    "lumina2": {
        "hidden_size": 96, "axes_dim_rope": (8, 8, 8), "axes_lens": (300, 512, 512),
        "num_refiner_layers": 2,
    },
    "flux": {"axes_dims_rope": (4, 14, 14)},
    "qwen_image": {"axes_dims_rope": (4, 14, 14), "joint_attention_dim": 256},
    "cosmos_predict2": {"max_size": (128, 240, 240)},
}  # fmt: skip
FILES = {  # transformer, text models, VAE: as in the templates
    "z_image": ("z_image_bf16", {"qwen_3_4b": "qwen3"}, "ae"),
    "lumina2": ("lumina_2", {"gemma_2_2b": "gemma2"}, "ae"),
    "flux": ("flux1-dev", {"clip_l": "clip", "t5xxl_fp16": "t5"}, "ae"),
    "qwen_image": ("qwen_image_bf16", {"qwen_2.5_vl_7b": "qwen_vl"}, "qwen_image_vae"),
    "anima": ("anima-base-v1.0", {"qwen_3_06b_base": "qwen3"}, "qwen_image_vae"),
}
TEXTS = {  # module, beginning of its names in a file, tokenizer
    "qwen3": (qwen3, "model.", pipelines.qwen_tokenizer),
    "qwen_vl": (qwen_vl, "model.", pipelines.qwen_tokenizer),
    "gemma2": (gemma2, "model.", pipelines.gemma_tokenizer),
    "clip": (clip, "text_model.", None),
    "t5": (t5, "", pipelines.t5_tokenizer),
}


def write(name: str, models: Path) -> dict[str, Any]:
    """{"transformer", "adapter" of Anima, the names of TEXTS, "vae"}"""
    kind = "cosmos_predict2" if name == "anima" else name
    of_transformer, texts, of_vae = FILES[name]
    parts: dict[str, Any] = {"transformer": build(kind, **TRANSFORMERS[kind])[0]}
    weights = transformer_file(kind, parts["transformer"])
    if name == "anima":
        parts["adapter"] = adapter()
        inside = parts["adapter"].state_dict().items()
        weights |= {f"net.llm_adapter.{key}": weight for key, weight in inside}
    save(weights, models / "diffusion_models" / f"{of_transformer}.safetensors")
    for stem, text in texts.items():
        make, prefix, tokenizer = TEXTS[text]
        parts[text] = make()
        save(text_file(parts[text], prefix), models / "text_encoders" / f"{stem}.safetensors")
        if tokenizer is not None:
            tokenizer().save_pretrained(models / "text_encoders" / stem)
    if name == "anima":
        pipelines.t5_tokenizer().save_pretrained(models / "text_encoders" / "t5_tokenizer")
    films = of_vae == "qwen_image_vae"
    parts["vae"] = film_vae() if films else flux_vae()
    of_file = (film_file if films else kl_file)(parts["vae"])
    save(of_file, models / "vae" / f"{of_vae}.safetensors")
    return parts


def text_file(module: nn.Module, prefix: str) -> dict[str, Tensor]:
    weights = module.state_dict().items()
    return {
        prefix + key.removeprefix("text_model."): weight
        for key, weight in weights
        if key != "encoder.embed_tokens.weight"
    }


def save(weights: dict[str, Tensor], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: weight.contiguous().clone() for key, weight in weights.items()}, file)
