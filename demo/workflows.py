"""Draws the example workflows in the editor's own format, from a few lines each.

    python -m demo.workflows

Widget values and slots come from the nodes' schemas, so an example is redrawn rather than edited
when a node gains an input.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from hypernet_pack import comfy_entrypoint
from hypernet_pack.compat.standalone.core_nodes import CORE_NODES
from hypernet_pack.compat.standalone.io import DYNAMIC_COMBO
from hypernet_pack.compat.standalone.objectinfo import describe

HERE = Path(__file__).parent.parent / "example_workflows"


class Drawing:
    """A workflow being laid out. add() returns the node's number; (number, slot) is an output."""

    def __init__(self, descriptions: dict[str, dict]):
        self.descriptions = descriptions
        self.nodes: list[dict] = []
        self.links: list[list] = []
        self.groups: list[dict] = []

    def add(
        self, kind: str, at: tuple[int, int], title: str = "", size: tuple = (300, 0), **given: Any
    ) -> int:
        described = self.descriptions[kind]
        number = len(self.nodes) + 1
        inputs, widgets, visible = [], [], 0
        fields = {
            **described["input"].get("required", {}),
            **described["input"].get("optional", {}),
        }
        for name, (io_type, *options) in fields.items():
            settings = options[0] if options else {}
            if io_type in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"):
                visible += not settings.get("advanced")
                first = (settings.get("options") or [""])[0]
                widgets.append(given.pop(name, settings.get("default", first)))
                if settings.get("control_after_generate"):
                    widgets.append("fixed")
                continue
            if io_type == DYNAMIC_COMBO:  # its first choice, which brings no inputs in our nodes
                widgets.append(settings["options"][0]["key"])
                visible += 1
                continue
            inputs.append({"name": name, "type": io_type, "link": None})
            if name in given:
                source, slot = given.pop(name)
                inputs[-1]["link"] = self.link(source, slot, number, len(inputs) - 1, io_type)
        if given:
            raise ValueError(f"{kind} has no inputs {list(given)}")
        outputs = [
            {"name": name, "type": io_type, "links": []}
            for name, io_type in zip(described["output_name"], described["output"], strict=True)
        ]
        height = size[1] or 46 + 22 * max(len(inputs), len(outputs)) + 26 * visible
        node = {
            "id": number,
            "type": kind,
            "pos": list(at),
            "size": [size[0], height],
            "flags": {},
            "order": number - 1,
            "mode": 0,
            "inputs": inputs,
            "outputs": outputs,
            "properties": {"Node name for S&R": kind},
            "widgets_values": widgets,
        }
        self.nodes.append(node | ({"title": title} if title else {}))
        return number

    def link(self, source: int, slot: int, target: int, place: int, io_type: str) -> int:
        number = len(self.links) + 1
        self.links.append([number, source, slot, target, place, io_type])
        self.nodes[source - 1]["outputs"][slot]["links"].append(number)
        return number

    def group(self, title: str, box: tuple[int, int, int, int], color: str) -> None:
        self.groups.append({"title": title, "bounding": list(box), "color": color})

    def save(self, name: str) -> None:
        content = {
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": self.nodes,
            "links": self.links,
            "groups": self.groups,
            "config": {},
            "extra": {},
            "version": 0.4,
        }
        path = HERE / f"{name}.json"
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def training(d: Drawing) -> tuple[int, int]:
    """Checkpoint and the four nodes that train; gives the checkpoint's and the trainer's number."""
    model = d.add(
        "CheckpointLoaderSimple", (0, 0), ckpt_name="v1-5-pruned-emaonly-fp16.safetensors"
    )
    data = d.add("HypernetLoadDataset", (0, 200), folder="my_pictures")
    words = d.add("HypernetCaption", (360, 180), dataset=(data, 0), size=(320, 230))
    config = d.add("HypernetConfig", (720, 180), activation="mish", model=(model, 0))
    trainer = d.add(
        "HypernetTrain", (1080, 0),
        model=(model, 0), clip=(model, 1), vae=(model, 2), dataset=(words, 0), config=(config, 0),
        size=(360, 620),
    )  # fmt: skip
    d.group("1. What to learn", (-20, 100, 720, 380), "#3f789e")
    d.group("2. How", (700, -80, 760, 720), "#88A")
    return model, trainer


def train(d: Drawing) -> None:
    _, trainer = training(d)
    d.add(
        "SaveImage", (1500, 0), images=(trainer, 2), filename_prefix="hypernet/preview",
        size=(360, 400),
    )  # fmt: skip


def picture(
    d: Drawing, at: tuple[int, int], title: str, prefix: str,
    model: tuple, checkpoint: int, words: tuple, size: int,
) -> None:  # fmt: skip
    """KSampler, decoder and file, for one model."""
    x, y = at
    sampler = d.add(
        "KSampler", (x, y), title=title,
        model=model, positive=words[0], negative=words[1], latent_image=(size, 0), seed=1,
    )  # fmt: skip
    decode = d.add("VAEDecode", (x + 340, y), samples=(sampler, 0), vae=(checkpoint, 2))
    d.add(
        "SaveImage", (x + 340, y + 90), images=(decode, 0), filename_prefix=prefix, size=(320, 300)
    )


def prompts(d: Drawing, x: int, y: int, model: int) -> tuple[tuple, int]:
    text = dict(clip=(model, 1), size=(320, 130))
    positive = d.add("CLIPTextEncode", (x, y), title="Prompt", text="a red fox in the snow", **text)
    negative = d.add("CLIPTextEncode", (x, y + 180), title="Negative prompt", text="", **text)
    size = d.add("EmptyLatentImage", (x, y + 360))
    return ((positive, 0), (negative, 0)), size


def apply(d: Drawing) -> None:
    model = d.add(
        "CheckpointLoaderSimple", (0, 0), ckpt_name="v1-5-pruned-emaonly-fp16.safetensors"
    )
    network = d.add("HypernetLoad", (0, 180), name="my_style.pt")
    applied = d.add("HypernetApply", (360, 0), model=(model, 0), hypernet=(network, 0))
    words, size = prompts(d, 360, 180, model)
    picture(d, (720, 0), "", "hypernet/styled", (applied, 0), model, words, size)


def train_and_compare(d: Drawing) -> None:
    model, trainer = training(d)
    words, size = prompts(d, 1500, 0, model)
    applied = d.add("HypernetApply", (1500, 520), model=(model, 0), hypernet=(trainer, 0))
    picture(d, (1860, 0), "Before", "hypernet/before", (model, 0), model, words, size)
    picture(d, (1860, 440), "After", "hypernet/after", (applied, 0), model, words, size)
    d.group("3. What it learnt", (1480, -80, 1080, 920), "#8A8")


def main() -> None:
    pack = asyncio.run(comfy_entrypoint())
    nodes = [*CORE_NODES, *asyncio.run(pack.get_node_list())]
    descriptions = {description["name"]: description for description in map(describe, nodes)}
    HERE.mkdir(exist_ok=True)
    for draw in (train, apply, train_and_compare):
        drawing = Drawing(descriptions)
        draw(drawing)
        drawing.save(draw.__name__)


if __name__ == "__main__":
    main()
