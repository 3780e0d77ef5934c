"""Which way of teaching a style is better? Trains each on the demo's model, and measures.

The ways (ROWS) learn from the same pictures in the same batches with the same noise, in two styles:
Twemoji, and Fluent's flat pictures of the same 64 names (benchmarks/fluent). What is measured is
in judging.py. Nothing is compared at one point: every way is applied at several strengths, and read
off at equal drift and at equal content.

    python -m benchmarks.quality            train and measure what is missing, then print the tables
    python -m benchmarks.quality --tables   only print them
    python -m benchmarks.quality --only "defaults; LoRA"

Every measurement is a file in out/quality, so it can be stopped and run again at any time, also by
several processes at once. Writes out/quality/quality.md, quality.json and contact sheets.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from filelock import FileLock, Timeout  # torch brings it
from hypernet_pack.compat.standalone.model.checkpoint import load_checkpoint
from hypernet_pack.compat.standalone.model.models import denoiser, encode_pictures, encode_texts
from safetensors.torch import load_file
from torch import Tensor

from demo.drawing import MODEL
from demo.judges import Judges, load_judges, with_weights
from demo.pictures import open_picture, to_tensor
from hypernet.atomic_files import write_whole
from hypernet.seeding import sample_order
from hypernet.training.diffusion import Batch
from hypernet.training.preservation import other_prompts

from . import core_lora, in_comfyui
from .judging import Look, held_out, scores
from .methods import Reached, Recipe, applied, learn
from .tables import write_sheet, write_tables

HERE = Path(__file__).resolve().parent
DEMO = HERE.parent / "demo"
OUT = HERE.parent / "out" / "quality"
STYLES = {"twemoji": DEMO / "pictures", "fluent": HERE / "fluent"}
SEEDS = (0, 1, 2)
STRENGTHS = (0.4, 0.6, 0.8, 1.0, 1.2, 1.4)
FEW = (0.6, 0.8, 1.0, 1.2)
SHOWN = 4  # every so many held-out names are on the contact sheets
PARTS = (0.25, 0.5)  # of the steps; how much has been learnt there?

WIDE = {"widths": (48, 96, 112, 128), "weight_initialization": "ZeroOutput"}
NARROW = WIDE | {"layer_structure": (1, 0.5, 1)}
MISH = WIDE | {"activation": "mish"}
CURVE = {"strength_curve": "0.3: 0.3, 0.7: 1"}  # little while there is much noise
UNPRESERVED = {"preserve": 0.0}
AS_A1111 = WIDE | {"weight_initialization": "Normal"}
ATTENTION = {"rank": 8, "targets": "attention"}


def lora(rate: str, **changes: object) -> Recipe:
    return Recipe(
        settings={
            "steps": 800, "batch_size": 4, "learning_rate": f"cosine {rate} warmup 40",
            "noise_offset": 0.5,
        },
        lora=ATTENTION | changes,
    )  # fmt: skip


# LoRA has the defaults' batches, kind of schedule, noise offset and start, and a rate of its own.
ROWS = {
    "defaults": Recipe(spec=WIDE),
    "LoRA": lora("5e-4"),
    "defaults, 1, 0.5, 1": Recipe(spec=NARROW),
    "defaults, mish": Recipe(spec=MISH),
    "one picture at a time": Recipe(spec=WIDE, settings={"batch_size": 1}),
    **{f"preserve_every {n}": Recipe(spec=WIDE, settings={"preserve_every": n}) for n in (4, 2)},
    "without preserve": Recipe(spec=WIDE, settings=UNPRESERVED),
    "half the rate": Recipe(spec=WIDE, faster=0.5),
    "twice the rate": Recipe(spec=WIDE, faster=2),
    "half the rate, without preserve": Recipe(spec=WIDE, settings=UNPRESERVED, faster=0.5),
    "twice the rate, without preserve": Recipe(spec=WIDE, settings=UNPRESERVED, faster=2),
    "A1111": Recipe(spec=AS_A1111, settings={"preset": "A1111"}, start=0.0),
    "LoRA, all linear": lora("5e-4", targets="all linear"),
    "LoRA, rank 32": lora("5e-4", rank=32),
    "DoRA": lora("5e-4", dora=True),
    **{
        f"LoRA at {rate}": lora(rate)
        for rate in ("6e-5", "1.25e-4", "2.5e-4", "1e-3", "2e-3", "5e-3")
    },
    "core's Train LoRA": Recipe(
        core={"steps": 800, "batch_size": 4, "learning_rate": 5e-4, "rank": 8},  # its defaults
    ),
    "min_snr_gamma 5": Recipe(spec=WIDE, settings={"min_snr_gamma": 5.0}),
    "400 steps": Recipe(spec=WIDE, settings={"steps": 400}),
    "400 steps, preserve_every 2": Recipe(spec=WIDE, settings={"steps": 400, "preserve_every": 2}),
    "400 steps, preserve 3 every 4": Recipe(
        spec=WIDE, settings={"steps": 400, "preserve": 3.0, "preserve_every": 4}
    ),
    "400 steps, without preserve": Recipe(spec=WIDE, settings={"steps": 400} | UNPRESERVED),
    "quick look": Recipe(spec=WIDE, settings={"preset": "quick look"}),
    "2,400 steps": Recipe(spec=WIDE, settings={"steps": 2400}),
    "30 pictures": Recipe(spec=WIDE, pictures=30),
    **{f"{count} pictures": Recipe(spec=WIDE, pictures=count) for count in (10, 5)},
    **{
        f"{count} pictures, curve": Recipe(spec=WIDE, settings=CURVE, pictures=count)
        for count in (10, 5)
    },
}
BOTH_STYLES = (
    "defaults", "LoRA", "defaults, 1, 0.5, 1", "defaults, mish", "preserve_every 4",
    "preserve_every 2", "without preserve", "half the rate", "twice the rate",
    "half the rate, without preserve", "twice the rate, without preserve", "400 steps",
    "400 steps, preserve_every 2", "400 steps, preserve 3 every 4", "400 steps, without preserve",
    "min_snr_gamma 5", "A1111", "core's Train LoRA", "LoRA, all linear", "LoRA, rank 32", "DoRA",
    "LoRA at 6e-5", "LoRA at 1.25e-4", "LoRA at 2.5e-4", "one picture at a time",
)  # fmt: skip
MAIN = ("defaults", "LoRA")  # whole curves
FEW_PICTURES = [f"{count} pictures{way}" for count in (10, 5) for way in ("", ", curve")]
ALL_SEEDS = (
    *MAIN, "400 steps", "400 steps, preserve_every 2", "400 steps, preserve 3 every 4",
    "without preserve", "defaults, 1, 0.5, 1", "LoRA at 1.25e-4", "LoRA at 2.5e-4",
    "one picture at a time", *FEW_PICTURES,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training. Its result is measured at points: (part of the steps, strength)."""

    row: str
    style: str
    seed: int

    @property
    def recipe(self) -> Recipe:
        return ROWS[self.row]

    @property
    def points(self) -> list[tuple[float, float]]:
        main = self.row in MAIN
        found = [(1.0, strength) for strength in (STRENGTHS if main else FEW)]
        if self.recipe.core is not None:  # it tells nothing before the end
            return found
        if not main:
            return found
        if self.seed:  # the ends of the curve say little, and every point takes time
            return found[1:-1]
        return found + [(part, 1.0) for part in PARTS]

    @property
    def file(self) -> Path:
        name = f"{self.style} {self.row} {self.seed}"
        return OUT / f"{name.replace(', ', '-').replace(' ', '_')}.json"


def cells() -> list[Cell]:
    """All cells, the most important first."""
    found = [
        Cell(row=row, style=style, seed=seed)
        for seed in SEEDS
        for style in STYLES
        for row in ROWS
        if (row in BOTH_STYLES or style == "twemoji") and (seed == 0 or row in ALL_SEEDS)
    ]
    return sorted(found, key=lambda cell: cell.row not in MAIN)


def as_key(point: tuple[float, float]) -> str:
    """ "0.5@1": after half of the steps, at strength 1."""
    part, strength = point
    return f"{part:g}@{strength:g}"


class Bench:
    """The model with one style's pictures and judges."""

    def __init__(self, style: str) -> None:
        self.model, self.clip, self.vae = load_checkpoint(MODEL)
        drawing, *_ = load_checkpoint(MODEL)
        if torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
            drawing.module.to(torch.bfloat16)  # three times as fast there
        self.look = Look(model=drawing, clip=self.clip, vae=self.vae)
        self.judges = judges_of(style)
        files = sorted(STYLES[style].glob("*.png"))
        pictures = to_tensor([open_picture(file) for file in files]).movedim(1, -1).float() / 255
        self.latents = torch.cat(
            [encode_pictures(self.vae, each, self.model)[0] for each in pictures.split(16)]
        )
        told = [DEMO / "pictures" / f"{file.stem}.txt" for file in files]
        captions = [file.read_text("utf-8").strip() for file in told]
        self.texts = self.encode(captions)
        self.others = {"context": self.encode(other_prompts(captions))}

    def encode(self, prompts: list[str]) -> Tensor:
        found = [each["context"] for each in encode_texts(self.clip, prompts)]
        return torch.stack([each.reshape(-1, each.shape[-1]) for each in found])

    def batch_at(self, seed: int, pictures: int):
        def batch_at(first: int, number: int) -> Batch:
            rows = sample_order(seed, pictures, first, number)
            return Batch(self.latents[rows], {"context": self.texts[rows]})

        return batch_at

    def train(self, cell: Cell) -> list[dict]:
        recipe = cell.recipe
        if recipe.core is not None:
            settings = dict(recipe.core) | {"seed": cell.seed}
            weights, seconds = core_lora.learn(settings, self.latents, self.texts)
            return [asdict(Reached(1.0, settings["steps"], seconds, weights))]
        batch_at = self.batch_at(cell.seed, recipe.pictures or len(self.latents))
        with denoiser(self.model) as opened:
            reached = learn(
                recipe, cell.seed, self.model, opened, batch_at, self.others, {*PARTS, 1.0}
            )
            return [asdict(each) for each in reached]

    def measure(self, cell: Cell) -> None:
        """Train the cell if that has not been done, and measure what is missing."""
        kept = cell.file.with_suffix(".pt")
        if not kept.exists():
            write_whole(kept, partial(torch.save, self.train(cell)))
        trained = torch.load(kept, weights_only=True)
        found = read(cell)
        found["reached"] = [{k: v for k, v in each.items() if k != "weights"} for each in trained]
        found["bare"] = scores(self.judges, self.look, self.look.plain)
        found["parameters"] = sum(w.numel() for w in trained[-1]["weights"].values())
        for part, strength in cell.points:
            key = as_key((part, strength))
            if key in found["points"]:
                continue
            weights = next(each["weights"] for each in trained if each["part"] == part)
            with applied(cell.recipe, weights, strength, self.look.model) as styled:
                pictures = self.look.draw(styled)
            found["points"][key] = scores(self.judges, self.look, pictures)
            shown = (pictures[: len(held_out()) : SHOWN] * 255).round().byte()
            torch.save(shown, cell.file.with_suffix(f".{key}.pictures"))
            text = json.dumps(found, indent=1) + "\n"
            write_whole(cell.file, lambda file, text=text: file.write(text.encode()))


def judges_of(style: str) -> Judges:
    judges = load_judges()
    if style == "twemoji":
        return judges
    weights = load_file(HERE / style / "judge.safetensors")
    return replace(judges, style_judge=with_weights(3, weights, ""))


def read(cell: Cell) -> dict:
    if cell.file.exists():
        return json.loads(cell.file.read_text("utf-8"))
    return {"row": cell.row, "style": cell.style, "seed": cell.seed, "points": {}}


def is_done(cell: Cell) -> bool:
    return set(map(as_key, cell.points)) <= read(cell)["points"].keys()


def pictures_of(style: str) -> dict[str, Path]:
    """The pictures of every way at strength 1, with the first seed."""
    files = {
        cell.row: cell.file.with_suffix(".1@1.pictures")
        for cell in cells()
        if cell.style == style and cell.seed == SEEDS[0]
    }
    return {row: file for row, file in files.items() if file.exists()}


def names_shown() -> list[str]:
    return [each["caption"] for each in held_out()[::SHOWN]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", action="store_true", help="only print the tables")
    parser.add_argument("--only", default="", help="these rows, separated by semicolons")
    options = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    only = [row.strip() for row in options.only.split(";") if row.strip()]
    benches: dict[str, Bench] = {}
    for cell in [] if options.tables else cells():
        if (only and cell.row not in only) or is_done(cell):
            continue
        if cell.recipe.core is not None and not in_comfyui.folder():
            print(f"COMFYUI_DIR is not set: {cell.row} is not measured.", file=sys.stderr)
            continue
        with suppress(Timeout), FileLock(cell.file.with_suffix(".lock"), blocking=False):
            if cell.style not in benches:
                benches[cell.style] = Bench(cell.style)
            print(f"{cell.row}, {cell.style}, seed {cell.seed}", file=sys.stderr, flush=True)
            benches[cell.style].measure(cell)
    write_tables([read(cell) for cell in cells() if cell.file.exists()], OUT)
    for style in STYLES:
        write_sheet(pictures_of(style), names_shown(), OUT / f"{style}.jpg")


if __name__ == "__main__":
    main()
