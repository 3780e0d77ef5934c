"""Makes the pictures beside the example workflows, by running each in ComfyUI on the demo model.

    python -m scripts.thumbnails http://127.0.0.1:8188 BASE [EXAMPLE ...]

Needs a running ComfyUI with this pack. BASE is the folder with its models and output; networks with
the examples' names must not be there. The demo model replaces checkpoints, its 64 pictures replace
the user's, prompts that it knows replace the examples', and trainings are short. No ControlNet fits
the demo model, so those nodes are bypassed. All else runs as the example says, except that examples
for transformers show what train_style makes.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from demo.drawing import WIDTHS

from .workflows import HERE
from .workflows.descriptions import WIDGETS, fields, first_value

SIZE = 128  # of the demo model's pictures
WIDTH, MOST_BYTES = 800, 60_000
GAP, WORD = 8, 26  # pixels: between pictures, and for the word above a row
BESIDE = 2  # pictures in a row: cards of the list are square and small
PICTURES = ": pictures"  # the end of titles of nodes that show one of two rows
SHOWN = ("HypernetPrepare", "Last preview", "SaveImage")  # else these, in order
BYPASSED = 4
NOTES = ("Note", "MarkdownNote")

# Changes to the examples' inputs, by node class or title. "" is for all examples.
CHANGES: dict[str, dict[str, Any]] = {
    "": {
        "HypernetLoadDataset.folder": "pictures [demo]",
        "HypernetLoadDataset.width": SIZE,
        "HypernetLoadDataset.height": SIZE,
        "HypernetConfig.widths": WIDTHS,
        "HypernetConfig.weight_initialization": "ZeroOutput",
        "EmptyLatentImage.width": SIZE,
        "EmptyLatentImage.height": SIZE,
        "EmptyLatentImage.batch_size": 4,
        "KSampler.steps": 16,
        "KSampler.cfg": 4.0,
        "Prompt.text": "grinning face",
        "HypernetCompare.width": SIZE,
        "HypernetCompare.height": SIZE,
        "HypernetCompare.steps": 16,
        "HypernetCompare.cfg": 4.0,
        "HypernetTrain.preview_prompt": "grinning face",
        "HypernetTrain.preview_cfg": 4.0,
        "HypernetTrain.batch_size": 8,
        "HypernetTrain.steps": 150,
        "HypernetTrain.learning_rate": "cosine 4e-4 to 2e-6 warmup 20",
        "HypernetTrain.noise_offset": 0.5,
        "HypernetTrain.held_out": 0,
        "HypernetTrain.probe_every": 0,
        "HypernetTrain.preview_every": 50,
        "HypernetTrain.seed": 1,
    },
    "own_pictures_on_demo_model": {"Prompt.text": "red heart"},
    "train_style": {"Prompt.text": "slightly smiling face", "HypernetTrain.save_every": 50},
    "train_linear": {
        "HypernetConfig.activation": "linear",
        "HypernetTrain.name": "my_linear_style",
        "HypernetTrain.steps": 80,
    },
    "train_subject_with_tagger": {
        "HypernetCaption.source": "sidecar, then file name",
        "HypernetCaption.tagger": "none",
        "HypernetCaption.trigger_word": "",
        "HypernetTrain.steps": 40,
        "HypernetTrain.name": "my_subject_quickly",
        "HypernetTrain.preview_prompt": "worried face",
    },
    "train_on_anima": {"Prompt.text": "winking face", "HypernetTrain.name": "as_on_anima"},
    "train_on_z_image": {"Prompt.text": "purple heart", "HypernetTrain.name": "as_on_z_image"},
    "train_on_flux": {"Prompt.text": "pizza", "HypernetTrain.name": "as_on_flux"},
    "resume": {"HypernetTrain.steps": 220},
    "apply": {"Prompt.text": "tired face"},
    "fold_and_export": {"HypernetToLora.rank": 16},
    "apply_with_lora_and_controlnet": {  # LoRA and network have the same style
        "LoraLoader.strength_model": 0.4,
        "HypernetApply.strength": 0.5,
    },
}


# Turning an example into a prompt


def live(inputs: dict[str, dict], values: Iterator[Any], before: str = "") -> dict[str, Any]:
    """The values of a node's widgets, by their names in a prompt."""
    found = {}
    for name, io_type, options in fields(inputs):
        dynamic = io_type == "COMFY_DYNAMICCOMBO_V3"
        if not dynamic and not (io_type in WIDGETS or isinstance(io_type, list)):
            continue
        found[f"{before}{name}"] = value = next(values, first_value(options))
        if options.get("control_after_generate") or options.get("image_upload"):
            next(values, None)
        if dynamic:
            (brought,) = (each for each in options["options"] if each["key"] == value)
            found |= live(brought["inputs"], values, f"{before}{name}.")
    return found


def as_prompt(content: dict[str, Any], infos: dict[str, dict]) -> dict[str, dict]:
    """The editor's graph in API format. infos: the server's /object_info.

    A bypassed node passes on its first input that has the output's type.
    """
    nodes = {node["id"]: node for node in content["nodes"] if node["type"] not in NOTES}
    sources = {link[0]: (link[1], link[2]) for link in content["links"]}

    def source(link: int) -> list:
        number, slot = sources[link]
        node = nodes[number]
        if node["mode"] != BYPASSED:
            return [str(number), slot]
        same = [each for each in node["inputs"] if each["type"] == node["outputs"][slot]["type"]]
        return source(same[min(slot, len(same) - 1)]["link"])

    prompt = {}
    for number, node in nodes.items():
        if node["mode"] == BYPASSED:
            continue
        inputs = live(infos[node["type"]]["input"], iter(node.get("widgets_values", ())))
        for socket in node["inputs"]:
            if socket["link"] is not None:
                inputs[socket["name"]] = source(socket["link"])
        prompt[str(number)] = {
            "class_type": node["type"],
            "inputs": inputs,
            "_meta": {"title": node.get("title", "")},
        }
    return prompt


def on_the_demo_model(prompt: dict[str, dict], changes: dict[str, Any]) -> None:
    """Replace the checkpoint by the demo model, and change inputs of the named nodes."""
    for node in prompt.values():
        inputs = node["inputs"]
        for name, value in changes.items():
            which, _, key = name.partition(".")
            wanted = which in (node["class_type"], node["_meta"]["title"])
            if wanted and key in inputs and not isinstance(inputs[key], list):
                inputs[key] = value
                if key == "tagger":
                    for brought in [each for each in inputs if each.startswith("tagger.")]:
                        del inputs[brought]
        if node["class_type"] == "CheckpointLoaderSimple":
            node["class_type"], node["inputs"] = "HypernetLoadDemoModel", {}


# Running it in ComfyUI


class Server:
    def __init__(self, address: str):
        self.address = address.rstrip("/")
        self.infos = self.get("/object_info")

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.address + path) as answer:
            return json.load(answer)

    def run(self, prompt: dict) -> dict[str, list[Image.Image]]:
        """Run a prompt. Returns the nodes' pictures, by title, or by class if there is no title."""
        body = json.dumps({"prompt": prompt}).encode()
        request = urllib.request.Request(
            f"{self.address}/prompt", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            number = json.load(answer)["prompt_id"]
        while number not in (history := self.get(f"/history/{number}")):
            time.sleep(0.5)
        entry = history[number]
        if entry["status"]["status_str"] != "success":
            raise RuntimeError(json.dumps(entry["status"]["messages"][-1], indent=1))
        return {
            prompt[node]["_meta"]["title"] or prompt[node]["class_type"]: [
                self.picture(each) for each in shown["images"]
            ]
            for node, shown in entry["outputs"].items()
            if shown.get("images")
        }

    def picture(self, place: dict[str, str]) -> Image.Image:
        with urllib.request.urlopen(
            f"{self.address}/view?{urllib.parse.urlencode(place)}"
        ) as answer:
            return Image.open(io.BytesIO(answer.read())).convert("RGB")


def run_example(server: Server, name: str, how: str = "") -> dict[str, list[Image.Image]]:
    """Run an example. how: the key of its CHANGES, if not its name."""
    content = json.loads((HERE / f"{name}.json").read_text("utf-8"))
    for node in content["nodes"]:
        if node["type"].startswith("ControlNet") or (
            name == "apply_with_lora_and_controlnet" and node["type"] == "LoadImage"
        ):
            node["mode"] = BYPASSED
    prompt = as_prompt(content, server.infos)
    on_the_demo_model(prompt, CHANGES[""] | CHANGES.get(how or name, {}))
    return server.run(prompt)


# Composing what is shown


def strip(pictures: list[Image.Image], height: int, word: str = "") -> Image.Image:
    """Pictures side by side, all scaled to this height, below a word."""
    scaled = [each.resize((each.width * height // each.height, height)) for each in pictures]
    top, left = WORD if word else 0, 0
    width = sum(each.width + GAP for each in scaled)
    page = Image.new("RGB", (width, top + height), "white")
    font = ImageFont.load_default(size=22)
    ImageDraw.Draw(page).text((width // 2, 0), word, "black", font, anchor="ma")
    for each in scaled:
        page.paste(each, (left, top))
        left += each.width + GAP
    return page


def composed(shown: dict[str, list[Image.Image]]) -> Image.Image:
    """The example's picture, from what its nodes showed.

    That is a row for each of two nodes, the earlier one first; a batch in two rows; or one row.
    """
    named = [title for title in shown if title.endswith(PICTURES)]
    named.sort(key=lambda title: not title.startswith(("Before", "Applied")))
    if named:
        rows = [
            strip(shown[title][:BESIDE], SIZE, title.removesuffix(PICTURES).lower())
            for title in named
        ]
    else:
        pictures = [each for title in SHOWN if title in shown for each in shown[title]]
        if len({each.size for each in pictures}) < len(pictures):  # of one batch
            rows = [strip(pictures[place : place + 2], SIZE) for place in range(0, 4, 2)]
        else:
            rows = [strip(pictures, 2 * SIZE if len(pictures) > 1 else pictures[0].height)]
    height = rows[0].height + GAP
    page = Image.new("RGB", (rows[0].width, len(rows) * height - GAP), "white")
    for place, row in enumerate(rows):
        page.paste(row, (0, place * height))
    return page


def save(picture: Image.Image, path: Path) -> None:
    """Save as JPEG of at most MOST_BYTES."""
    page = picture.convert("RGB")
    page = page.resize((WIDTH, page.height * WIDTH // page.width), Image.LANCZOS)
    for quality in range(90, 20, -10):
        page.save(path, quality=quality, optimize=True)
        if path.stat().st_size <= MOST_BYTES:
            return
    raise ValueError(f"{path} has {path.stat().st_size} bytes; {MOST_BYTES} are allowed.")


def before(server: Server, base: Path, name: str) -> None:
    """Make the files that the example expects on a user's disk."""
    networks, loras = base / "models" / "hypernetworks", base / "models" / "loras"
    if name == "compare_checkpoints":
        run = base / "output" / "hypernet" / "my_style"
        for earlier, place in (("50", "500"), ("100", "1000")):
            shutil.copy(run / f"my_style-{earlier}.pt", networks / f"my_style-{place}.pt")
    elif name == "fold_and_export":
        run_example(server, "train_style", "train_linear")
    elif name == "apply_with_lora_and_controlnet":
        shutil.copy(loras / "my_linear_style.safetensors", loras / "my_lora.safetensors")


ORDER = (
    "first_network_demo", "own_pictures_on_demo_model", "train_style", "compare_checkpoints",
    "apply", "resume", "fold_and_export", "apply_with_lora_and_controlnet",
    "train_subject_with_tagger", "train_on_anima", "train_on_z_image", "train_on_flux",
)  # fmt: skip
ON_TRANSFORMERS = "train_on_"


def main() -> None:
    address, base, *wanted = sys.argv[1:]
    server = Server(address)
    for name in ORDER:
        if wanted and name not in wanted:
            continue
        began = time.monotonic()
        before(server, Path(base), name)
        drawn = "train_style" if name.startswith(ON_TRANSFORMERS) else name
        save(composed(run_example(server, drawn, name)), HERE / f"{name}.jpg")
        print(f"{name}: {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
