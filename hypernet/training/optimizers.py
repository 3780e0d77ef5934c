"""The optimizers: how each is built, and which learning rates it needs.

A rate that suits one optimizer does not suit another, so each row has a factor on AdamW's. Some
come in packages of their own, which are imported only when that optimizer is chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..network.vocabulary import nearest


@dataclass(frozen=True)
class Kind:
    """An optimizer: where its class is, its arguments, and the rates that are usual."""

    package: str
    class_name: str
    install: str  # what pip installs
    factor: float | None  # on AdamW's rate; None: it finds the rate itself, and gets factors on it
    about: str
    arguments: dict[str, Any] = field(default_factory=dict)
    on_cuda: dict[str, Any] = field(default_factory=dict)  # more of them, there


OPTIMIZERS = {
    "AdamW": Kind(
        "torch.optim", "AdamW", "torch", 1.0, "A1111's; people's recipes mean this one",
        on_cuda={"fused": True},  # one kernel, which does not wait to hear of overflows
    ),
    "AdamW 8-bit": Kind(
        "bitsandbytes.optim", "AdamW8bit", "bitsandbytes", 1.0,
        "AdamW with a quarter of its memory; the rates of AdamW",
    ),
    "Adafactor": Kind(
        "torch.optim", "Adafactor", "torch>=2.5", 100.0,
        "almost no memory; the rate is relative to a weight's size, so about 100 times AdamW's",
    ),
    "Lion": Kind(
        "lion_pytorch", "Lion", "lion-pytorch", 0.2,
        "half of AdamW's memory; 3 to 10 times less rate and more weight decay than AdamW",
    ),
    "Prodigy": Kind(
        "prodigyopt", "Prodigy", "prodigyopt", None,
        "finds the rate itself; the schedule is a factor on it, so give 1 or a curve from 1",
        {"use_bias_correction": True, "safeguard_warmup": True},
    ),
}  # fmt: skip


def optimizer_fault(name: str) -> str:
    """What is wrong with this name; "" if it is a known optimizer."""
    if name in OPTIMIZERS:
        return ""
    return f'Optimizer "{name}" is not known. Nearest: {nearest(name, OPTIMIZERS)}.'


def missing_package(name: str) -> str:
    """Why a known optimizer cannot be used here, and what to do; "" if it can."""
    kind = OPTIMIZERS[name]
    top = kind.package.partition(".")[0]
    if find_spec(top) and (top != "torch" or hasattr(import_module(kind.package), kind.class_name)):
        return ""
    return (
        f'Optimizer "{name}" needs the package {kind.install}, which is not installed. Install it '
        f'with: pip install "{kind.install}", or choose AdamW.'
    )


def build_optimizer(
    name: str, parameters: Iterable[nn.Parameter], weight_decay: float
) -> Optimizer:
    """The optimizer, at rate 0; training sets the rate before each update.

    Raises ValueError when the name is not known, and ModuleNotFoundError, saying what to install,
    when its package is missing.
    """
    if fault := optimizer_fault(name):
        raise ValueError(fault)
    if fault := missing_package(name):
        raise ModuleNotFoundError(fault)
    kind = OPTIMIZERS[name]
    made, parameters = getattr(import_module(kind.package), kind.class_name), list(parameters)
    on_cuda = all(weight.device.type == "cuda" for weight in parameters)
    arguments = kind.arguments | (kind.on_cuda if on_cuda else {})
    # some optimizers refuse to be built with a rate of 0
    optimizer = made(parameters, lr=1.0, weight_decay=weight_decay, **arguments)
    set_rate(optimizer, 0.0)
    return optimizer


def set_rate(optimizer: Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def rate_in_use(optimizer: Optimizer) -> float:
    """The rate of the last update. Prodigy multiplies the given rate by its own estimate, `d`."""
    group = optimizer.param_groups[0]
    return float(group["lr"]) * float(group.get("d", 1.0))


def gradient_norm(network: nn.Module) -> Tensor:
    """The norm of all gradients together, (); 0 if there are none."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    if not gradients:
        return torch.zeros((), device=next(network.parameters()).device)
    # torch has no public name for the norms of many tensors in one call
    norms = torch._foreach_norm(gradients)  # pyright: ignore[reportPrivateImportUsage]
    return torch.stack(norms).norm()
