"""Saves a linear network, folded (fold.py), as a LoRA file that any loader reads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from ..atomic_files import write_whole
from .fold import AttentionWeights, nothing_fits, weight_changes
from .fold_sites import SiteWeights
from .lora_of_sites import layer_tensors
from .residuals import Linear


@dataclass(frozen=True)
class Lora:
    """A LoRA's tensors, under the names that loaders know, and their error.

    error: ‖stored − exact‖ / ‖exact‖ over all matrices.
    """

    tensors: dict[str, Tensor]
    error: float
    metadata: dict[str, str]


def to_lora(
    blocks: Iterable[AttentionWeights | SiteWeights],
    network: Linear,
    strength: float = 1.0,
    *,
    rank: int = 0,
    numbers: str = "float16",
) -> Lora:
    """A linear network as a LoRA. Rank 0 stores full differences, others up and down matrices.

    numbers: "float16" or "float32". Raises ValueError if the network is not linear, if no width
    fits, or if a layer of a transformer has no bias for what the network adds.
    """
    dtype = {"float16": torch.float16, "float32": torch.float32}[numbers]
    rest = iter(blocks)
    first = next(rest, None)
    if isinstance(first, SiteWeights):
        return of_transformer(chain([first], rest), network, strength, rank, dtype)
    return of_unet([] if first is None else chain([first], rest), network, strength, rank, dtype)


def of_transformer(
    blocks: Iterable[AttentionWeights | SiteWeights],
    network: Linear,
    strength: float,
    rank: int,
    dtype: torch.dtype,
) -> Lora:
    tensors: dict[str, Tensor] = {}
    error = size = 0.0
    widths: set[int] = set()

    def layers() -> Iterator[SiteWeights]:
        for block in blocks:
            assert isinstance(block, SiteWeights)
            widths.add(block.site.width)
            yield block

    for found, off, whole in layer_tensors(layers(), network, strength, rank, dtype):
        tensors |= found
        error, size = error + off, size + whole
    if not tensors:
        raise nothing_fits(network.spec.widths, widths)
    relative = (error / size) ** 0.5 if size else 0.0
    return Lora(tensors, relative, metadata_of(network, strength, rank, relative, set()))


def of_unet(
    blocks: Iterable[AttentionWeights | SiteWeights],
    network: Linear,
    strength: float,
    rank: int,
    dtype: torch.dtype,
) -> Lora:
    seen: dict[str, AttentionWeights] = {}

    def remembered() -> Iterator[AttentionWeights]:
        for block in blocks:
            assert isinstance(block, AttentionWeights)
            seen[block.name] = block
            yield AttentionWeights(**{**vars(block), "dtype": torch.float32})
            del seen[block.name]

    tensors: dict[str, Tensor] = {}
    error = size = 0.0
    text_widths = set()
    for name, change in weight_changes(remembered(), [(network, strength)]):
        layer, _, kind = str(name).rpartition(".")
        block = seen[layer.rpartition(".to_")[0]]
        if block.name.endswith("attn2"):
            text_widths.add(block.keys.shape[1])
        layer = "lora_unet_" + layer.replace(".", "_")
        if kind == "bias":  # A1111 reads a bias only together with a matrix
            tensors[f"{layer}.diff"] = torch.zeros(block.out.shape, dtype=dtype)
            tensors[f"{layer}.diff_b"] = change.to(dtype)
            continue
        parts = low_rank(change, rank) if rank else {"diff": change}
        parts = {part: tensor.to(dtype).contiguous() for part, tensor in parts.items()}
        tensors |= {f"{layer}.{part}": tensor for part, tensor in parts.items()}
        written = (
            parts["lora_up.weight"].float() @ parts["lora_down.weight"].float()
            if rank
            else parts["diff"].float()
        )
        error += float((written - change).double().square().sum())
        size += float(change.double().square().sum())
    relative = (error / size) ** 0.5 if size else 0.0
    return Lora(tensors, relative, metadata_of(network, strength, rank, relative, text_widths))


def low_rank(change: Tensor, rank: int) -> dict[str, Tensor]:
    """The best approximation of rank r, as up (D, r) · down (r, C). alpha = r makes its scale 1."""
    u, s, v = torch.linalg.svd(change, full_matrices=False)
    rank = min(rank, len(s))
    root = s[:rank].sqrt()
    return {
        "lora_up.weight": u[:, :rank] * root,
        "lora_down.weight": root[:, None] * v[:rank],
        "alpha": torch.tensor(float(rank)),
    }


def metadata_of(
    network: Linear, strength: float, rank: int, error: float, text_widths: set[int]
) -> dict[str, str]:
    """Metadata under kohya's names, without which A1111 assumes SD 1, and our own."""
    origin = {
        "name": network.record.name,
        "step": network.record.step,
        "architecture": network.record.architecture,
        "strength": strength,
        "rank": rank or "full",
        "relative_error": error,
    }
    found = {"ss_output_name": network.record.name, "hypernet": json.dumps(origin)}
    if 2048 in text_widths:
        found["ss_base_model_version"] = "sdxl_base_v1-0"
    if 1024 in text_widths:
        found["ss_v2"] = "True"
    return found


def save_lora(lora: Lora, path: str | os.PathLike) -> Path:
    """Write the file, completely or not at all. Raises FileExistsError if it exists."""
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f'"{path.name}": a LoRA file ends in ".safetensors".')
    if path.exists():
        raise FileExistsError(
            f'"{path}" exists and is kept. Choose another name, or move that file away.'
        )
    content = safetensors.torch.save(lora.tensors, metadata=lora.metadata)
    write_whole(path, lambda file: file.write(content), overwrite=False)
    return path
