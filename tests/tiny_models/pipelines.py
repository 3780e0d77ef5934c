"""A tiny random pipeline of diffusers for some of the transformers: text models, tokenizers, VAE.

    pipeline = tiny_models.pipelines.pipeline("lumina2")

Tokens are letters. The same weights at every call; the transformer is that of tiny_models.
"""

from __future__ import annotations

import logging
from typing import Any

import torch

from . import POOLED, TEXT, build, fill

LENGTH = 24  # of CLIP
CHAT = "<|im_start|>{% for message in messages %}{{ message['content'] }}{% endfor %}"
SIZE = {"intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 2}
LLAMA = SIZE | {"hidden_size": TEXT, "num_key_value_heads": 1, "head_dim": 8}


def letters() -> list[str]:
    return [chr(code) for code in range(ord("!"), ord("~") + 1)]


def filled(model: Any) -> Any:
    with torch.no_grad():
        fill(model)
    return model.eval().requires_grad_(False)


def clip_tokenizer() -> Any:
    from transformers import CLIPTokenizer

    words = [*letters(), *(letter + "</w>" for letter in letters())]
    words += ["<|startoftext|>", "<|endoftext|>"]
    numbers = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=numbers, merges=[], model_max_length=LENGTH)


def clip(hidden: int, projected: int = 0) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    words = 2 * len(letters()) + 2
    config = CLIPTextConfig(
        **SIZE, hidden_size=hidden, projection_dim=projected or hidden, vocab_size=words,
        max_position_embeddings=LENGTH, bos_token_id=words - 2, eos_token_id=words - 1,
        pad_token_id=words - 1,
    )  # fmt: skip
    return filled((CLIPTextModelWithProjection if projected else CLIPTextModel)(config))


def t5_tokenizer() -> Any:
    from transformers import T5Tokenizer

    words = ["<pad>", "</s>", "<unk>", "▁", *letters()]
    return T5Tokenizer(vocab=[(word, -1.0) for word in words], extra_ids=0)


def t5(kind: str = "T5") -> Any:
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        vocab_size=128, d_model=TEXT, d_kv=8, d_ff=48, num_layers=2, num_heads=2
    )
    return filled(getattr(transformers, f"{kind}EncoderModel")(config))


def gemma_tokenizer() -> Any:
    from transformers import GemmaTokenizer

    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *letters()]
    numbers = {word: number for number, word in enumerate(words)}
    return GemmaTokenizer(vocab=numbers, merges=[])


def gemma() -> Any:
    from transformers import Gemma2Config, Gemma2Model

    return filled(Gemma2Model(Gemma2Config(**LLAMA, vocab_size=128, pad_token_id=0)))


def qwen_tokenizer() -> Any:
    from transformers import Qwen2Tokenizer

    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "Ġ", "Ċ", *letters()]
    numbers = {word: number for number, word in enumerate(words)}
    tokenizer = Qwen2Tokenizer(vocab=numbers, merges=[], padding_side="right")
    tokenizer.chat_template = CHAT
    return tokenizer


def qwen3() -> Any:
    from transformers import Qwen3Config, Qwen3Model

    return filled(Qwen3Model(Qwen3Config(**LLAMA, vocab_size=128)))


def qwen3_deep() -> Any:
    """Flux.2 klein reads its layers 9, 18 and 27 side by side."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    shape = LLAMA | {"hidden_size": TEXT // 3, "num_hidden_layers": 28}
    return filled(Qwen3ForCausalLM(Qwen3Config(**shape, vocab_size=128)))


def qwen_vl() -> Any:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    text = {key: value for key, value in LLAMA.items() if key != "head_dim"}
    text |= {"vocab_size": 128, "num_attention_heads": 3}
    text["rope_parameters"] = {"rope_type": "default", "mrope_section": [1, 1, 2]}
    vision = {
        "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2,
        "out_hidden_size": TEXT,
    }  # fmt: skip
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision)
    return filled(Qwen2_5_VLForConditionalGeneration(config))


def vae(channels: int = 16) -> Any:
    from diffusers import AutoencoderKL

    return filled(
        AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
            block_out_channels=[4] * 4, layers_per_block=1, latent_channels=channels,
            norm_num_groups=2, scaling_factor=0.3611, shift_factor=0.1159,
        )
    )  # fmt: skip


def joining_vae() -> Any:
    from diffusers import AutoencoderKLFlux2

    found = AutoencoderKLFlux2(
        down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[4] * 4, layers_per_block=1, latent_channels=32, norm_num_groups=2,
    )  # fmt: skip
    chance = torch.Generator().manual_seed(0)
    found.bn.running_mean.copy_(0.1 * torch.randn(128, generator=chance))
    found.bn.running_var.copy_(1 + torch.rand(128, generator=chance))
    return filled(found)


def video_vae(kind: str = "AutoencoderKLQwenImage") -> Any:
    import diffusers

    channels = {"latents_mean": [0.1] * 16, "latents_std": [1.5] * 16}
    return filled(
        getattr(diffusers, kind)(
            base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, **channels
        )
    )


def parts_of(name: str) -> tuple[str, dict[str, Any]]:
    """The class of the pipeline, and its parts beside the transformer and the scheduler."""
    if name == "lumina2":
        return "Lumina2Pipeline", {
            "text_encoder": gemma(), "tokenizer": gemma_tokenizer(), "vae": vae(),
        }  # fmt: skip
    if name == "z_image":
        return "ZImagePipeline", {
            "text_encoder": qwen3(), "tokenizer": qwen_tokenizer(), "vae": vae(),
        }  # fmt: skip
    if name == "sd3":
        return "StableDiffusion3Pipeline", {
            "text_encoder": clip(8, POOLED // 2), "tokenizer": clip_tokenizer(),
            "text_encoder_2": clip(16, POOLED // 2), "tokenizer_2": clip_tokenizer(),
            "text_encoder_3": t5(), "tokenizer_3": t5_tokenizer(), "vae": vae(),
        }  # fmt: skip
    if name == "flux":
        return "FluxPipeline", {
            "text_encoder": clip(POOLED), "tokenizer": clip_tokenizer(),
            "text_encoder_2": t5(), "tokenizer_2": t5_tokenizer(), "vae": vae(),
        }  # fmt: skip
    if name == "flux2":
        return "Flux2KleinPipeline", {
            "text_encoder": qwen3_deep(), "tokenizer": qwen_tokenizer(), "vae": joining_vae(),
        }  # fmt: skip
    if name == "chroma":
        return "ChromaPipeline", {
            "text_encoder": t5(), "tokenizer": t5_tokenizer(), "vae": vae(),
        }  # fmt: skip
    if name == "qwen_image":
        return "QwenImagePipeline", {
            "text_encoder": qwen_vl(), "tokenizer": qwen_tokenizer(), "vae": video_vae(),
        }  # fmt: skip
    assert name == "wan"
    return "WanPipeline", {
        "text_encoder": t5("UMT5"), "tokenizer": t5_tokenizer(),
        "vae": video_vae("AutoencoderKLWan"),
    }  # fmt: skip


CHANGES = {
    "lumina2": {"axes_lens": [512, 64, 64]},  # places for the tokens of a long prompt
    "z_image": {"axes_lens": [512, 64, 64]},
    "flux2": {"guidance_embeds": False},  # as in klein
}
NAMES = ("lumina2", "z_image", "sd3", "flux", "flux2", "chroma", "qwen_image", "wan")


def pipeline(name: str) -> Any:
    import diffusers

    kind, parts = parts_of(name)
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0 if name != "flux" else 1.0)
    transformer = build(name, **CHANGES.get(name, {}))[0]
    found = getattr(diffusers, kind)(transformer=transformer, scheduler=scheduler, **parts)
    found.set_progress_bar_config(disable=True)
    return found
