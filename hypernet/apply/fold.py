"""Folding: a linear network becomes part of the model's weights and costs nothing per step.

Without activation and layer norm, a network computes x + Rx + c on the input of `to_k` and `to_v`.
There is one R and c per width and side, with the strength included. The same pictures come from

    to_k += to_k·R_k        to_v += to_v·R_v        to_out.bias += to_out·to_v·c_v

c_k is not needed: a constant added to every key shifts all scores of a query by the same amount,
and softmax ignores that. A constant added to every value passes through attention unchanged,
because the weights of a query sum to 1. Written to a file, these changes are a LoRA that any loader
reads. In transformers other rules hold, see fold_sites.py.

Shapes: C width of the tokens, D inner width of a block, O its output width.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .fold_sites import SiteWeights, Target, is_held, residuals_at, site_changes
from .residuals import Chain, Residual, chain_widths


@dataclass(frozen=True)
class AttentionWeights:
    """The projections of one attention layer in float32, and the dtype they have in the model.

    name: as in diffusers, "down_blocks.0.attentions.0.transformer_blocks.0.attn1".
    """

    name: str
    keys: Tensor  # (D, C)
    values: Tensor  # (D, C)
    out: Tensor  # (O, D)
    dtype: torch.dtype


def attention_names(weights: Iterable[str]) -> list[str]:
    """The names of the attention layers, from the names of a UNet's weights."""
    matches = (re.fullmatch(r"(.*\.attn[12])\.to_k\.weight", name) for name in weights)
    return [match[1] for match in matches if match]


def weight_changes(
    blocks: Iterable[AttentionWeights | SiteWeights], chain: Chain, *, folded: Chain = ()
) -> Iterator[tuple[Target, Tensor]]:
    """(target, change) for every weight that changes; the change is to be added, and on the CPU.

    folded: the beginning of the chain, if it is already folded into the model. blocks are always
    the original weights. Changes are float32 if the model is, otherwise float16.

    Raises ValueError if a network is not linear, if no width fits, or if a transformer's layer has
    no bias for what a network adds.
    """
    residual = residuals_at(chain, folded)
    held, found, acts = chain_widths(chain), set(), False
    for block in blocks:
        if isinstance(block, SiteWeights):
            found.add(block.site.width)
            if not is_held(chain, block.site):
                continue
            changes: Iterable[tuple[Target, Tensor]] = site_changes(block, chain, residual)
        else:
            found.add(width := block.keys.shape[1])
            if width not in held:
                continue
            sides = (residual(width, side, None) for side in ("k", "v"))
            changes = block_changes(block, *sides).items()
        acts = True
        for name, change in changes:
            yield name, change.to("cpu", as_stored(block.dtype))
    if not acts:
        raise nothing_fits(held, found)


def nothing_fits(held: Iterable[int], found: Iterable[int]) -> ValueError:
    return ValueError(
        f"None of the hypernetwork's widths {list(held)} is one of the model's "
        f"{sorted(found)}. Use the kind of model that it was trained on."
    )


def rounding_note(dtype: torch.dtype) -> str:
    """A warning if weights of this dtype are too coarse for folding; "" otherwise."""
    if dtype.itemsize > 1:
        return ""
    return (
        "The weights of this model have 8 bits each, which rounds what is folded into them: "
        "pictures are near those of Apply Hypernet, and less so the weaker the network is."
    )


def as_stored(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype == torch.float32 else torch.float16


@torch.no_grad()
def block_changes(block: AttentionWeights, keys: Residual, values: Residual) -> dict[str, Tensor]:
    to_k, to_v = block.keys, block.values
    changes = {
        f"{block.name}.to_k.weight": to_k @ keys.matrix.to(to_k),
        f"{block.name}.to_v.weight": to_v @ values.matrix.to(to_v),
    }
    if values.constant.any():
        constant = to_v @ values.constant.to(to_v)
        changes[f"{block.name}.to_out.0.bias"] = block.out @ constant
    return changes
