"""The weights of a .safetensors file, and the modules that are made of them.

The file is memory-mapped: a weight is read when it is cast to another dtype, or when it is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

StateDict = Mapping[str, Tensor]
Module = TypeVar("Module", bound=nn.Module)


def open_weights(file: Path) -> dict[str, Tensor]:
    """Raises ValueError with the reason if the file is of another kind or damaged."""
    if file.suffix.lower() != ".safetensors":
        raise ValueError(
            f'"{file}" is not a .safetensors file. Files of other kinds can hold code and are not '
            "read without ComfyUI; convert it to .safetensors."
        )
    try:
        return safetensors.torch.load_file(file)
    except (safetensors.SafetensorError, OSError) as fault:
        raise ValueError(f'"{file}" cannot be read ({fault}); copy it anew.') from fault


def inside(weights: StateDict, prefix: str) -> dict[str, Tensor]:
    """The weights under a prefix, with the prefix removed."""
    return {
        name.removeprefix(prefix): weight
        for name, weight in weights.items()
        if name.startswith(prefix)
    }


def count(weights: StateDict, pattern: str) -> int:
    """How many different numbers, counted from 0, occur in names that match the pattern."""
    matches = (re.match(pattern, name) for name in weights)
    return 1 + max((int(match[1]) for match in matches if match), default=-1)


def build(file: Path, make: Callable[[], Module], weights: StateDict, dtype: torch.dtype) -> Module:
    """A module that uses these weights themselves; no memory is allocated for others."""
    with torch.device("meta"):
        module = make()
    fitting = {name: weight.to(dtype) for name, weight in weights.items()}
    try:
        module.load_state_dict(fitting, assign=True)
    except RuntimeError as fault:
        raise ValueError(
            f'"{file}" does not hold a whole {type(module).__name__}: {fault}. Give another file '
            "of the model."
        ) from fault
    return module
