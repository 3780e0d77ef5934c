"""ComfyUI's models: class of the diffusion model → where keys and values come from.

Read in ComfyUI 0.33.0; tests/live/test_families.py tries every row on the real class. Text
encoders inside a model (Anima's `llm_adapter`, Hunyuan's `txt_in`, Krea 2's `txtfusion`) have no
row, as they belong to the prompt; nor have the refiners of reference pictures.
"""

from __future__ import annotations

from typing import Any

from .rows import Attention, Family, Fused, Separate, linear_shape


def thirds(width: int) -> tuple[int, ...]:
    return (width, width, width, 0)


def flux_attention(attention: Any) -> tuple[int, ...]:
    return thirds(linear_shape(attention.proj)[1])


def flux_single(block: Any) -> tuple[int, ...]:
    return (*(block.hidden_size,) * 3, block.mlp_hidden_dim_first)


def sd3_attention(attention: Any) -> tuple[int, ...]:
    return thirds(attention.num_heads * attention.head_dim)


def lumina_attention(attention: Any) -> tuple[int, ...]:
    """Several heads of queries may share one of keys and values."""
    queries, others = attention.n_local_heads, attention.n_local_kv_heads
    return (queries * attention.head_dim, *(others * attention.head_dim,) * 2, 0)


def which_flux(model: Any) -> str:
    if model.params.global_modulation:
        return "flux2"
    if model.vector_in is not None:
        return "flux"
    return "longcat_image" if model.txt_norm is None else "ovis_image"


def which_lumina(model: Any) -> str:
    """Lumina and NewBie have an activation before the modulation of a block, Z-Image has none."""
    modulation = model.layers[0].adaLN_modulation
    return "z_image" if len(modulation) == 1 else "lumina2"


LDM = "comfy.ldm."
DOUBLE = tuple(
    Attention(
        ("double_blocks",),
        f"{side}_attn",
        (LDM + "flux.layers.SelfAttention",),
        (Fused(stream, "qkv", flux_attention),),
    )
    for side, stream in (("img", "image"), ("txt", "text"))
)
SINGLE = Attention(
    ("single_blocks",),
    "",
    (LDM + "flux.layers.SingleStreamBlock",),
    (Fused("joint", "linear1", flux_single),),
)
SD3 = (LDM + "modules.diffusionmodules.mmdit.SelfAttention",)
REFINED = (("context_refiner", "text"), ("noise_refiner", "image"), ("layers", "joint"))
LUMINA = (LDM + "lumina.model.JointAttention",)
QWEN = Attention(
    ("transformer_blocks",),
    "attn",
    (LDM + "qwen_image.model.Attention",),
    (Separate("image", "to_k", "to_v"), Separate("text", "add_k_proj", "add_v_proj")),
)
WAN = (
    Attention(
        ("blocks",),
        "self_attn",
        (LDM + "wan.model.WanSelfAttention",),
        (Separate("self", "k", "v"),),
    ),
    Attention(
        ("blocks",),
        "cross_attn",
        (LDM + "wan.model.WanT2VCrossAttention", LDM + "wan.model.WanI2VCrossAttention"),
        (Separate("cross", "k", "v"), Separate("cross_image", "k_img", "v_img", optional=True)),
    ),
)
COSMOS = tuple(
    Attention(
        ("blocks",),
        f"{stream}_attn",
        (LDM + "cosmos.predict2.Attention",),
        (Separate(stream, "k_proj", "v_proj"),),
    )
    for stream in ("self", "cross")
)
HIDREAM = {"path": "block.attn1", "kinds": (LDM + "hidream.model.HiDreamAttention",)}
UNET = tuple(
    Attention(
        ("input_blocks", "middle_block", "output_blocks"),
        path,
        (LDM + "modules.attention.CrossAttention",),
        (Separate(stream, "to_k", "to_v"),),
        every=False,
    )
    for path, stream in (("attn1", "self"), ("attn2", "cross"))
)

COMFYUI = {
    LDM + "modules.diffusionmodules.openaimodel.UNetModel": Family("unet", UNET),
    LDM + "flux.model.Flux": Family(which_flux, (*DOUBLE, SINGLE)),
    LDM + "chroma.model.Chroma": Family("chroma", (*DOUBLE, SINGLE)),
    LDM + "chroma_radiance.model.ChromaRadiance": Family("chroma_radiance", (*DOUBLE, SINGLE)),
    LDM + "hunyuan_video.model.HunyuanVideo": Family("hunyuan_video", (*DOUBLE, SINGLE)),
    LDM + "modules.diffusionmodules.mmdit.OpenAISignatureMMDITWrapper": Family(
        "sd3",
        (
            Attention(
                ("joint_blocks",), "x_block.attn", SD3, (Fused("image", "qkv", sd3_attention),)
            ),
            Attention(
                ("joint_blocks",), "context_block.attn", SD3, (Fused("text", "qkv", sd3_attention),)
            ),
            Attention(
                ("joint_blocks",),
                "x_block.attn2",
                SD3,
                (Fused("self", "qkv", sd3_attention),),
                every=False,  # 3.5 medium has it in its first 13 blocks, the others nowhere
            ),
        ),
    ),
    LDM + "lumina.model.NextDiT": Family(
        which_lumina,
        tuple(
            Attention((part,), "attention", LUMINA, (Fused(stream, "qkv", lumina_attention),))
            for part, stream in REFINED
        ),
    ),
    LDM + "omnigen.omnigen2.OmniGen2Transformer2DModel": Family(
        "omnigen2",
        tuple(
            Attention(
                (part,),
                "attn",
                (LDM + "omnigen.omnigen2.Attention",),
                (Separate(stream, "to_k", "to_v"),),
            )
            for part, stream in REFINED
        ),
    ),
    LDM + "qwen_image.model.QwenImageTransformer2DModel": Family("qwen_image", (QWEN,)),
    LDM + "mage_flow.model.MageFlowTransformer2DModel": Family("mage_flow", (QWEN,)),
    LDM + "wan.model.WanModel": Family("wan", WAN),
    LDM + "wan.model.CameraWanModel": Family("wan", WAN),
    LDM + "wan.model.VaceWanModel": Family("wan", WAN),  # without the blocks that read its control
    LDM + "cosmos.predict2.MiniTrainDIT": Family("cosmos_predict2", COSMOS),
    LDM + "anima.model.Anima": Family("anima", COSMOS),
    LDM + "hidream.model.HiDreamImageTransformer2DModel": Family(
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
    LDM + "krea2.model.SingleStreamDiT": Family(
        "krea2",
        (
            Attention(
                ("blocks",),
                "attn",
                (LDM + "krea2.model.Attention",),
                (Separate("joint", "wk", "wv"),),
            ),
        ),
    ),
    LDM + "ernie.model.ErnieImageModel": Family(
        "ernie",
        (
            Attention(
                ("layers",),
                "self_attention",
                (LDM + "ernie.model.ErnieImageAttention",),
                (Separate("joint", "to_k", "to_v"),),
            ),
        ),
    ),
}
