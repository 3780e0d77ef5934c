"""The activations and initializations that A1111's hypernetwork files name, and what they mean.

A1111 takes its activations from torch.nn.modules.activation, so these are torch's modules with
default arguments and lower-case names. The surprise: "swish" is Hardswish, not SiLU.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn


class ImplicitDimension(nn.Module):
    """Softmax and its relatives without a given dimension, as A1111 creates them.

    torch then runs them over the *batch* of a (B, T, C) tensor. Such files exist, so they are
    supported, but nobody should make more.
    """

    def __init__(self, function: Callable[[torch.Tensor, int], torch.Tensor]):
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x, 0 if x.ndim in (0, 1, 3) else 1)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "leakyrelu": nn.LeakyReLU,
    "elu": nn.ELU,
    "swish": nn.Hardswish,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "celu": nn.CELU,
    "gelu": nn.GELU,
    "hardshrink": nn.Hardshrink,
    "hardsigmoid": nn.Hardsigmoid,
    "hardswish": nn.Hardswish,
    "hardtanh": nn.Hardtanh,
    "logsigmoid": nn.LogSigmoid,
    "logsoftmax": lambda: ImplicitDimension(torch.log_softmax),
    "mish": nn.Mish,
    "prelu": nn.PReLU,
    "rrelu": nn.RReLU,
    "relu6": nn.ReLU6,
    "selu": nn.SELU,
    "silu": nn.SiLU,
    "softmax": lambda: ImplicitDimension(torch.softmax),
    "softmax2d": nn.Softmax2d,
    "softmin": lambda: ImplicitDimension(lambda x, dim: torch.softmax(-x, dim)),
    "softplus": nn.Softplus,
    "softshrink": nn.Softshrink,
    "softsign": nn.Softsign,
    "tanhshrink": nn.Tanhshrink,
}

# A1111 lists them, but no network can be built with them. The reason completes the error message.
UNUSABLE_ACTIVATIONS = {
    "glu": "it halves the width",
    "threshold": "it needs arguments that the file format does not hold",
    "multiheadattention": "it is no activation and needs arguments that the format does not hold",
}

# Their slope at 0 is 0, so no gradient reaches layers before them whose output is 0.
FLAT_AT_ZERO = ("relu", "relu6", "hardshrink", "softshrink", "tanhshrink")

Fill = Callable[[torch.Tensor, torch.Generator | None], object]

NORMAL = "Normal"  # A1111's default
ZERO_OUTPUT = "ZeroOutput"

# Xavier has gain 1. For Kaiming, A1111 passes "leakyrelu" with a slope of 0, and "relu" for all
# other activations; the gain is √2 either way. Biases are zero.
INITIALIZATIONS: dict[str, Fill] = {
    NORMAL: lambda weight, generator: nn.init.normal_(weight, 0.0, 0.01, generator=generator),
    "KaimingUniform": lambda weight, generator: nn.init.kaiming_uniform_(
        weight, nonlinearity="relu", generator=generator
    ),
    "KaimingNormal": lambda weight, generator: nn.init.kaiming_normal_(
        weight, nonlinearity="relu", generator=generator
    ),
    "XavierUniform": lambda weight, generator: nn.init.xavier_uniform_(weight, generator=generator),
    "XavierNormal": lambda weight, generator: nn.init.xavier_normal_(weight, generator=generator),
    # Our own; A1111 accepts the unknown name. The last layer becomes 0 (hypernetwork.py), as in
    # LoRA, so the new network changes nothing. The layers before it keep unit variance.
    ZERO_OUTPUT: lambda weight, generator: nn.init.normal_(
        weight, 0.0, weight.shape[1] ** -0.5, generator=generator
    ),
}


def close(word: str, words: Iterable[str]) -> list[str]:
    """Up to three of the words, the most similar first; empty if none is similar."""
    return difflib.get_close_matches(word, list(words), n=3, cutoff=0.5)


def nearest(word: str, words: Iterable[str]) -> str:
    """The known words most similar to this one, or all if none is, for an error message."""
    words = list(words)
    return ", ".join(close(word, words) or words)


def nearest_file(name: str, files: Sequence[str]) -> str:
    """The end of an error message about a missing file: which names are similar."""
    return f"Nearest: {nearest(name, files)}." if files else "Nearest: the folder is empty."
