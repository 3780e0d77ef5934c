"""The part of train.py that runs in ComfyUI's interpreter. Its last line has the rows as JSON.

Core's Train LoRA runs its whole loop in one call. So it runs on a thread that waits before each
step, and steps can be measured in turns. It trains a LoRA of its default rank, without
checkpointing and with it, which is its default; in float32 like ours, and on a card in bfloat16,
its default.

    python train_in_comfyui.py COMFYUI_DIR REPOSITORY CHECKPOINT ROUNDS SIDE DEVICE

SIDE: of the latents.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from apply_in_comfyui import load_pack
from interleaved import AGAIN, measure

OURS = "ours in ComfyUI"
CORES = {"core's Train LoRA": False, "core's Train LoRA, its default": True}


def main() -> None:
    comfyui, repository, checkpoint, rounds, side, device = sys.argv[1:]
    sys.path.insert(0, comfyui)
    from comfy.cli_args import args

    args.cpu = device == "cpu"
    import comfy.sd
    import folder_paths  # noqa: F401  by this module the pack recognizes ComfyUI

    host = load_pack(Path(repository)).compat
    with torch.inference_mode():
        model, *_ = comfy.sd.load_checkpoint_guess_config(
            checkpoint, output_vae=False, output_clip=False
        )
    rows: list[dict] = []
    size = f"{int(side) * 8}² b1"
    with host.denoiser(model) as unet:
        latents = torch.randn(1, 4, int(side), int(side))
        text = torch.randn(1, 77, 768)
        ours = step_of_ours(unet, latents, text)
        for what, checkpoints in CORES.items():  # not at the same time: each has its own UNet
            dtype = "fp32" if device == "cpu" else "bf16"
            core = TrainLora(model, latents, text, checkpoints, dtype)
            ways = {} if rows else {f"{OURS} {size}": ours}
            ways[f"{what} {size}"] = core.step
            found = measure(step_of_bare(unet, latents, text), ways, int(rounds), tell)
            rows += [row for row in found if row["what"] != AGAIN]
            core.end()
    print(json.dumps(rows))


def tell(done: int) -> None:
    print(f"round {done}", file=sys.stderr, flush=True)


def step_of_bare(unet, latents: torch.Tensor, text: torch.Tensor):
    noise, timesteps = latents.to(unet.device), torch.tensor([500], device=unet.device)
    condition = {"context": text.to(unet.device)}

    def step() -> float:
        noisy = noise.to(unet.dtype, copy=True).requires_grad_(True)
        found = unet.predict(noisy, timesteps, condition, None)
        loss = F.mse_loss(found.float(), noise)
        loss.backward()
        return loss.item()

    return step


def step_of_ours(unet, latents: torch.Tensor, text: torch.Tensor):
    from hypernet import HypernetSpec, Hypernetwork
    from hypernet.training.diffusion import Batch
    from hypernet.training.learner import Learner
    from hypernet.training.settings import TrainSettings
    from hypernet.training.train import train

    spec = HypernetSpec(layer_structure=(1, 2, 1), activation="relu")
    settings = TrainSettings(steps=1_000_000, learning_rate="1e-6")
    batch = Batch(latents, {"context": text})
    learner = Learner(Hypernetwork(spec).to(unet.device), settings)
    steps = train(learner, unet, lambda first, number: batch)
    return lambda: next(steps)


class TrainLora:
    """Core's Train LoRA node, run one step at a time."""

    def __init__(
        self, model, latents: torch.Tensor, text: torch.Tensor, checkpoints: bool, dtype: str
    ):
        import comfy_extras.nodes_train as core

        self._go, self._there = threading.Semaphore(0), threading.Semaphore(0)
        self._ends, self._fault = False, None
        self._inputs = {
            "model": model, "latents": {"samples": latents}, "positive": [[text, {}]],
            "batch_size": 1, "steps": 1_000_000, "grad_accumulation_steps": 1,
            "learning_rate": 1e-6, "rank": 8, "optimizer": "AdamW", "loss_function": "MSE",
            "seed": 0, "training_dtype": dtype, "lora_dtype": dtype, "quantized_backward": False,
            "algorithm": "LoRA", "gradient_checkpointing": checkpoints, "checkpoint_depth": 1,
            "offloading": False, "existing_lora": "[None]", "bucket_mode": False,
            "bypass_mode": False,
        }  # fmt: skip
        core.trange = lambda total, **_: Steps(self)
        self._thread = threading.Thread(target=self._run, args=(core.TrainLoraNode,))
        self._thread.start()
        self._there.acquire()

    def _run(self, node) -> None:
        try:
            with torch.inference_mode():
                node.execute(**{name: [value] for name, value in self._inputs.items()})
        except Exception as fault:
            self._fault = fault
        self._there.release()

    def wait(self) -> bool:
        """Called on the thread before every step. Returns whether there is another one."""
        self._there.release()
        self._go.acquire()
        return not self._ends

    def step(self) -> None:
        self._go.release()
        self._there.acquire()
        if self._fault is not None:
            raise RuntimeError("core's Train LoRA failed") from self._fault

    def end(self) -> None:
        self._ends = True
        self.step()
        self._thread.join()


class Steps:
    """Takes the place of the progress bar in core's loop."""

    def __init__(self, training: TrainLora):
        self._training = training

    def __iter__(self) -> Iterator[int]:
        number = 0
        while self._training.wait():
            yield number
            number += 1

    def set_postfix(self, *_: object, **__: object) -> None:
        pass


if __name__ == "__main__":
    main()
