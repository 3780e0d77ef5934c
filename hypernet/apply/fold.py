"""Folding: a linear network becomes part of the model's weights and costs nothing per step.

Without activation and layer norm, a network computes x + Rx + c on the input of `to_k` and `to_v`.
There is one R and c per width and side, with the strength included. The same pictures come from

    to_k += to_k·R_k        to_v += to_v·R_v        to_out.bias += to_out·to_v·c_v

c_k is not needed: a constant added to every key shifts all scores of a query by the same amount,
and softmax ignores that. A constant added to every value passes through attention unchanged,
because the weights of a query sum to 1. Written to a file, these changes are a LoRA that any loader
reads.

Shapes: C width of the tokens, D inner width of a block, O its output width.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, reduce

import torch
from torch import Tensor, nn

from ..formats.hns import Leaf, Network, NetworkTree, Part, Sequential

Linear = Network  # one that is linear, see require_linear
Chain = Sequence[tuple[Linear, float]]  # networks with strengths, in the order they act

LINEAR_PARTS = (nn.Linear, nn.Dropout, nn.Identity)


# A linear network as one matrix and one vector


@dataclass(frozen=True)
class Residual:
    """x + matrix·x + constant, in float64: (C, C) and (C,)."""

    matrix: Tensor
    constant: Tensor

    def then(self, other: Residual) -> Residual:
        """The effect of this one followed by the other."""
        a, b = self, other
        return Residual(
            a.matrix + b.matrix + b.matrix @ a.matrix,
            a.constant + b.constant + b.matrix @ a.constant,
        )

    def plus(self, other: Residual, factor: float = 1.0) -> Residual:
        """The effect of both on the same input, added up."""
        return Residual(
            self.matrix + factor * other.matrix, self.constant + factor * other.constant
        )


def nothing(width: int) -> Residual:
    zeros = torch.zeros(width, width + 1, dtype=torch.float64)
    return Residual(zeros[:, 1:], zeros[:, 0])


@torch.no_grad()
def residual_of(network: Linear, width: int, side: str, strength: float = 1.0) -> Residual:
    """The residual of a linear network of any depth on keys ("k") or values ("v") of one width.

    It is found by running the network on zero and on the unit vectors.
    """
    if isinstance(network, NetworkTree):
        return residual_of_part(network, network.part, width, side, strength)
    if width not in network.spec.widths:
        return nothing(width)
    mlp = copy.deepcopy(network.mlp(width, side)).to("cpu", torch.float64).eval()
    constant = mlp(torch.zeros(1, width, dtype=torch.float64))
    columns = mlp(torch.eye(width, dtype=torch.float64)) - constant
    return Residual(columns.T * strength, constant[0] * strength)


def residual_of_part(
    tree: NetworkTree, part: Part, width: int, side: str, strength: float
) -> Residual:
    if isinstance(part, Leaf):
        return residual_of(tree.named(part.name), width, side, strength * part.strength)
    found = [residual_of_part(tree, each, width, side, strength) for each in part.parts]
    if isinstance(part, Sequential):
        return reduce(Residual.then, found)
    total = nothing(width)
    for residual, weight in zip(found, part.weights, strict=True):
        total = total.plus(residual, weight)
    return total


def residual_of_chain(chain: Chain, width: int, side: str) -> Residual:
    """The residual of linear networks that act one after the other."""
    held = [(network, strength) for network, strength in chain if width in network.spec.widths]
    each = (residual_of(network, width, side, strength) for network, strength in held)
    return reduce(Residual.then, each) if held else nothing(width)


def chain_widths(chain: Chain) -> tuple[int, ...]:
    return tuple(sorted({width for network, _ in chain for width in network.spec.widths}))


def nonlinear_parts(network: Linear) -> list[str]:
    """Names of the modules that make the network nonlinear, such as ["ReLU", "LayerNorm"]."""
    leaves = (part for part in network.modules() if not list(part.children()))
    kinds = (type(part).__name__ for part in leaves if not isinstance(part, LINEAR_PARTS))
    return list(dict.fromkeys(kinds))


def require_linear(network: Linear) -> None:
    parts = nonlinear_parts(network)
    if parts:
        raise ValueError(
            f'The hypernetwork "{network.record.name}" cannot be folded into weights: it has '
            f"{' and '.join(parts)}, which no change of weights equals. Only linear networks "
            "without layer norm fold; use Apply Hypernet for this one."
        )


# What changes in a model


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
    blocks: Iterable[AttentionWeights], chain: Chain, *, folded: Chain = ()
) -> Iterator[tuple[str, Tensor]]:
    """(name, change) for every weight that changes; the change is to be added, and on the CPU.

    folded: the beginning of the chain, if it is already folded into the model. blocks are always
    the original weights. Changes are float32 if the model is, otherwise float16.

    Raises ValueError if a network is not linear or no width fits.
    """
    for network, _ in chain:
        require_linear(network)
    held, found = chain_widths(chain), set()

    @cache
    def residual(width: int, side: str) -> Residual:
        return residual_of_chain(chain, width, side).plus(
            residual_of_chain(folded, width, side), -1.0
        )

    for block in blocks:
        width = block.keys.shape[1]
        found.add(width)
        if width not in held:
            continue
        changes = block_changes(block, residual(width, "k"), residual(width, "v"))
        for name, change in changes.items():
            yield name, change.to("cpu", as_stored(block.dtype))
    if not found & set(held):
        raise ValueError(
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
