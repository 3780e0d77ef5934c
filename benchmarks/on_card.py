"""Measures applying and training on a GPU, each ÷ the frozen UNet alone in the same rounds.

UNets of Stable Diffusion 1.5's shape at 512 × 512 and of SDXL's at 1024 × 1024, with random
weights.

applying    a denoising step of batch 2, in float16 and bfloat16: with one, two and four networks,
            with both precisions, folded, and as A1111 does it (float32, each layer by itself)
training    an update: eager, and with cuda_graphs ÷ a bare pass that is recorded the same way; in
            int8, with parts computed twice, offloaded; and a loop like A1111's. With peak memory
agreeing    200 updates with and without cuda_graphs: how far losses are apart
beside      where COMFYUI_DIR names a ComfyUI: its own loader and its Train LoRA, and ours in it

Without a card it goes through the same rows with tiny models, to show that it runs; the numbers
then mean nothing. Writes out/bench/gpu.json and gpu.md.

    python benchmarks/on_card.py [ROUNDS]
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from apply import peers as core_loader
from apply import show, step_of, tell
from hypernet_pack.compat.standalone.model.models import denoiser
from hypernet_pack.compat.standalone.model.patched_model import Model
from hypernet_pack.nodes.use.apply import ApplyHypernet
from hypernet_pack.nodes.use.fold import FoldHypernet
from interleaved import AGAIN, machine, measure, wait_for_card
from shaped import SD15, SDXL, Shape, random_model
from torch import Tensor
from train import a1111, bare, inputs, ours
from train import peers as core_trainer

from hypernet import Hypernetwork
from hypernet.apply.effect import AS_MODEL, EXACT
from hypernet.training.diffusion import Denoiser
from hypernet.training.memory_saving import ALL
from hypernet.training.recording import playable

RESULT = Path(__file__).resolve().parent.parent / "out" / "bench" / "gpu.json"
ROUNDS = 15
COMPARED = 200  # updates
CARD = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
TRAINED = torch.float16 if CARD.type == "cuda" else torch.float32  # the model in training
Step = Callable[[], object]
TABLES = "applying", "training", "agreeing", "beside"


@dataclass(frozen=True)
class Case:
    name: str
    shape: Shape
    side: int  # of latents
    batches: tuple[int, ...]  # to train with

    def named(self, number: int) -> str:
        return f"{self.name} b{number}"


CASES = (Case("SD 1.5 512²", SD15, 64, (1, 4)), Case("SDXL 1024²", SDXL, 128, (1,)))
TINY = {"block_out_channels": (32, 64, 64, 64), "norm_num_groups": 8, "layers_per_block": 1}
TINY_CASES = (
    Case(
        "tiny 64²",
        replace(SD15, widths=(32, 64, 768), unet=SD15.unet | TINY | {"attention_head_dim": 4}),
        8,
        (1, 2),
    ),
)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(f"{machine_with_card()}, {rounds} rounds", flush=True)
    found: dict[str, list[dict]] = {name: [] for name in TABLES}
    for case in CASES if CARD.type == "cuda" else TINY_CASES:
        for dtype in (torch.float16, torch.bfloat16):
            collect(found["applying"], applying(case, dtype, rounds))
        for number in case.batches:
            collect(found["training"], training(case, number, rounds))
        collect(found["agreeing"], [agreeing(case)])
        write(found)
    collect(found["beside"], beside(rounds))
    write(found)
    print(f"→ {RESULT}")


def write(found: dict[str, list[dict]]) -> None:
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine_with_card(), "rows": found}
    RESULT.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    RESULT.with_suffix(".md").write_text(as_markdown(found), "utf-8")


def machine_with_card() -> str:
    if CARD.type != "cuda":
        return f"no card: tiny models on {machine()}"
    return f"{torch.cuda.get_device_name(CARD)}, {machine()}"


def collect(rows: list[dict], found: list[dict]) -> None:
    show([row for row in found if "ratio" in row])
    rows += found
    gc.collect()
    if CARD.type == "cuda":
        torch.cuda.empty_cache()


# --- applying -----------------------------------------------------------------------------------


@torch.inference_mode()
def applying(case: Case, dtype: torch.dtype, rounds: int) -> list[dict]:
    model = random_model(case.shape, CARD, dtype)
    networks = [case.shape.network("relu") for _ in range(4)]
    ways = {
        f"{count} × {precision}": with_networks(model, networks[:count], precision)
        for precision in (EXACT, AS_MODEL)
        for count in (1, 2, 4)
    }
    ways["A1111's way"] = as_a1111(model, networks[0])
    # needs its own UNet, because folding changes the weights while the model is loaded
    other = random_model(case.shape, CARD, dtype)
    ways["folded"] = FoldHypernet.execute(other, case.shape.network("linear"), 1.0)[0]
    name = f"{case.named(2)} {str(dtype).removeprefix('torch.')}"
    with model.loaded(), ways["folded"].loaded():
        return measured(case, model, ways, rounds, name)


def with_networks(model: Model, networks: list[Hypernetwork], precision: str) -> Model:
    for each in networks:
        model = ApplyHypernet.execute(model, each, 1.0, precision=precision)[0]
    return model


def as_a1111(model: Model, network: Hypernetwork) -> Model:
    """In float32, and again in every layer, for the text too."""
    there, patched = network.copy().to(CARD), model.clone()

    def patch(n: Tensor, context: Tensor, value: Tensor, options: object) -> tuple[Tensor, ...]:
        return n, there.keys(context), there.values(value)

    patched.set_model_attn1_patch(patch)
    patched.set_model_attn2_patch(patch)
    return patched


def measured(
    case: Case, model: Model, ways: dict[str, Model], rounds: int, name: str
) -> list[dict]:
    at = case.shape, case.side, CARD
    steps = {f"{what}, {name}": step_of(each, *at) for what, each in ways.items()}
    for each in ways.values():  # their patches go to the card with the model
        for patches in each.model_options["transformer_options"].get("patches", {}).values():
            for place, patch in enumerate(patches):
                patches[place] = patch.to(CARD) if hasattr(patch, "to") else patch
    rows = measure(step_of(model, *at), steps, rounds, tell)
    return [named(row, name) for row in rows]


def named(row: dict, name: str) -> dict:
    """The bare step is in all tables, so it gets the name of its own."""
    return row | {"what": f"{row['what']}, {name}"} if row["what"] == AGAIN else row


# --- training -----------------------------------------------------------------------------------

WAYS: dict[str, dict] = {
    "ours, eager": {},
    "ours, cuda_graphs": {"cuda_graphs": True},
    "ours, checkpointing": {"checkpointing": "on"},
}


def training(case: Case, number: int, rounds: int) -> list[dict]:
    model, rows = random_model(case.shape, CARD, TRAINED), []
    name, at = case.named(number), (case.side, case.shape, number)
    with denoiser(model) as unet:
        ways = {f"{way}, {name}": ours(unet, *at, **given) for way, given in WAYS.items()}
        ways |= {
            f"A1111's loop, {name}": a1111(unet, *at),
            f"bare, recorded, {name}": recorded(unet, *at),
        }
        rows += with_peaks(bare(unet, *at), ways, rounds, name)
    for way, how in {"int8": {"dtype": torch.int8}, "offload": {"swapped": ALL}}.items():
        with denoiser(model, **how) as unet:
            ways = {f"ours, {way}, {name}": ours(unet, *at)}
            rows += with_peaks(bare(unet, *at), ways, rounds, f"{name}, {way}")
    return rows


def recorded(unet: Denoiser, side: int, shape: Shape, number: int) -> Step:
    """The bare pass as a CUDA graph."""
    noisy, noise, timesteps, condition = inputs(unet, side, shape, number)
    noisy.requires_grad_(True)
    noisy.grad = torch.zeros_like(noisy)

    def run() -> None:
        F.mse_loss(unet.predict(noisy, timesteps, condition, None).float(), noise).backward()

    run()
    return playable(run, unet.device)


def with_peaks(bare_step: Step, ways: dict[str, Step], rounds: int, name: str) -> list[dict]:
    """Rows with the GiB that are taken at most in one step, the model included."""
    for step in ways.values():
        for _ in range(5):  # recordings are made in the first few
            step()
    rows = measure(bare_step, ways, rounds, tell)
    for row in rows:
        if CARD.type == "cuda":
            with peak_of(row):
                (bare_step if row["what"] == AGAIN else ways[row["what"]])()
    return [named(row, name) for row in rows]


@contextmanager
def peak_of(row: dict) -> Iterator[None]:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(CARD)
    yield
    wait_for_card()
    row["peak_gib"] = round(torch.cuda.max_memory_allocated(CARD) / 2**30, 2)


def agreeing(case: Case) -> dict:
    """How far the losses of recorded updates are from those of eager ones, at most."""
    model = random_model(case.shape, CARD, TRAINED)
    losses = []
    with denoiser(model) as unet:
        for graphs in (False, True):
            step = ours(unet, case.side, case.shape, 1, cuda_graphs=graphs, learning_rate="1e-5")
            losses.append([step().loss for _ in range(COMPARED)])
    apart = max(abs(a - b) / abs(a) for a, b in zip(*losses, strict=True))
    print(f"{case.name}: recorded and eager losses are {apart:.2g} apart at most", flush=True)
    return {"what": f"{case.name}, {COMPARED} updates", "apart": apart}


def beside(rounds: int) -> list[dict]:
    """What core does in ComfyUI, and what ours does there."""
    side = CASES[0].side if CARD.type == "cuda" else TINY_CASES[0].side
    rows = []
    for peers in (core_loader, core_trainer):
        try:
            rows += peers(rounds, side, CARD)
        except subprocess.CalledProcessError as failed:  # it has said why; other rows stay
            print(f"It ended with {failed.returncode}, so it is not measured.", flush=True)
    return rows


def as_markdown(found: dict[str, list[dict]]) -> str:
    lines = [f"# On a card\n\nBy `make bench-gpu`: {machine_with_card()}.\n"]
    for title, rows in found.items():
        lines += [f"## {title}\n", "| what | seconds | ÷ bare | GiB |", "|---|---|---|---|"]
        for row in rows:
            cells = [
                row.get("seconds", ""),
                row.get("ratio", row.get("apart", "")),
                row.get("peak_gib", ""),
            ]
            lines.append(f"| {row['what']} | {' | '.join(map(str, cells))} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
