"""A workflow while it is laid out: nodes with their sizes, links, groups.

Widget values and slots come from the nodes' descriptions. Nodes must not overlap; a group surrounds
the nodes it names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import combinations
from math import ceil
from pathlib import Path
from typing import Any

from hypernet_pack.compat.standalone.graph.socket_types import DYNAMIC_COMBO

from .descriptions import WIDGETS, fields, first_value

TITLE, SLOT, ROW, TEXT_BOX = 30, 20, 24, 64  # pixels of a node's parts
# And in Nodes 2.0: what ends a node, less for each text box, a button, a whole node.
FOOT, LOWER, ADVANCED, LEAST = 46, 36, 34, 110
PANELS = {  # pixels for our panels on the nodes, and for what ends these in Nodes 2.0
    "HypernetLoadDataset": 294, "HypernetCaption": 216, "HypernetConfig": 175, "HypernetApply": 96,
    "HypernetTrain": 650, "HypernetLearningRate": 190, "HypernetLoad": 150, "HypernetInspect": 150,
}  # fmt: skip
TALLER = {  # pixels that Nodes 2.0 adds to what is stored; most in the oldest editor
    "HypernetTrain": 90, "HypernetApply": 34, "HypernetLoad": 30, "HypernetConfig": 24,
    "HypernetCaption": 44, "HypernetLoadDataset": 10, "HypernetWords": 110, "HypernetPrepare": 20,
}  # fmt: skip
# What the editor's app mode asks for and shows, by kind.
ASKED = {
    "CheckpointLoaderSimple": ("ckpt_name",), "UNETLoader": ("unet_name",),
    "HypernetLoadDataset": ("folder",), "HypernetTrain": ("name", "steps", "preview_prompt"),
    "HypernetLoad": ("name",), "HypernetApply": ("strength",), "HypernetToLora": ("name",),
    "CLIPTextEncode": ("text",),
}  # fmt: skip
SHOWN = ("SaveImage", "PreviewImage")
MARGIN, HEADING = 16, 44  # pixels between a group's nodes and its edge, and above them
BETWEEN, BESIDE = 20, 44  # pixels between nodes of a column, and between columns

Box = tuple[int, int, int, int]  # left, top, width, height
Link = tuple[int, int]  # node, its output slot


class Drawing:
    """A workflow that is being laid out. add() returns a number; an output is (number, slot)."""

    def __init__(self, descriptions: dict[str, dict]):
        self.descriptions = descriptions
        self.nodes: list[dict] = []
        self.heights: list[int] = []  # including what Nodes 2.0 adds to rows and at the bottom
        self.links: list[list] = []
        self.groups: list[dict] = []

    def add(
        self, kind: str, at: tuple[int, int], title: str = "", size: tuple = (320, 0),
        collapsed: bool = False, **given: Any,
    ) -> int:  # fmt: skip
        """Add a node. given: values of widgets, and links (node, slot) of inputs.

        An input that a choice adds is named like "tagger.order". Of a collapsed node only the
        title shows.
        """
        described = self.descriptions[kind]
        number = len(self.nodes) + 1
        sockets, linked, widgets = [], [], []
        height = 0
        foot, advanced = FOOT, False
        for name, io_type, options in self.live(described["input"], given):
            value = given.pop(name, None)
            is_link = isinstance(value, tuple)
            if io_type not in (*WIDGETS, DYNAMIC_COMBO) or options.get("forceInput"):
                sockets.append({"name": name, "type": io_type, "link": None, "from": value})
                continue
            widgets.append(first_value(options) if value is None or is_link else value)
            if options.get("control_after_generate"):
                widgets.append("fixed")
                height += ROW
                foot -= ROW  # Nodes 2.0 has a button for it
            if options.get("image_upload"):
                widgets.append("image")  # the button
                height += ROW
            if options.get("advanced"):  # hidden behind "Show Advanced"
                foot += 0 if advanced else ADVANCED
                advanced = True
            else:
                height += TEXT_BOX if options.get("multiline") else ROW
                foot -= LOWER if options.get("multiline") else 0  # lower there, for each
            if is_link:
                widget = {"name": name, "type": io_type, "widget": {"name": name}, "link": None}
                linked.append(widget | {"from": value})
        if given:
            raise ValueError(f"{kind} has no inputs {list(given)}")
        outputs = [
            {"name": name, "type": io_type, "links": []}
            for name, io_type in zip(described["output_name"], described["output"], strict=True)
        ]
        inputs = [*sockets, *linked]
        for place, each in enumerate(inputs):
            if source := each.pop("from"):
                each["link"] = self.link(*source, number, place, each["type"])
        height += SLOT * max(len(sockets), len(outputs)) + 20 + PANELS.get(kind, 0)
        highest = height if kind in PANELS else max(height + foot, LEAST)
        highest += TALLER.get(kind, 0)
        node = {
            "id": number,
            "type": kind,
            "pos": list(at),
            "size": [size[0], max(size[1], height)],
            "flags": {"collapsed": True} if collapsed else {},
            "order": number - 1,
            "mode": 0,
            "inputs": inputs,
            "outputs": outputs,
            "properties": {"Node name for S&R": kind},
        }
        node |= {"widgets_values": widgets} if widgets else {}
        self.nodes.append(node | ({"title": title} if title else {}))
        self.heights.append(0 if collapsed else max(size[1], highest))
        return number

    def live(
        self, inputs: dict[str, dict], given: dict, before: str = ""
    ) -> Iterable[tuple[str, str, dict]]:
        """The inputs; after each choice come the inputs that it adds."""
        for name, io_type, options in fields(inputs):
            chosen = given.get(name, first_value(options))  # add() removes it from given
            yield f"{before}{name}", io_type, options
            if io_type == DYNAMIC_COMBO:
                (brought,) = (each for each in options["options"] if each["key"] == chosen)
                yield from self.live(brought["inputs"], given, f"{before}{name}.")

    def note(self, at: tuple[int, int], size: tuple[int, int], text: str) -> int:
        number = len(self.nodes) + 1
        self.nodes.append(
            {
                "id": number,
                "type": "MarkdownNote",
                "pos": list(at),
                "size": list(size),
                "flags": {},
                "order": number - 1,
                "mode": 0,
                "inputs": [],
                "outputs": [],
                "title": "Three things to do",
                "properties": {},
                "widgets_values": [text],
                "color": "#432",
                "bgcolor": "#653",
            }
        )
        self.heights.append(size[1])
        return number

    def link(self, source: int, slot: int, target: int, place: int, io_type: str) -> int:
        number = len(self.links) + 1
        self.links.append([number, source, slot, target, place, io_type])
        self.nodes[source - 1]["outputs"][slot]["links"].append(number)
        return number

    def box(self, number: int) -> Box:
        """The area of the node, including its title, with advanced inputs hidden."""
        node = self.nodes[number - 1]
        left, top = node["pos"]
        return left, top - TITLE, node["size"][0], self.heights[number - 1] + TITLE

    def below(self, number: int, gap: int = BETWEEN) -> int:
        """The y of `at` for a node below this one."""
        _, top, _, height = self.box(number)
        return top + height + gap + TITLE

    def group(self, title: str, numbers: Iterable[int], color: str) -> None:
        boxes = [self.box(number) for number in numbers]
        left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
        right = max(box[0] + box[2] for box in boxes)
        bottom = max(box[1] + box[3] for box in boxes)
        bounding = [
            left - MARGIN,
            top - HEADING,
            right - left + 2 * MARGIN,
            bottom - top + HEADING + MARGIN,
        ]
        self.groups.append({"title": title, "bounding": bounding, "color": color})

    def app(self) -> dict[str, list]:
        """What is asked for and shown in the editor's app mode: [node, widget], and nodes."""
        asked = [
            [node["id"], name]
            for node in self.nodes
            for name in ASKED.get(node["type"], ())
            if node.get("title") != "Negative prompt"
            and all(each["name"] != name for each in node["inputs"])  # a link gives it
        ]
        shown = [node["id"] for node in self.nodes if node["type"] in SHOWN]
        return {"inputs": asked, "outputs": shown}

    def save(self, path: Path) -> None:
        things = [(f"node {node['id']}", self.box(node["id"])) for node in self.nodes]
        groups = [(each["title"], tuple(each["bounding"])) for each in self.groups]
        for kind in (things, groups):
            for (one, a), (other, b) in combinations(kind, 2):
                if overlap(a, b):
                    raise ValueError(f"{path.stem}: {one} and {other} overlap")
        content = {
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": self.nodes,
            "links": self.links,
            "groups": self.groups,
            "config": {},
            "extra": {"hypernet": path.stem, "linearData": self.app()},  # web/template.mjs opens it
            "version": 0.4,
        }
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


class Column:
    """Nodes of one width, each below the one before."""

    def __init__(self, drawing: Drawing, left: int, width: int):
        self.drawing = drawing
        self.left, self.width, self.top = left, width, 0

    def add(
        self, kind: str, title: str = "", high: int = 0, collapsed: bool = False, **given: Any
    ) -> int:
        """Add a node that is at least so high."""
        at, size = (self.left, self.top), (self.width, high)
        number = self.drawing.add(kind, at, title, size, collapsed, **given)
        self.top = self.drawing.below(number)
        return number

    def space(self) -> None:
        """Leave room for the end of a group and the heading of the next."""
        self.top += HEADING

    def note(self, text: str) -> int:
        size = (self.width, note_height(text, self.width))
        number = self.drawing.note((self.left, self.top), size, text)
        self.top = self.drawing.below(number) + HEADING
        return number


def note_height(text: str, width: int) -> int:
    """Pixels that the text takes in Nodes 2.0, in the letters of 15 that web/template.mjs gives."""
    paragraphs = [line.replace("*", "") for line in text.splitlines() if line]
    lines = sum(ceil(8 * len(each) / (width - 63)) for each in paragraphs)
    return 24 * lines + 8 * len(paragraphs) + 30


def columns(drawing: Drawing, *widths: int) -> list[Column]:
    """Columns side by side, the first at 0."""
    made, left = [], 0
    for width in widths:
        made.append(Column(drawing, left, width))
        left += width + BESIDE
    return made


def overlap(a: Box, b: Box) -> bool:
    return all(a[i] < b[i] + b[i + 2] and b[i] < a[i] + a[i + 2] for i in (0, 1))
