"""What a pipeline's text models make of a prompt, in the form of velocities.py.

Each row calls the pipeline's own `encode_prompt` and takes what its transformer reads. Tokens that
the pipeline hides from the transformer are left out, where they only fill up the length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from .velocities import LLAMA

Encoded = dict[str, Tensor]  # (T, C) or (P,) each


def encode_prompt(pipeline: Any, transformer: str, prompt: str) -> Encoded:
    """The condition of one prompt, float32 on the CPU. transformer: the name of its class.

    Raises ValueError naming a transformer whose prompts are not known.
    """
    if transformer not in PROMPTS:
        raise ValueError(
            f"how pipelines with {transformer} encode prompts is not known here: give the "
            "transformer alone, with batches of latents and their text."
        )
    found = PROMPTS[transformer](pipeline, prompt)
    return {key: each.detach().float().cpu() for key, each in found.items()}


def own_tokens(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """(T, …) of a batch of one, without those that the mask hides."""
    return tokens[0] if mask is None else tokens[0][mask[0].bool()]


def lumina2(pipeline: Any, prompt: str) -> Encoded:
    tokens, mask, *_ = pipeline.encode_prompt(
        prompt, do_classifier_free_guidance=False, device=pipeline.device
    )
    return {"context": own_tokens(tokens, mask)}


def z_image(pipeline: Any, prompt: str) -> Encoded:
    (tokens,), _ = pipeline.encode_prompt(
        prompt, device=pipeline.device, do_classifier_free_guidance=False
    )
    return {"context": tokens}


def sd3(pipeline: Any, prompt: str) -> Encoded:
    tokens, _, pooled, _ = pipeline.encode_prompt(
        prompt, None, None, device=pipeline.device, do_classifier_free_guidance=False
    )
    return {"context": tokens[0], "pooled": pooled[0]}


def flux(pipeline: Any, prompt: str) -> Encoded:
    tokens, pooled, _ = pipeline.encode_prompt(prompt, None, device=pipeline.device)
    return {"context": tokens[0], "pooled": pooled[0]}


def chroma(pipeline: Any, prompt: str) -> Encoded:
    """One token of padding stays, as the model was trained with it."""
    tokens, _, mask, *_ = pipeline.encode_prompt(
        prompt, device=pipeline.device, do_classifier_free_guidance=False
    )
    return {"context": own_tokens(tokens, mask)}


def flux2(pipeline: Any, prompt: str) -> Encoded:
    tokens, _ = pipeline.encode_prompt(prompt, device=pipeline.device)
    return {"context": tokens[0]}


def qwen_image(pipeline: Any, prompt: str) -> Encoded:
    tokens, mask = pipeline.encode_prompt(prompt, device=pipeline.device)
    return {"context": own_tokens(tokens, mask)}


def krea2(pipeline: Any, prompt: str) -> Encoded:
    tokens, mask = pipeline.encode_prompt(prompt, device=pipeline.device)  # (1, T, layers, C)
    return {"context": own_tokens(tokens, mask).flatten(1)}


def cosmos(pipeline: Any, prompt: str) -> Encoded:
    """The text of Wan, too. Both fill it up with zeros, which the transformer sees."""
    tokens, _ = pipeline.encode_prompt(
        prompt, do_classifier_free_guidance=False, device=pipeline.device
    )
    return {"context": tokens[0]}


def hidream(pipeline: Any, prompt: str) -> Encoded:
    tokens, _, layers, _, pooled, _ = pipeline.encode_prompt(
        prompt, None, None, None, device=pipeline.device, do_classifier_free_guidance=False
    )
    return {"context": tokens[0], LLAMA: layers[:, 0], "pooled": pooled[0]}


PROMPTS: dict[str, Callable[[Any, str], Encoded]] = {
    "Lumina2Transformer2DModel": lumina2,
    "ZImageTransformer2DModel": z_image,
    "SD3Transformer2DModel": sd3,
    "FluxTransformer2DModel": flux,
    "ChromaTransformer2DModel": chroma,
    "Flux2Transformer2DModel": flux2,
    "QwenImageTransformer2DModel": qwen_image,
    "Krea2Transformer2DModel": krea2,
    "WanTransformer3DModel": cosmos,
    "CosmosTransformer3DModel": cosmos,
    "HiDreamImageTransformer2DModel": hidream,
}
