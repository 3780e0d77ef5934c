"""Measures what a hypernetwork costs while generating: a denoising step with it ÷ one without.

The UNet has Stable Diffusion 1.5's shape and random weights. It denoises 256 × 256 pixels in a
batch of 2 (the two halves of a guided step), in float32 on the CPU; and in bfloat16, with both
precisions. ComfyUI's own loader runs in a process of its own, and is compared with a bare step in
that process. Writes out/bench/apply.json and prints the table.

    python benchmarks/apply.py [ROUNDS]
    COMFYUI_DIR=… COMFYUI_PYTHON=… python benchmarks/apply.py    also measures core's loader
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import in_comfyui
import torch
from hypernet_pack.compat.standalone.model.patched_model import Model
from hypernet_pack.nodes.use.apply import ApplyHypernet
from hypernet_pack.nodes.use.fold import FoldHypernet
from interleaved import machine, measure
from shaped import SD15, TEXT_TOKENS, Shape, random_model

from hypernet import save_network
from hypernet.apply.effect import PRECISIONS

HERE = Path(__file__).resolve().parent
RESULT = HERE.parent / "out" / "bench" / "apply.json"
SIZE = "256² b2"
ROUNDS = 7
CPU = torch.device("cpu")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(f"{machine()}, {rounds} rounds", flush=True)
    with torch.inference_mode():
        model = random_model(SD15)
        # needs its own UNet, because folding changes the weights while the model is loaded
        folded = FoldHypernet.execute(random_model(SD15), SD15.network("linear"), 1.0)[0]
        models = applied(model) | {"folded linear [1,2,1]": folded}
        ways = {f"{what} {SIZE}": step_of(patched) for what, patched in models.items()}
        with folded.loaded():
            rows = measure(step_of(model), ways, rounds, tell)
        del model, models, folded, ways
        rows += in_bfloat16(rounds)
    show(rows)
    show(theirs := peers(rounds))
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine(), "rows": rows + theirs}
    RESULT.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"→ {RESULT}")


def show(rows: list[dict]) -> None:
    for row in rows:
        times = f"{row['seconds']:8.3f} s ÷ {row['bare_seconds']:.3f} s"
        print(f"{row['what']:42} {times} = {row['ratio']:.3f}", flush=True)


def tell(done: int) -> None:
    print(f"round {done}", file=sys.stderr)


def applied(model: Model) -> dict[str, Model]:
    """For each row, the model with networks applied by Apply Hypernet."""
    return {
        "relu [1,2,1]": ApplyHypernet.execute(model, SD15.network("relu"), 1.0)[0],
        "linear [1,2,1]": ApplyHypernet.execute(model, SD15.network("linear"), 1.0)[0],
        "strength 0": ApplyHypernet.execute(model, SD15.network("relu"), 0.0)[0],
    }


def in_bfloat16(rounds: int) -> list[dict]:
    model = random_model(SD15)
    model.module.bfloat16()
    network = SD15.network("relu")
    ways = {
        f"bfloat16, {precision} {SIZE}": step_of(
            ApplyHypernet.execute(model, network, 1.0, precision=precision)[0]
        )
        for precision in PRECISIONS
    }
    return measure(step_of(model), ways, rounds, tell)


def step_of(
    model: Model, shape: Shape = SD15, side: int = 32, device: torch.device = CPU
) -> Callable[[], object]:
    """A step of batch 2 that calls the model as a sampler does, with the text as a new tensor each
    time. side: of the latents."""
    chance = torch.Generator().manual_seed(1)
    latents = torch.randn(2, 4, side, side, generator=chance).to(device)
    text = torch.randn(2, TEXT_TOKENS, shape.text_width, generator=chance).to(device)
    told = {
        key: each.expand(2, -1).to(device)
        for key, each in shape.condition(chance).items()
        if key != "context"
    }
    sigma = torch.tensor([3.0], device=device)

    def step() -> object:
        options = model.model_options["transformer_options"]
        return model.model.apply_model(
            latents,
            sigma.expand(2),
            c_crossattn=text.clone(),
            transformer_options={**options, "sigmas": sigma, "cond_or_uncond": [1, 0]},
            **told,
        )

    return step


def peers(rounds: int, side: int = 32, device: torch.device = CPU) -> list[dict]:
    """Rows for core's loader and our node in a real ComfyUI, if COMFYUI_DIR names one."""
    if not in_comfyui.folder():
        print("COMFYUI_DIR is not set: core's loader is not measured.")
        return []
    with tempfile.TemporaryDirectory() as place:
        file = save_network(SD15.network("relu"), Path(place) / "relu.pt")
        return in_comfyui.result_of(
            "apply_in_comfyui.py", HERE.parent, file, rounds, side, device.type
        )


if __name__ == "__main__":
    main()
