"""diffusers' models: class of the transformer or UNet → where keys and values come from.

Read in diffusers 0.42.1; tests/hypernet/families tries every row on the real class. The streams
are those of ComfyUI's classes, so one file serves both.
"""

from __future__ import annotations

from typing import Any

from .rows import Attention, Family, Fused, Separate


def flux2_single(attention: Any) -> tuple[int, ...]:
    rest = attention.mlp_hidden_dim * attention.mlp_mult_factor
    return (*(attention.inner_dim,) * 3, rest)


def which_cosmos(model: Any) -> str:
    """Cosmos 1 learns its positions. Predict2's class serves Anima, too."""
    return "cosmos_predict2" if model.learnable_pos_embed is None else "cosmos"


MODELS = "diffusers.models."
TRANSFORMERS = MODELS + "transformers."
ATTENTION = (MODELS + "attention_processor.Attention",)  # many families share it
DOUBLE = (Separate("image", "to_k", "to_v"), Separate("text", "add_k_proj", "add_v_proj"))
FLUX_ATTENTION = (TRANSFORMERS + "transformer_flux.FluxAttention",)
FLUX = (
    Attention(("transformer_blocks",), "attn", FLUX_ATTENTION, DOUBLE),
    Attention(
        ("single_transformer_blocks",), "attn", FLUX_ATTENTION, (Separate("joint", "to_k", "to_v"),)
    ),
)
REFINED = (("context_refiner", "text"), ("noise_refiner", "image"), ("layers", "joint"))
WAN = (TRANSFORMERS + "transformer_wan.WanAttention",)
HIDREAM = {
    "path": "block.attn1",
    "kinds": (TRANSFORMERS + "transformer_hidream_image.HiDreamAttention",),
}
UNET = tuple(
    Attention(
        ("down_blocks", "mid_block", "up_blocks"),
        path,
        ATTENTION,
        (Separate(stream, "to_k", "to_v"),),
        every=False,
    )
    for path, stream in (("attn1", "self"), ("attn2", "cross"))
)

DIFFUSERS = {
    MODELS + "unets.unet_2d_condition.UNet2DConditionModel": Family("unet", UNET),
    TRANSFORMERS + "transformer_flux.FluxTransformer2DModel": Family("flux", FLUX),
    TRANSFORMERS + "transformer_chroma.ChromaTransformer2DModel": Family("chroma", FLUX),
    TRANSFORMERS + "transformer_flux2.Flux2Transformer2DModel": Family(
        "flux2",
        (
            Attention(
                ("transformer_blocks",),
                "attn",
                (TRANSFORMERS + "transformer_flux2.Flux2Attention",),
                DOUBLE,
            ),
            Attention(
                ("single_transformer_blocks",),
                "attn",
                (TRANSFORMERS + "transformer_flux2.Flux2ParallelSelfAttention",),
                (Fused("joint", "to_qkv_mlp_proj", flux2_single),),
            ),
        ),
    ),
    TRANSFORMERS + "transformer_sd3.SD3Transformer2DModel": Family(
        "sd3",
        (
            Attention(("transformer_blocks",), "attn", ATTENTION, DOUBLE),
            Attention(
                ("transformer_blocks",),
                "attn2",
                ATTENTION,
                (Separate("self", "to_k", "to_v"),),
                every=False,  # 3.5 medium has it in its first 13 blocks, the others nowhere
            ),
        ),
    ),
    TRANSFORMERS + "transformer_lumina2.Lumina2Transformer2DModel": Family(
        "lumina2",
        tuple(
            Attention((part,), "attn", ATTENTION, (Separate(stream, "to_k", "to_v"),))
            for part, stream in REFINED
        ),
    ),
    TRANSFORMERS + "transformer_z_image.ZImageTransformer2DModel": Family(
        "z_image",
        tuple(
            Attention((part,), "attention", ATTENTION, (Separate(stream, "to_k", "to_v"),))
            for part, stream in REFINED
        ),
    ),
    TRANSFORMERS + "transformer_qwenimage.QwenImageTransformer2DModel": Family(
        "qwen_image", (Attention(("transformer_blocks",), "attn", ATTENTION, DOUBLE),)
    ),
    TRANSFORMERS + "transformer_wan.WanTransformer3DModel": Family(
        "wan",
        (
            Attention(("blocks",), "attn1", WAN, (Separate("self", "to_k", "to_v"),)),
            Attention(
                ("blocks",),
                "attn2",
                WAN,
                (
                    Separate("cross", "to_k", "to_v"),
                    Separate("cross_image", "add_k_proj", "add_v_proj", optional=True),
                ),
            ),
        ),
    ),
    TRANSFORMERS + "transformer_cosmos.CosmosTransformer3DModel": Family(
        which_cosmos,
        tuple(
            Attention(("transformer_blocks",), path, ATTENTION, (Separate(stream, "to_k", "to_v"),))
            for path, stream in (("attn1", "self"), ("attn2", "cross"))
        ),
    ),
    TRANSFORMERS + "transformer_hidream_image.HiDreamImageTransformer2DModel": Family(
        "hidream",
        (
            Attention(
                ("double_stream_blocks",),
                layers=(Separate("image", "to_k", "to_v"), Separate("text", "to_k_t", "to_v_t")),
                **HIDREAM,
            ),
            Attention(
                ("single_stream_blocks",), layers=(Separate("joint", "to_k", "to_v"),), **HIDREAM
            ),
        ),
    ),
    TRANSFORMERS + "transformer_krea2.Krea2Transformer2DModel": Family(
        "krea2",
        (
            Attention(
                ("transformer_blocks",),
                "attn",
                (TRANSFORMERS + "transformer_krea2.Krea2Attention",),
                (Separate("joint", "to_k", "to_v"),),
            ),
        ),
    ),
    TRANSFORMERS + "transformer_ernie_image.ErnieImageTransformer2DModel": Family(
        "ernie",
        (
            Attention(
                ("layers",),
                "self_attention",
                (TRANSFORMERS + "transformer_ernie_image.ErnieImageAttention",),
                (Separate("joint", "to_k", "to_v"),),
            ),
        ),
    ),
}
