"""The training loop for the parts of the tiny model. It can be stopped and resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# On CPUs with AVX-512 bfloat16 is fast; on others it is ten times slower than float32.
HALF = DEVICE == "cuda" or torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def learn(
    nets: nn.Module,
    loss: Callable[[int], Tensor],
    *,
    steps: int,
    peak: float,
    state: Path,
    weight_decay: float = 0.0,
    every: int = 250,
    decay: int | None = None,
) -> None:
    """Train with AdamW on loss(step), by a warmup and a cosine schedule.

    With `decay`, the rate stays at its peak until the last `decay` steps, in which it falls to zero
    (trapezoid). Then a run can be ended early or made longer: start it again with other `steps`.

    Afterwards `nets` hold the average of their last states. Training resumes from the file `state`,
    so it may be stopped at any time.
    """
    average = torch.optim.swa_utils.AveragedModel(nets, multi_avg_fn=follow)
    optimizer = torch.optim.AdamW(
        nets.parameters(), peak, betas=(0.9, 0.99), weight_decay=weight_decay, fused=True
    )
    parts = {"nets": nets, "average": average, "optimizer": optimizer}
    start = 0
    if state.exists():
        saved = torch.load(state, map_location=DEVICE, weights_only=True)
        start = saved.pop("step")
        for name, part in parts.items():
            part.load_state_dict(saved[name])
    began, total = time.time(), 0.0
    for step in range(start, steps):
        rate = trapezoid(step, steps, peak, decay) if decay else cosine(step, steps, peak)
        optimizer.param_groups[0]["lr"] = rate
        found = loss(step)
        optimizer.zero_grad(set_to_none=True)
        found.backward()
        nn.utils.clip_grad_norm_(nets.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(nets)
        total += found.item()
        if (step + 1) % every == 0 or step + 1 == steps:
            save(state, {name: part.state_dict() for name, part in parts.items()}, step + 1)
            seen = (step - start) % every + 1
            pace = (step + 1 - start) / (time.time() - began)
            print(f"{step + 1}/{steps} loss {total / seen:.4f} {pace:.2f}/s", flush=True)
            total = 0.0
    nets.load_state_dict(average.module.state_dict())
    nets.eval()


def save(path: Path, state: dict, step: int) -> None:
    beside = path.with_suffix(".new")
    torch.save(state | {"step": step}, beside)
    beside.replace(path)


def cosine(step: int, steps: int, peak: float, warmup: int = 300) -> float:
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))))


def trapezoid(step: int, steps: int, peak: float, decay: int, warmup: int = 300) -> float:
    return peak * min(1.0, (step + 1) / warmup, (steps - step) / decay)


@torch.no_grad()
def follow(average: list[Tensor], now: list[Tensor], count: Tensor) -> None:
    """Average over about the last ninth of the steps, so that the first ones are soon forgotten."""
    torch._foreach_lerp_(average, now, 1 - min(0.9995, (1 + int(count)) / (10 + int(count))))
