"""Measures what training costs: one update ÷ forward and backward pass of the frozen UNet alone.

The UNet has Stable Diffusion 1.5's shape and random weights; the batch size is 1, in float32, at
256 × 256 pixels. Ours is compared with the plain way, in which every layer calls the network for
its own keys and values. on_card.py measures on a GPU.

Writes out/bench/train.json and prints the table.

    python benchmarks/train.py [ROUNDS]
    COMFYUI_DIR=… COMFYUI_PYTHON=… python benchmarks/train.py    also measures core's Train LoRA
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import in_comfyui
import torch
import torch.nn.functional as F
from apply import CPU, show, tell
from hypernet_pack.compat.standalone.model.models import denoiser
from interleaved import machine, measure
from shaped import SD15, Shape, random_model
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from hypernet import Hypernetwork
from hypernet.apply.training_network import TrainingNetwork
from hypernet.training.diffusion import Batch, Denoiser, add_noise
from hypernet.training.learner import Learner
from hypernet.training.settings import TrainSettings
from hypernet.training.train import train

HERE = Path(__file__).resolve().parent
RESULT = HERE.parent / "out" / "bench" / "train.json"
ROUNDS = 7
SETTINGS = TrainSettings(steps=1_000_000, learning_rate="1e-6")
Step = Callable[[], object]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(f"{machine()}, {rounds} rounds", flush=True)
    show(theirs := peers(rounds))  # first, because it needs 18 GB
    with denoiser(random_model(SD15)) as unet:
        ways = {"ours 256² b1": ours(unet, 32), "plain per layer 256² b1": plain(unet, 32)}
        rows = measure(bare(unet, 32), ways, rounds, tell)
    show(rows)
    rows += theirs
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine(), "rows": rows}
    RESULT.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"→ {RESULT}")


def peers(rounds: int, side: int = 32, device: torch.device = CPU) -> list[dict]:
    """Rows for core's Train LoRA and ours in ComfyUI, if COMFYUI_DIR names one."""
    if not in_comfyui.folder():
        print("COMFYUI_DIR is not set: core's Train LoRA is not measured.")
        return []
    checkpoint = Path(tempfile.gettempdir()) / "hypernet-live-tests" / "sd15-random.safetensors"
    if not checkpoint.is_file():  # about 2 GB; it is kept, and tests/live uses it too
        in_comfyui.output_of(HERE.parent / "tests" / "live" / "write_checkpoint.py", checkpoint)
    # Without MALLOC_ settings, freed memory is returned. Otherwise three UNets need over 24 GB.
    calm = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    given = HERE.parent, checkpoint, rounds, side, device.type
    return in_comfyui.result_of("train_in_comfyui.py", *given, env=calm)


def batches(side: int, shape: Shape, number: int = 1) -> Callable[[int, int], Batch]:
    chance = torch.Generator().manual_seed(1)
    latents = torch.randn(number, 4, side, side, generator=chance)
    condition = {
        key: each.expand(number, *each.shape[1:]) for key, each in shape.condition(chance).items()
    }
    return lambda first, number: Batch(latents, condition)


def network(unet: Denoiser, shape: Shape) -> Hypernetwork:
    return shape.network().to(unet.device)


def inputs(
    unet: Denoiser, side: int, shape: Shape, number: int
) -> tuple[Tensor, Tensor, Tensor, dict]:
    """(latents, noise, timesteps, condition), on the device."""
    batch = batches(side, shape, number)(0, number)
    noise = torch.randn(batch.latents.shape)
    timesteps = torch.full((number,), 500)
    noisy = add_noise(batch.latents, noise, unet.levels.at(timesteps))
    condition = {key: value.to(unet.device) for key, value in batch.condition.items()}
    noisy = noisy.to(unet.device, unet.dtype)
    return noisy, noise.to(unet.device), timesteps.to(unet.device), condition


def bare(unet: Denoiser, side: int, shape: Shape = SD15, number: int = 1) -> Step:
    """A forward and backward pass without a network."""

    def step() -> object:
        noisy, noise, timesteps, condition = inputs(unet, side, shape, number)
        found = unet.predict(noisy.requires_grad_(True), timesteps, condition, None)
        loss = F.mse_loss(found.float(), noise)
        loss.backward()
        return loss.item()

    return step


def ours(
    unet: Denoiser, side: int, shape: Shape = SD15, number: int = 1, **settings: object
) -> Step:
    chosen = replace(SETTINGS, batch_size=number, **settings)
    learner = Learner(network(unet, shape), chosen)
    steps = train(learner, unet, batches(side, shape, number))

    def step() -> object:
        done = next(steps)
        for note in done.notes:
            print(note, flush=True)
        return done

    return step


def plain(unet: Denoiser, side: int, shape: Shape = SD15, number: int = 1) -> Step:
    """A training step in the most obvious way."""
    trained = network(unet, shape).train()
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-6)
    acting = TrainingNetwork(trained)

    def step() -> object:
        noisy, noise, timesteps, condition = inputs(unet, side, shape, number)
        found = unet.predict(noisy, timesteps, condition, acting)
        loss = F.mse_loss(found.float(), noise)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step


def a1111(unet: Denoiser, side: int, shape: Shape = SD15, number: int = 1) -> Step:
    """The plain step with autocast, a scaler, checkpointing and unfused attention, as A1111 does.

    It does not clip gradients, which is A1111's default.
    """
    trained = network(unet, shape).train()
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-6)
    scaler = torch.amp.GradScaler(unet.device.type)
    acting = TrainingNetwork(trained)
    checkpointed = unet.checkpointed or nullcontext

    def step() -> object:
        noisy, noise, timesteps, condition = inputs(unet, side, shape, number)
        with checkpointed(), sdpa_kernel(SDPBackend.MATH):
            with torch.autocast(unet.device.type, torch.float16):
                found = unet.predict(noisy, timesteps, condition, acting)
                loss = F.mse_loss(found.float(), noise)
            scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step


if __name__ == "__main__":
    main()
