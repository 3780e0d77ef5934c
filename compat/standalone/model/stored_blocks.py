"""Reads the attention projections from a model's files, without loading the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from hypernet.apply.fold import AttentionWeights, attention_names

from .block_names import diffusers_name


def read_blocks(checkpoint: Path) -> Iterator[AttentionWeights]:
    """The attention layers of a diffusers folder or a .safetensors file, one after the other.

    Raises FileNotFoundError or ValueError if it is neither.
    """
    with ExitStack() as stack:
        places: dict[str, tuple[Any, str]] = {}  # diffusers' name -> (open file, name in the file)
        for path in weight_files(checkpoint):
            try:
                file = stack.enter_context(safe_open(path, "pt"))
            except SafetensorError as fault:
                raise ValueError(f'"{path}" is damaged: {str(fault)[:200]}.') from fault
            places |= {diffusers_name(name): (file, name) for name in file.keys()}
        names = attention_names(places)
        if not names:
            raise ValueError(f'"{checkpoint}" holds no UNet of Stable Diffusion 1, 2 or XL.')

        def weight(name: str) -> torch.Tensor:
            file, stored = places[name]
            return file.get_tensor(stored).float()

        for name in names:
            yield AttentionWeights(
                name=name,
                keys=weight(f"{name}.to_k.weight"),
                values=weight(f"{name}.to_v.weight"),
                out=weight(f"{name}.to_out.0.weight"),
                dtype=torch.float32,
            )


def weight_files(checkpoint: Path) -> list[Path]:
    if checkpoint.is_file() and checkpoint.suffix == ".safetensors":
        return [checkpoint]
    folder = checkpoint / "unet" if (checkpoint / "unet").is_dir() else checkpoint
    whole = folder / "diffusion_pytorch_model.safetensors"
    found = [whole] if whole.is_file() else sorted(folder.glob("*.safetensors"))
    if not found:
        raise FileNotFoundError(
            f'"{checkpoint}" is neither a diffusers folder with unet/*.safetensors nor a '
            ".safetensors checkpoint."
        )
    return found
