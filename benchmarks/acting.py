"""Lets what was trained act from a part of sampling on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from hypernet_pack.compat.standalone.model.patched_model import Model
from torch import nn


@contextmanager
def switched_at(model: Model, start: float, switch: Callable[[bool], None]) -> Iterator[None]:
    """Inside the block, switch(is it past this part of sampling?) is called before each step."""
    levels = model.get_model_object("model_sampling")
    sigma = torch.tensor(min(levels.percent_to_sigma(start), float(levels.sigma_max)))
    first = int(levels.timestep(sigma))  # they fall

    def choose(module: nn.Module, inputs: tuple, named: dict) -> None:
        timestep = named["timestep"] if "timestep" in named else inputs[1]
        switch(int(timestep.flatten()[0]) <= first)

    hook = model.module.register_forward_pre_hook(choose, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
