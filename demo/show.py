"""`make demo`: train on 64 Twemoji pictures, draw held-out names, and measure the result.

    python -m demo.show [MODEL]

MODEL is tiny-sd (`make demo`), a UNet, or tiny-dit (`make demo-dit`), a transformer; or the path of
such a folder. Runs the example workflow train_style.json on it, then draws held-out names without
and with the network. The results are in out/demo/, or out/demo-dit/: before_after.png, loss.png,
the network, and report.json with the scores of the two judges (judges.py).
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
from pathlib import Path

import matplotlib
import torch
from hypernet_pack.cli import main as command
from hypernet_pack.compat import attention_widths
from hypernet_pack.nodes.use.apply import ApplyHypernet

from hypernet import open_network
from hypernet.formats.networks import SUFFIXES

from .drawing import STEPS, draw, load_checkpoint, sheet, to_image
from .judges import load_judges
from .pictures import open_picture

HERE = Path(__file__).parent
OUT = Path("out")
NAME = "twemoji"
CFG = 3.0
STRENGTH = 1.1  # more of the style than at 1, and nine tenths of the pictures stay right


def run_workflow(model: Path, out: Path) -> Path:
    """Run the example workflow in the stand-in. Returns the network's file.

    Only names, sizes and sampling are set: how it learns is left to the defaults.
    """
    shutil.rmtree(out, ignore_errors=True)
    settings = {
        "CheckpointLoaderSimple.ckpt_name": str(model),
        "HypernetLoadDataset.folder": "pictures",
        "HypernetLoadDataset.width": 128,
        "HypernetLoadDataset.height": 128,
        "HypernetTrain.name": NAME,
        "HypernetTrain.preview_prompt": "grinning face",
        "HypernetTrain.preview_every": 0,
        "Prompt.text": "grinning face",
        "EmptyLatentImage.width": 128,
        "EmptyLatentImage.height": 128,
        **{f"{sampler}.steps": STEPS for sampler in ("Before", "After")},
        **{f"{sampler}.cfg": CFG for sampler in ("Before", "After")},
    }
    changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    places = ["--input", str(HERE), "--models", str(out / "models"), "--out", str(out)]
    workflow = HERE.parent / "example_workflows" / "train_style.json"
    code = command.main(["run", str(workflow), *places, *changes])
    if code:
        sys.exit(code)
    folder = out / "models" / "hypernetworks"
    (made,) = (file for file in folder.iterdir() if file.suffix in SUFFIXES)
    return Path(shutil.copy(made, out / made.name))


def plot_losses(log: Path, to: Path) -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot

    with open(log, encoding="utf-8") as file:
        losses = torch.tensor([float(row["loss"]) for row in csv.DictReader(file)])
    window = 25
    smooth = losses.unfold(0, window, 1).mean(1)
    figure, axes = pyplot.subplots(figsize=(8, 4))
    axes.plot(range(1, len(losses) + 1), losses, color="0.8", linewidth=0.8, label="each update")
    axes.plot(range(window, len(losses) + 1), smooth, color="C0", label=f"mean of {window}")
    axes.set(xlabel="update", ylabel="loss", title="Training on 64 Twemoji pictures")
    axes.legend()
    figure.savefig(to, dpi=120, bbox_inches="tight")


def judged(names: list[dict], before: torch.Tensor, after: torch.Tensor) -> dict[str, float]:
    """The judges' scores, without and with the network.

    style: the mean probability of Twemoji. content: the share of pictures that show what was asked
    for.
    """
    judges = load_judges()
    asked = [name["subcategory"] for name in names]
    scores = {}
    for title, pictures in (("before", before), ("after", after)):
        found = judges.subcategory(pictures)
        right = sum(f == a for f, a in zip(found, asked, strict=True))
        scores[f"style_{title}"] = round(float(judges.style(pictures).mean()), 3)
        scores[f"content_{title}"] = round(right / len(asked), 3)
    return scores | {"classifier_accuracy": judges.classifier_accuracy}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="tiny-sd")
    folder = HERE / parser.parse_args().model  # an absolute path stays itself
    out = OUT / f"demo{folder.name.removeprefix('tiny').replace('-sd', '')}"
    file = run_workflow(folder, out)
    run = out / "hypernet" / NAME
    plot_losses(run / "loss.csv", out / "loss.png")

    names = json.loads((HERE / "held_out" / "names.json").read_text("utf-8"))
    prompts = [name["caption"] for name in names]
    model, clip, vae = load_checkpoint(folder)
    network = open_network(file)
    styled = ApplyHypernet.execute(model, network, STRENGTH)[0]
    print(f"Drawing {len(names)} held-out names without and with the network …", file=sys.stderr)
    before, after = (draw(m, clip, vae, prompts, seed=1, cfg=CFG) for m in (model, styled))

    report = {
        "recipe": "defaults",
        "strength": STRENGTH,
        "steps": network.record.step,
        "seconds_training": json.loads((run / "manifest.json").read_text("utf-8"))["seconds"],
        **judged(names, before, after),
        "network": {
            "file": file.name,
            "layer_structure": list(network.spec.layer_structure),
            "activation": network.spec.activation,
            "start_percent": network.record.start,
            "widths": list(network.spec.widths),
            "model_widths": {kind: list(w) for kind, w in attention_widths(model).items()},
            "bytes": file.stat().st_size,
        },
    }
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")

    rows = range(0, len(names), 4)
    real = [
        [open_picture(HERE / "held_out" / kind / f"{names[i]['key']}.png") for i in rows]
        for kind in ("noto", "twemoji")
    ]
    drawn = [[to_image(pictures[i]) for i in rows] for pictures in (before, after)]
    heads = ["real Noto", "without", "with", "real Twemoji"]
    page = sheet([real[0], *drawn, real[1]], [prompts[i] for i in rows], heads)
    page.save(out / "before_after.png")
    print(json.dumps(report, indent=2))
    print(f"Look at {out / 'before_after.png'} and {out / 'loss.png'}; the network is {file}.")


if __name__ == "__main__":
    main()
