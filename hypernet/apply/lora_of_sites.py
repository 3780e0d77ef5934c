"""A network folded into a transformer (fold_sites.py), as the tensors of a LoRA.

    diffusion_model.<layer>.diff                                the whole difference of a weight
    diffusion_model.<layer>.lora_up.weight · .lora_down.weight · .alpha
    diffusion_model.<layer>.diff_b                              what its bias takes

Layers have the names of ComfyUI; those of diffusers begin with "transformer". A layer that makes
queries, keys and values has zeros in the rows of all others, unless loaders know its keys and
values by names of their own. A network that is narrow inside has few directions: R = left·right
exactly, and two thin matrices take less than the whole difference.

Shapes: C width of a layer's input, D rows of keys or values, p directions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..network.hypernetwork import Hypernetwork
from ..network.places import Place
from .fold_sites import Residuals, SiteWeights, constant_on, is_held, residuals_at
from .patches import leaves
from .residuals import Linear


@dataclass(frozen=True)
class Thin:
    """The change of some rows of a weight: up (D, p) · down (p, C)."""

    first: int
    up: Tensor
    down: Tensor


def directions(network: Linear, width: int, place: Place | None) -> int:
    """How many directions a network can change there at most."""

    def narrowest(leaf: Hypernetwork) -> int:
        if leaf.spec.pair_at(width, place) is None:
            return 0
        return min(int(width * factor) for factor in leaf.spec.layer_structure)

    return min(width, sum(map(narrowest, leaves(network))))


def factors(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """left (C, p) and right (p, C) whose product is a matrix (C, C) of this rank or less."""
    if rank == len(matrix):
        return matrix, torch.eye(rank, dtype=matrix.dtype)
    chance = torch.Generator().manual_seed(0)
    seen = matrix @ torch.randn(len(matrix), rank, dtype=matrix.dtype, generator=chance)
    left, _ = torch.linalg.qr(seen)
    return left, left.T @ matrix


def lessened(thin: Thin, rank: int) -> Thin:
    """The best approximation of this rank; both its matrices have the same sizes of numbers."""
    left, inner = torch.linalg.qr(thin.up)
    right, outer = torch.linalg.qr(thin.down.T)
    u, s, v = torch.linalg.svd(inner @ outer.T, full_matrices=False)
    root = s[:rank].sqrt()
    return Thin(thin.first, left @ (u[:, :rank] * root), (root[:, None] * v[:rank]) @ right.T)


@torch.no_grad()
def layer_tensors(
    blocks: Iterable[SiteWeights], network: Linear, strength: float, rank: int, dtype: torch.dtype
) -> Iterator[tuple[dict[str, Tensor], float, float]]:
    """For each layer its tensors, and ‖stored − exact‖² and ‖exact‖² of its weight.

    rank: 0 stores what is exact; others the best approximation of keys and of values.

    Raises ValueError as weight_changes does.
    """
    residual, known = residuals_at([(network, strength)]), {}
    for block in blocks:
        site = block.site
        if not is_held([(network, strength)], site):
            continue
        thin = list(thin_changes(block, network, residual, known))
        tensors: dict[str, Tensor] = {}
        error = size = 0.0
        for name, rows, changes in written_apart(block, thin):
            exact = whole(rows, changes)
            less = [lessened(each, rank) for each in changes] if rank else changes
            stored = weight_tensors(rows, less, dtype, always_thin=bool(rank))
            tensors |= {f"{name}.{part}": tensor for part, tensor in stored.items()}
            error += float((as_whole(stored) - exact.cpu()).double().square().sum())
            size += float(exact.double().square().sum())
        constants = bias_tensors(block, network, strength, residual, dtype)
        own = f"{block.prefix}{site.path}"
        yield tensors | {f"{own}.{part}": each for part, each in constants.items()}, error, size


def written_apart(
    block: SiteWeights, thin: Sequence[Thin]
) -> Iterator[tuple[str, Tensor, Sequence[Thin]]]:
    """(name, rows, their changes): the whole layer, or keys and values where loaders tell them."""
    sides = block.site.side
    if sides != "kv" or not all(side in block.parts for side in sides):
        yield f"{block.prefix}{block.site.path}", block.weight, thin
        return
    for side, each in zip(sides, thin, strict=True):
        _, rows = block.rows_of(side)
        yield block.parts[side], rows, [Thin(0, each.up, each.down)]


def as_whole(stored: dict[str, Tensor]) -> Tensor:
    """What a loader makes of the tensors of a weight."""
    if "diff" in stored:
        return stored["diff"].float()
    return stored["lora_up.weight"].float() @ stored["lora_down.weight"].float()


def thin_changes(
    block: SiteWeights, network: Linear, residual: Residuals, known: dict
) -> Iterator[Thin]:
    """The changes of the layer's keys and values. known: factors that were found before."""
    width, place = block.site.width, block.site.place
    for side in block.site.side:
        first, rows = block.rows_of(side)
        found = residual(width, side, place)
        if id(found) not in known:
            known[id(found)] = factors(found.matrix, directions(network, width, place))
        left, right = known[id(found)]
        yield Thin(first, rows @ left.to(rows), right.to(rows))


def whole(weight: Tensor, thin: Sequence[Thin]) -> Tensor:
    change = torch.zeros_like(weight)
    for each in thin:
        change[each.first : each.first + len(each.up)] = each.up @ each.down
    return change


def weight_tensors(
    weight: Tensor, thin: Sequence[Thin], dtype: torch.dtype, *, always_thin: bool
) -> dict[str, Tensor]:
    """One or two matrices, whichever take less. alpha makes a loader's scale 1."""
    (rows, width), rank = weight.shape, sum(len(each.down) for each in thin)
    if not always_thin and rank * (rows + width) >= rows * width:
        return {"diff": as_stored(whole(weight, thin), dtype)}
    up, column = torch.zeros(rows, rank), 0
    for each in thin:
        end = column + len(each.down)
        up[each.first : each.first + len(each.up), column:end] = each.up.cpu()
        column = end
    return {
        "lora_up.weight": as_stored(up, dtype),
        "lora_down.weight": as_stored(torch.cat([each.down for each in thin]), dtype),
        "alpha": torch.tensor(float(rank)),  # float16 has no odd numbers above 2048
    }


def bias_tensors(
    block: SiteWeights, network: Linear, strength: float, residual: Residuals, dtype: torch.dtype
) -> dict[str, Tensor]:
    change = torch.zeros(len(block.weight))
    for side in block.site.side:
        first, rows = block.rows_of(side)
        found = residual(block.site.width, side, block.site.place)
        constant = constant_on(block, [(network, strength)], found, rows)
        if constant is not None:
            change[first : first + len(rows)] = constant.cpu()
    return {"diff_b": as_stored(change, dtype)} if change.any() else {}


def as_stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to("cpu", dtype).contiguous()
