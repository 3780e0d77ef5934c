"""Draws the pictures of the help pages in web/docs: each node with its settings and its results.

    python -m scripts.help_pictures

Runs a graph with all nodes in the stand-in, on the bundled tiny model. It also trains two networks,
which takes a few minutes on two cores; they stay in out/help for the next time.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
from hypernet_pack.cli import main as command
from hypernet_pack.compat.standalone import folders
from hypernet_pack.compat.standalone.graph.executor import Executor, Run
from PIL import Image, ImageDraw, ImageFont

from demo.drawing import CFG, MODEL, STEPS, WIDTHS
from demo.pictures import open_picture

from .locales import descriptions, inputs_of

OUT = Path("out/help")
PICTURES = Path(__file__).parent.parent / "web" / "docs" / "assets"
MOST_BYTES = 40_000
STRIPS = {"three faces": ["grin", "joy_cat", "skull"], "two hearts": ["heart", "blue_heart"]}
SIZE, NODE, GAP, LINE, MARGIN = 760, 300, 16, 19, 14  # pixels
PAPER, BODY, TITLE, FIELD = "#202020", "#353535", "#2a363b", "#222222"
INK, QUIET, LINK = "#dddddd", "#999999", "#7faed6"
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
SMALL = {"width": 128, "height": 128}
SAMPLING = {"seed": 3, "steps": STEPS, "cfg": CFG}
WORDS = "sleeping face"  # no training picture shows it
STYLE, CALM, EARLY = "my_style", "calm", "early"
TRAINING = {
    "steps": 300, "learning_rate": "cosine 4e-4 to 2e-6 warmup 20", "batch_size": 8,
    "noise_offset": 0.5, "seed": 1, "save_every": 100, "preview_every": 100, "held_out": 0,
    "averages": 8,
}  # fmt: skip


class Graph(dict):
    """A growing prompt in API format. Each node's id is the name of its picture."""

    def add(self, node: str, kind: str, /, **inputs: Any) -> list:
        self[node] = {"class_type": kind, "inputs": inputs}
        return [node, 0]

    def see(self, name: str, slot: int = 0) -> None:
        self.add(f"see {name}", "PreviewImage", images=[name, slot])

    def draw(self, name: str, model: list, words: str = WORDS, count: int = 1) -> list:
        for each in (words, ""):
            self.add(f"words {each}", "CLIPTextEncode", clip=["model", 1], text=each)
        self.add(f"empty {count}", "EmptyLatentImage", batch_size=count, **SMALL)
        self.add(
            f"sample {name}", "KSampler", model=model, positive=[f"words {words}", 0],
            negative=["words ", 0], latent_image=[f"empty {count}", 0], sampler_name="euler",
            scheduler="normal", denoise=1.0, **SAMPLING,
        )  # fmt: skip
        return self.add(name, "VAEDecode", samples=[f"sample {name}", 0], vae=["model", 2])


def begun() -> Graph:
    g = Graph()
    g.add("model", "CheckpointLoaderSimple", ckpt_name=str(MODEL))
    g.add(
        "load_dataset", "HypernetLoadDataset",
        folder="pictures", subfolders=True, unreadable="stop", thumbnails=8, **SMALL,
    )  # fmt: skip
    return g


def config(g: Graph, name: str, activation: str, widths: str, begin: str = "Normal") -> list:
    return g.add(
        name, "HypernetConfig", layer_structure="1, 2, 1", activation=activation, widths=widths,
        weight_initialization=begin, layer_norm=False, dropout_structure="",
        activate_output=False, seed=0,
    )  # fmt: skip


def training() -> Graph:
    """The graph that trains the two networks that the other nodes use."""
    g = begun()
    for node, name, activation in (("train", STYLE, "mish"), ("train calm", CALM, "linear")):
        g.add(
            node, "HypernetTrain", model=["model", 0], clip=["model", 1], vae=["model", 2],
            config=config(g, f"{node} config", activation, WIDTHS, "ZeroOutput"),
            dataset=["load_dataset", 0], name=name, accumulation=1, resume=True,
            preview_prompt="grinning face", preview_steps=STEPS, preview_cfg=CFG, **TRAINING,
        )  # fmt: skip
    return g


def all_else() -> Graph:
    g = begun()
    g.see("load_dataset", 2)
    g.add("long", "HypernetLoadDataset", folder="long", subfolders=True, unreadable="stop", **SMALL)
    g.add(
        "prepare", "HypernetPrepare", dataset=["long", 0], size="one size", crop="focal point",
        split_oversized=True, flip_copies=False, loss_mask="none", thumbnails=9,
    )  # fmt: skip
    g.see("prepare", 1)
    g.add("dataset_pictures", "HypernetDatasetPictures", dataset=["long", 0], longest_side=190)
    g.see("dataset_pictures")
    g.add(
        "save_prepared", "HypernetSavePrepared", dataset=["prepare", 0], name="my_prepared_pictures"
    )
    g.add(
        "caption", "HypernetCaption", dataset=["load_dataset", 0], fixed_text="",
        source="sidecar, then file name", template="[filewords]", trigger_word="twemoji",
    )  # fmt: skip
    g.add(
        "words", "HypernetWords", dataset=["caption", 0], template_file="", shuffle=True,
        keep_first=1, tag_dropout=0.2, caption_dropout=0.1, variants=16, weights="*heart* = 2",
    )  # fmt: skip
    g.add("captioned", "HypernetSavePrepared", dataset=["words", 0], name="captioned")
    shape = config(g, "config", "mish", "")
    g.add(
        "learning_rate", "HypernetLearningRate", pictures=64, batch_size=1, accumulation=1,
        optimizer="AdamW", learning_rate="", steps=0, config=shape,
    )  # fmt: skip
    g.see("learning_rate", 3)
    g.add("estimate", "HypernetEstimate", config=shape)

    style, calm, early = (
        g.add(node, "HypernetLoad", name=f"{name}.pt")
        for node, name in (("load", STYLE), ("load calm", CALM), ("load early", EARLY))
    )
    model = ["model", 0]
    g.add("inspect", "HypernetInspect", name=f"{STYLE}.pt")
    tag = f"{WORDS} <hypernet:{STYLE}:0.8>"
    for name, source in (
        ("without", model),
        ("apply", g.add("apply", "HypernetApply", model=model, hypernet=style, strength=0.8)),
        ("prompt", g.add("prompt", "HypernetPrompt", model=model, prompt=tag)),
        ("calm", g.add("use calm", "HypernetApply", model=model, hypernet=calm, strength=1.0)),
        ("fold", g.add("fold", "HypernetFold", model=model, hypernet=calm, strength=1.0)),
    ):
        g.draw(f"drawn {name}", source)
        g.see(f"drawn {name}")
    g.add("save", "HypernetSave", hypernet=calm, name="copy", format=".safetensors")
    g.add(
        "to_lora", "HypernetToLora", model=model, hypernet=calm, name=CALM, strength=1.0, rank=16,
        numbers="float16",
    )  # fmt: skip
    g.add(
        "convert", "HypernetConvert", hypernet=calm, name="calm_small", file_format="pt",
        numbers="float16", one_matrix=True,
    )  # fmt: skip
    merged = g.add(
        "merge", "HypernetMerge", method="weighted", factors="0.5, 0.5", name="merged",
        hypernet_1=style, hypernet_2=early,
    )  # fmt: skip
    g.add("average", "HypernetAverage", run=STYLE, width=0.0, name=f"{STYLE}_average")
    asked = {"positive": [f"words {WORDS}", 0], "negative": ["words ", 0], "vae": ["model", 2]}
    pair = {"hypernet_1": style, "hypernet_2": early}
    g.add(
        "compare", "HypernetCompare", model=model, strengths="0, 0.5, 1", **asked, **pair,
        **SAMPLING, **SMALL,
    )  # fmt: skip
    g.see("compare")
    g.add(
        "merge seen", "HypernetCompare", model=model, strengths="1", hypernet_3=merged, **asked,
        **pair, **SAMPLING, **SMALL,
    )  # fmt: skip
    g.see("merge seen")
    three = g.draw("three", ["apply", 0], count=3)
    g.add("label_grid", "HypernetGrid", images=three, columns="first\nsecond\nthird", rows=WORDS)
    g.see("label_grid")

    g.add("demo_model", "HypernetLoadDemoModel")
    g.draw("drawn demo", ["demo_model", 0], count=3)
    g.see("drawn demo")
    g.add(
        "range_test", "HypernetRangeTest", model=model, clip=["model", 1], vae=["model", 2],
        dataset=["caption", 0], config=config(g, "tested", "mish", "48, 112, 128"), name=STYLE,
        rates="1e-6 to 1e-1", steps=100, batch_size=4, accumulation=1, seed=0, optimizer="AdamW",
    )  # fmt: skip
    g.see("range_test", 3)
    return g


# What each picture shows beside its node: the pictures and texts of these nodes.
SHOWN = {
    "load_dataset": ["see load_dataset"],
    "prepare": ["see prepare"],
    "save_prepared": ["save_prepared"],
    "dataset_pictures": ["see dataset_pictures"],
    "caption": ["caption"],
    "words": ["words"],
    "config": ["config"],
    "learning_rate": ["learning_rate", "see learning_rate"],
    "apply": ["see drawn without", "see drawn apply"],
    "prompt": ["see drawn without", "see drawn prompt"],
    "load": ["load"],
    "save": ["save"],
    "fold": ["see drawn calm", "see drawn fold"],
    "to_lora": ["to_lora"],
    "inspect": ["inspect"],
    "estimate": ["estimate"],
    "convert": ["convert"],
    "merge": ["see merge seen"],
    "average": ["average"],
    "compare": ["see compare"],
    "label_grid": ["see label_grid"],
    "demo_model": ["see drawn demo"],
    "range_test": ["range_test", "see range_test"],
}
SAID = {  # labels under pictures that are one of several
    "see drawn without": "without",
    "see drawn apply": "with Apply Hypernet",
    "see drawn prompt": "with the prompt's tag",
    "see drawn calm": "Apply Hypernet",
    "see drawn fold": "Fold Hypernet",
}


def font(size: int = 13, mono: bool = False) -> ImageFont.FreeTypeFont:
    name = "DejaVuSansMono.ttf" if mono else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


def node_picture(described: dict, given: dict[str, Any]) -> Image.Image:
    """The node as an editor shows it: sockets, and the widgets that are set or always visible."""
    inputs = inputs_of(described)
    sockets = [name for name, (kind, *_) in inputs.items() if kind not in WIDGETS and name in given]
    widgets = [
        (name, given.get(name, details[0].get("default")))
        for name, (kind, *details) in inputs.items()
        if kind in WIDGETS and (name in given or not details[0].get("advanced"))
        if not (details[0].get("advanced") and given[name] == details[0].get("default"))
    ]
    outputs = described["output_name"]
    rows = max(len(sockets), len(outputs))
    height = 34 + rows * LINE + 8 + len(widgets) * (LINE + 5) + 6
    paper = Image.new("RGB", (NODE, height), BODY)
    pen = ImageDraw.Draw(paper)
    pen.rectangle((0, 0, NODE, 26), TITLE)
    pen.text((MARGIN, 13), described["display_name"], INK, font(14), anchor="lm")
    for place in range(rows):
        y = 34 + place * LINE + LINE // 2
        if place < len(sockets):
            pen.ellipse((6, y - 4, 14, y + 4), LINK)
            pen.text((20, y), sockets[place], INK, font(12), anchor="lm")
        if place < len(outputs):
            pen.ellipse((NODE - 14, y - 4, NODE - 6, y + 4), LINK)
            pen.text((NODE - 20, y), outputs[place], INK, font(12), anchor="rm")
    for place, (name, value) in enumerate(widgets):
        y = 34 + rows * LINE + 8 + place * (LINE + 5)
        pen.rounded_rectangle((10, y, NODE - 10, y + LINE + 1), 9, FIELD, "#555555")
        pen.text((20, y + LINE // 2), name, QUIET, font(12), anchor="lm")
        room = NODE - 44 - font(12).getlength(name)
        text = " / ".join(str(value).splitlines()) or "–"
        while font(12).getlength(text) > room:
            text = text[:-2] + "…"
        pen.text((NODE - 20, y + LINE // 2), text, INK, font(12), anchor="rm")
    return paper


def text_picture(text: str, width: int) -> Image.Image:
    letters = font(12, mono="  " in text)
    lines = [part for line in text.splitlines() for part in folded(line, letters, width - 2 * 10)]
    paper = Image.new("RGB", (width, len(lines) * 18 + 16), FIELD)
    pen = ImageDraw.Draw(paper)
    for place, line in enumerate(lines):
        pen.text((10, 8 + place * 18), line, INK, letters)
    return paper


def folded(line: str, letters: ImageFont.FreeTypeFont, width: int) -> Iterator[str]:
    words, begun = line.split(" "), ""
    for word in words:
        longer = f"{begun} {word}" if begun else word
        if begun and letters.getlength(longer) > width:
            yield begun
            longer = "    " + word
        begun = longer
    yield begun


def results(run: Run, names: list[str], width: int) -> Iterator[Image.Image]:
    """What the nodes showed: first texts, one below the other, then all pictures side by side."""
    for name in names:
        if texts := run.outputs.get(name, {}).get("text"):
            yield text_picture(plain("\n".join(texts)), width)
    pictures = []
    for name in names:
        for image in run.outputs[name].get("images", ()) if name.startswith("see") else ():
            path = OUT / "output" / "temp" / image["subfolder"] / image["filename"]
            found = Image.open(path).convert("RGB")
            pictures.append(labelled(found, SAID[name]) if name in SAID else found)
    if pictures:
        yield beside(pictures)


def plain(text: str) -> str:
    """The text with this machine's folder replaced by "ComfyUI/"."""
    return text.replace(f"{OUT.resolve()}/", "ComfyUI/").replace(f"{OUT}/", "ComfyUI/")


def labelled(picture: Image.Image, text: str) -> Image.Image:
    paper = Image.new("RGB", (max(picture.width, 150), picture.height + 22), PAPER)
    paper.paste(picture, ((paper.width - picture.width) // 2, 0))
    middle = (paper.width // 2, picture.height + 11)
    ImageDraw.Draw(paper).text(middle, text, INK, font(12), anchor="mm")
    return paper


def beside(pictures: list[Image.Image], gap: int = 8) -> Image.Image:
    width = sum(each.width for each in pictures) + gap * (len(pictures) - 1)
    paper = Image.new("RGB", (width, max(each.height for each in pictures)), PAPER)
    x = 0
    for each in pictures:
        paper.paste(each, (x, 0))
        x += each.width + gap
    return paper


def card(node: Image.Image, given: list[Image.Image]) -> Image.Image:
    """A picture with the node on the left and its results on the right."""
    room = SIZE - NODE - 3 * GAP
    for each in given:
        each.thumbnail((room, 420), Image.Resampling.LANCZOS)
    right = sum(each.height + GAP for each in given)
    paper = Image.new("RGB", (SIZE, max(node.height + 2 * GAP, right + GAP)), PAPER)
    paper.paste(node, (GAP, GAP))
    y = GAP
    for each in given:
        paper.paste(each, (NODE + 2 * GAP, y))
        y += each.height + GAP
    return paper


def save(picture: Image.Image, path: Path) -> None:
    """Save as WebP, at the best quality that needs at most MOST_BYTES."""
    for quality in range(86, 20, -6):
        picture.save(path, quality=quality, method=6)
        if path.stat().st_size <= MOST_BYTES:
            return


def long_pictures(folder: Path) -> None:
    """Write strips of the demo's pictures, for Prepare Dataset to split."""
    folder.mkdir(parents=True, exist_ok=True)
    for text, names in STRIPS.items():
        found = [open_picture(MODEL.parent / "pictures" / f"{name}.png") for name in names]
        beside(found, gap=0).save(folder / f"{text}.png")


def run_graph(g: Graph) -> Run:
    places = dict(input=OUT / "input", output=OUT / "output", models=OUT / "models")
    with folders.configured(**places):
        run = Executor(asyncio.run(command._installed_nodes())).run(g)
    if run.status != "success" or run.node_errors:
        sys.exit(f"{run.status}: {run.error} {run.node_errors}")
    return run


def train_once() -> None:
    """Train the networks into OUT, with Train Hypernet's text in said.txt, unless they exist."""
    if (OUT / "said.txt").exists():
        return
    shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "models" / "hypernetworks").mkdir(parents=True)
    (OUT / "input").mkdir()
    (OUT / "input" / "pictures").symlink_to(MODEL.parent / "pictures")
    run = run_graph(training())
    checkpoint = OUT / "output" / "hypernet" / STYLE / f"{STYLE}-100.pt"
    shutil.copy(checkpoint, OUT / "models" / "hypernetworks" / f"{EARLY}.pt")
    (OUT / "said.txt").write_text("\n".join(run.outputs["train"]["text"]), "utf-8")


def clear() -> None:
    """Delete what an earlier run of this script wrote, because nodes do not overwrite it."""
    for made in ("output/my_prepared_pictures", "output/captioned", "output/temp"):
        shutil.rmtree(OUT / made, ignore_errors=True)
    for pattern in ("copy.*", "calm_small.*", f"{STYLE}_average.*", "loras/*"):
        for file in (OUT / "models").rglob(pattern):
            file.unlink()


def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    train_once()
    clear()
    long_pictures(OUT / "input" / "long")
    g, room = all_else(), SIZE - NODE - 3 * GAP
    run = run_graph(g)
    described = {each["name"]: each for each in descriptions()}
    shown = {name: [*results(run, names, room)] for name, names in SHOWN.items()}
    previews = sorted((OUT / "output" / "hypernet" / STYLE / "previews").glob("*.png"))
    shown["train"] = [
        text_picture(plain((OUT / "said.txt").read_text("utf-8")), room),
        beside([labelled(Image.open(file), file.stem) for file in previews]),
    ]
    for name, pictures in shown.items():
        node = training()[name] if name == "train" else g[name]
        about = described[node["class_type"]]
        path = PICTURES / f"{about['name']}.webp"
        save(card(node_picture(about, node["inputs"]), pictures), path)
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
