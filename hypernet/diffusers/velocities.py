"""The velocity that each transformer of diffusers predicts, one function per class.

    x = (1 − σ)·x_0 + σ·noise      v = noise − x_0

Classes differ in how they take latents, in how they count time, and in the sign of their answer;
here all take (transformer, x, σ, condition) and give v. Each function is what the class's own
pipeline does around its call of the transformer.

Shapes: B batch, c latent channels, h w latent rows and columns, T tokens, C width. Models that know
videos take pictures of one frame: x is (B, c, 1, h, w) there, otherwise (B, c, h, w). σ is (B,).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..training.batches import MASK, TOKENS, own_length
from ..training.diffusion import GUIDANCE

Condition = Mapping[str, Tensor]  # "context" (B, T, C), and what else the model's row asks for
Velocity = Callable[[Any, Tensor, Tensor, Condition], Tensor]

STEPS = 1000  # as which some classes count σ = 1
LLAMA = "conditioning_llama3"  # HiDream's second text, as ComfyUI calls it: (B, layers, T, C)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a transformer takes. The functions read its config."""

    velocity: Velocity
    channels: Callable[[Any], int]  # of latents
    patch: Callable[[Any], int]  # rows and columns of latents that one token has
    context: Callable[[Any], int]  # width of the text
    pooled: Callable[[Any], int] | None = None  # width of "pooled", where the model reads it
    has_frames: bool = False


def inputs_of(transformer: Any) -> Inputs:
    """Raises ValueError if the class is not in the table."""
    name = type(getattr(transformer, "_orig_mod", transformer)).__name__
    if name not in INPUTS:
        raise ValueError(
            f"how {name} takes latents and text is not known here, so it cannot be trained on. "
            f"Known are {', '.join(sorted(INPUTS))}."
        )
    return INPUTS[name]


def velocity_of(transformer: Any, noisy: Tensor, sigmas: Tensor, condition: Condition) -> Tensor:
    """v of the whole batch in float32, in noisy's shape.

    noisy and sigmas are on the transformer's device. Prompts of different lengths go through it one
    after the other, each in its own length.
    """
    predict, dtype = inputs_of(transformer).velocity, transformer.dtype
    parts, order = [], []
    for rows, texts in of_one_length(condition, len(noisy)):
        texts = {key: each.to(noisy.device) for key, each in texts.items()}
        texts = {key: each.to(dtype) if key != MASK else each for key, each in texts.items()}
        some = picked(noisy, rows).to(dtype), picked(sigmas, rows)
        parts.append(predict(transformer, *some, texts).float())
        order += rows
    return picked(torch.cat(parts), sorted(range(len(order)), key=order.__getitem__))


def picked(tensor: Tensor, rows: list[int]) -> Tensor:
    """Those rows, without an index that would have to travel to the device."""
    if rows == list(range(len(tensor))):
        return tensor
    return torch.stack([tensor[row] for row in rows])


def of_one_length(condition: Condition, samples: int) -> Iterator[tuple[list[int], Condition]]:
    """Yields the rows of prompts that have one length, and their condition in that length."""
    lengths = [each for key, each in condition.items() if key.endswith(TOKENS)]
    groups: dict[tuple[int, ...], list[int]] = {}
    for row in range(samples):
        groups.setdefault(tuple(int(each[row]) for each in lengths), []).append(row)
    for rows in groups.values():
        alone = [own_length(condition, row) for row in rows]
        yield rows, {key: torch.cat([each[key] for each in alone]) for key in alone[0]}


# --- what tokens are made of ---------------------------------------------------------------------


def packed(latents: Tensor, patch: int = 2) -> Tensor:
    """(B, c, h, w) → (B, tokens, c·patch²), rows of tokens one after the other."""
    tiles = latents.unfold(2, patch, patch).unfold(3, patch, patch)  # (B, c, rows, columns, p, p)
    return tiles.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)


def unpacked(tokens: Tensor, like: Tensor, patch: int = 2) -> Tensor:
    """The inverse of packed; like: (B, c, h, w)."""
    batch, channels, height, width = like.shape
    tiles = tokens.view(batch, height // patch, width // patch, channels, patch, patch)
    return tiles.permute(0, 3, 1, 4, 2, 5).reshape(like.shape)


def positions(latents: Tensor, patch: int, axes: int = 3) -> Tensor:
    """(tokens, axes): where each image token lies, its row and column on axes 1 and 2."""
    rows, columns = (side // patch for side in latents.shape[-2:])
    found = torch.zeros(rows, columns, axes, device=latents.device)
    found[..., 1] = torch.arange(rows, device=latents.device)[:, None]
    found[..., 2] = torch.arange(columns, device=latents.device)
    return found.flatten(0, 1)


def every_token(context: Tensor) -> Tensor:
    """(B, T): a mask that hides nothing."""
    return torch.ones(context.shape[:2], dtype=torch.bool, device=context.device)


def guidance_for(transformer: Any, sigmas: Tensor) -> Tensor | None:
    return torch.full_like(sigmas, GUIDANCE) if transformer.config.guidance_embeds else None


# --- one function per class ----------------------------------------------------------------------


def lumina2(transformer: Any, noisy: Tensor, sigmas: Tensor, texts: Condition) -> Tensor:
    mask = texts.get(MASK, every_token(texts["context"])).bool()
    return -transformer(noisy, 1 - sigmas, texts["context"], mask, return_dict=False)[0]


def z_image(transformer: Any, noisy: Tensor, sigmas: Tensor, texts: Condition) -> Tensor:
    pictures = list(noisy.unsqueeze(2).unbind())
    found = transformer(pictures, 1 - sigmas, list(texts["context"].unbind()), return_dict=False)
    return -torch.stack(list(found[0])).squeeze(2)


def sd3(transformer: Any, noisy: Tensor, sigmas: Tensor, texts: Condition) -> Tensor:
    return transformer(noisy, texts["context"], texts["pooled"], sigmas * STEPS, return_dict=False)[
        0
    ]


def flux(transformer: Any, noisy: Tensor, sigmas: Tensor, texts: Condition) -> Tensor:
    tokens = transformer(
        packed(noisy),
        encoder_hidden_states=texts["context"],
        pooled_projections=texts["pooled"],
        timestep=sigmas,
        img_ids=positions(noisy, 2),
        txt_ids=noisy.new_zeros(texts["context"].shape[1], 3),
        guidance=guidance_for(transformer, sigmas),
        return_dict=False,
    )[0]
    return unpacked(tokens, noisy)


def chroma(transformer: Any, noisy: Tensor, sigmas: Tensor, texts: Condition) -> Tensor:
    image, mask = packed(noisy), texts.get(MASK)
    if mask is not None:  # it is for all tokens
        mask = torch.cat([mask.bool(), every_token(image)], dim=1)
    tokens = transformer(
        image,
        encoder_hidden_states=texts["context"],
        timestep=sigmas,
        img_ids=positions(noisy, 2),
        txt_ids=noisy.new_zeros(texts["context"].shape[1], 3),
        attention_mask=mask,
        return_dict=False,
    )[0]
    return unpacked(tokens, noisy)


def flux2(transformer: Any, noisy: Tensor, sigmas: Tensor, texts: Condition) -> Tensor:
    of_text = noisy.new_zeros(texts["context"].shape[1], 4)
    of_text[:, 3] = torch.arange(len(of_text))
    tokens = transformer(
        packed(noisy, 1),
        encoder_hidden_states=texts["context"],
        timestep=sigmas,
        img_ids=positions(noisy, 1, axes=4),
        txt_ids=of_text,
        guidance=guidance_for(transformer, sigmas),
        return_dict=False,
    )[0]
    return unpacked(tokens, noisy, 1)


def qwen_image(transformer: Any, noisy: Tensor, sigmas: Tensor, texts: Condition) -> Tensor:
    picture = noisy.squeeze(2)
    rows, columns = (side // 2 for side in picture.shape[-2:])
    tokens = transformer(
        packed(picture),
        encoder_hidden_states=texts["context"],
        encoder_hidden_states_mask=texts.get(MASK, every_token(texts["context"])).long(),
        timestep=sigmas,
        img_shapes=[[(1, rows, columns)]] * len(noisy),
        guidance=guidance_for(transformer, sigmas),
        return_dict=False,
    )[0]
    return unpacked(tokens, picture).unsqueeze(2)


def krea2(transformer: Any, noisy: Tensor, sigmas: Tensor, texts: Condition) -> Tensor:
    picture = noisy.squeeze(2)
    layers = texts["context"].unflatten(-1, (transformer.config.num_text_layers, -1))
    of_text = torch.zeros(layers.shape[1], 3, device=noisy.device)
    tokens = transformer(
        packed(picture),
        encoder_hidden_states=layers,
        timestep=sigmas,
        position_ids=torch.cat([of_text, positions(noisy, 2)]),
        return_dict=False,
    )[0]
    return unpacked(tokens, picture).unsqueeze(2)


def wan(transformer: Any, noisy: Tensor, sigmas: Tensor, texts: Condition) -> Tensor:
    return transformer(noisy, sigmas * STEPS, texts["context"], return_dict=False)[0]


def cosmos(transformer: Any, noisy: Tensor, sigmas: Tensor, texts: Condition) -> Tensor:
    """Its pipeline counts noise as σ / (1 − σ), but makes these x and σ of it for the model."""
    hidden = None
    if transformer.config.concat_padding_mask:
        hidden = noisy.new_zeros(1, 1, *noisy.shape[-2:])
    return transformer(noisy, sigmas, texts["context"], padding_mask=hidden, return_dict=False)[0]


def hidream(transformer: Any, noisy: Tensor, sigmas: Tensor, texts: Condition) -> Tensor:
    return -transformer(
        noisy,
        timesteps=sigmas * STEPS,
        encoder_hidden_states_t5=texts["context"],
        encoder_hidden_states_llama3=texts[LLAMA].transpose(0, 1),
        pooled_embeds=texts["pooled"],
        return_dict=False,
    )[0]


def ernie(transformer: Any, noisy: Tensor, sigmas: Tensor, texts: Condition) -> Tensor:
    samples, tokens = texts["context"].shape[:2]
    lengths = torch.full((samples,), tokens, device=noisy.device)
    return transformer(noisy, sigmas * STEPS, texts["context"], lengths, return_dict=False)[0]


def one_by_one(config: Any) -> int:
    return config["in_channels"]


def two_by_two(config: Any) -> int:
    return config["in_channels"] // 4


INPUTS = {
    "Lumina2Transformer2DModel": Inputs(
        velocity=lumina2,
        channels=one_by_one,
        patch=lambda config: config["patch_size"],
        context=lambda config: config["cap_feat_dim"],
    ),
    "ZImageTransformer2DModel": Inputs(
        velocity=z_image,
        channels=one_by_one,
        patch=lambda config: config["all_patch_size"][0],
        context=lambda config: config["cap_feat_dim"],
    ),
    "SD3Transformer2DModel": Inputs(
        velocity=sd3,
        channels=one_by_one,
        patch=lambda config: config["patch_size"],
        context=lambda config: config["joint_attention_dim"],
        pooled=lambda config: config["pooled_projection_dim"],
    ),
    "FluxTransformer2DModel": Inputs(
        velocity=flux,
        channels=two_by_two,
        patch=lambda config: 2,
        context=lambda config: config["joint_attention_dim"],
        pooled=lambda config: config["pooled_projection_dim"],
    ),
    "ChromaTransformer2DModel": Inputs(
        velocity=chroma,
        channels=two_by_two,
        patch=lambda config: 2,
        context=lambda config: config["joint_attention_dim"],
    ),
    "Flux2Transformer2DModel": Inputs(
        velocity=flux2,
        channels=one_by_one,
        patch=lambda config: 1,
        context=lambda config: config["joint_attention_dim"],
    ),
    "QwenImageTransformer2DModel": Inputs(
        velocity=qwen_image,
        channels=two_by_two,
        patch=lambda config: 2,
        context=lambda config: config["joint_attention_dim"],
        has_frames=True,
    ),
    "Krea2Transformer2DModel": Inputs(
        velocity=krea2,
        channels=two_by_two,
        patch=lambda config: 2,
        context=lambda config: config["num_text_layers"] * config["text_hidden_dim"],
        has_frames=True,
    ),
    "WanTransformer3DModel": Inputs(
        velocity=wan,
        channels=one_by_one,
        patch=lambda config: config["patch_size"][-1],
        context=lambda config: config["text_dim"],
        has_frames=True,
    ),
    "CosmosTransformer3DModel": Inputs(
        velocity=cosmos,
        channels=one_by_one,
        patch=lambda config: config["patch_size"][-1],
        context=lambda config: config["text_embed_dim"],
        has_frames=True,
    ),
    "HiDreamImageTransformer2DModel": Inputs(
        velocity=hidream,
        channels=one_by_one,
        patch=lambda config: config["patch_size"],
        context=lambda config: config["caption_channels"][0],
        pooled=lambda config: config["text_emb_dim"],
    ),
    "ErnieImageTransformer2DModel": Inputs(
        velocity=ernie,
        channels=one_by_one,
        patch=lambda config: config["patch_size"],
        context=lambda config: config["text_in_dim"],
    ),
}
