"""The inputs of a model, as the host makes them of a conditioning: by the model's `extra_conds`.

It is called for one prompt at a time, because some families read the number of a prompt's tokens
and drop its mask. Prompts whose inputs do not fit together go through the model one after the
other, as in the host's own sampling.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hypernet.training.batches import own_length
from hypernet.training.diffusion import GUIDANCE

NAMES = {"context": "cross_attn", "pooled": "pooled_output"}  # ours -> ComfyUI's; others are equal


class Together(NamedTuple):
    """Samples that go through a model in one call."""

    rows: list[int]
    given: dict[str, Any]  # to apply_model: c_crossattn, y, …


def inputs_of(model: Any, noisy: Tensor, condition: Mapping[str, Tensor]) -> list[Together]:
    """The calls for a batch, all its samples in them. model: a BaseModel."""
    found: list[tuple[list[int], list[dict[str, Any]]]] = []
    for row in range(len(noisy)):
        conds = model.extra_conds(**_one_prompt(model, noisy, condition, row))
        conds = {name: each.process_cond(batch_size=1, area=None) for name, each in conds.items()}
        for rows, alike in found:
            if _fit(alike[0], conds):
                rows.append(row)
                alike.append(conds)
                break
        else:
            found.append(([row], [conds]))
    return [Together(rows, dict(_joined(alike))) for rows, alike in found]


def _one_prompt(
    model: Any, noisy: Tensor, condition: Mapping[str, Tensor], row: int
) -> dict[str, Any]:
    noise = noisy[row : row + 1]
    height, width = (8 * size for size in noise.shape[-2:])  # as ComfyUI's sampling says it
    given = {
        "pooled_output": None,
        "noise": noise,
        "device": noise.device,
        "width": width,
        "height": height,
        "prompt_type": "positive",
    }
    for name, each in own_length(condition, row).items():
        if name != "sizes":  # of SDXL
            given[NAMES.get(name, name)] = each
    if _reads_guidance(model.diffusion_model):
        given["guidance"] = GUIDANCE
    return given


def _reads_guidance(network: nn.Module) -> bool:
    return bool(getattr(getattr(network, "params", None), "guidance_embed", False))


def _fit(first: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return first.keys() == other.keys() and all(
        first[name].size() == other[name].size() and first[name].can_concat(other[name])
        for name in first
    )


def _joined(alike: list[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    for name, first in alike[0].items():
        yield name, first.concat([conds[name] for conds in alike[1:]])


def takes_pictures(model: Any, channels: int, dimensions: int) -> bool:
    """Does a model read more than noise in its latents, as those for inpainting and editing do?"""
    noise = torch.zeros(1, channels, *(1,) * (dimensions - 2), 8, 8)
    return model.concat_cond(noise=noise, device=noise.device) is not None
