"""A training as one node: a subgraph that the editor lists among its blueprints.

ComfyUI looks for them in `subgraphs/` of a pack, and names each after its file. The node's sockets
and widgets are inputs of the subgraph, each linked to an input of a node inside.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from .drawing import SLOT, Drawing, columns
from .training import WIDTHS

NAME = "Train a Hypernetwork"
INPUTS, OUTPUTS = -10, -20  # the editor's numbers for what leads into a subgraph and out of it


def train_a_hypernetwork(d: Drawing) -> dict[str, Any]:
    """The blueprint's content."""
    first, second, third = columns(d, *WIDTHS[:3])
    data = first.add("HypernetLoadDataset", folder="my_pictures")
    words = second.add("HypernetCaption", dataset=(data, 0))
    config = second.add("HypernetConfig")
    trainer = third.add("HypernetTrain", dataset=(words, 0), config=(config, 0), preview_every=250)
    shown = (
        ("model", ((trainer, "model"), (config, "model"))),
        ("clip", ((trainer, "clip"),)),
        ("vae", ((trainer, "vae"),)),
        ("folder", ((data, "folder"),)),
        ("name", ((trainer, "name"),)),
        ("steps", ((trainer, "steps"),)),
        ("preview_prompt", ((trainer, "preview_prompt"),)),
    )
    blueprint = Blueprint(d, shown)
    return blueprint.content(
        given=[(trainer, "hypernet"), (trainer, "preview")],
        description="Trains a hypernetwork on the pictures of a folder, with settings that follow "
        "from the model and the pictures. Open it to change them.",
        category="Hypernet",
    )


class Blueprint:
    """The drawing as a subgraph. shown: (name, inputs of nodes that it leads to) of its inputs."""

    def __init__(self, drawing: Drawing, shown: Iterable[tuple[str, Iterable[tuple[int, str]]]]):
        self.drawing = drawing
        self.links = [_named(link) for link in drawing.links]
        self.inputs: list[dict[str, Any]] = []
        for name, leads in shown:
            self.expose(name, leads)

    def expose(self, name: str, leads: Iterable[tuple[int, str]]) -> None:
        slot, numbers, found = len(self.inputs), [], {}
        for node, target in leads:
            found = self.socket(node, target)
            found["link"] = self.link(INPUTS, slot, node, target, found["type"])
            numbers.append(found["link"])
        widget = {"widget": {"name": name}} if "widget" in found else {}
        self.inputs.append({"name": name, "type": found["type"], "linkIds": numbers} | widget)

    def socket(self, number: int, name: str) -> dict[str, Any]:
        """That of a node, which a widget gets here."""
        node = self.drawing.nodes[number - 1]
        for each in node["inputs"]:
            if each["name"] == name:
                return each
        described = self.drawing.descriptions[node["type"]]["input"]
        io_type = next(fields[name][0] for fields in described.values() if name in fields)
        made = {"name": name, "type": io_type, "widget": {"name": name}, "link": None}
        node["inputs"].append(made)
        return made

    def link(self, source: int, slot: int, target: int, name: str, io_type: str) -> int:
        number = len(self.links) + 1
        names = [each["name"] for each in self.drawing.nodes[target - 1]["inputs"]]
        self.links.append(_named([number, source, slot, target, names.index(name), io_type]))
        return number

    def content(self, given: list[tuple[int, str]], **about: str) -> dict[str, Any]:
        """given: the outputs (node, name)."""
        outputs = []
        for slot, (number, name) in enumerate(given):
            described = self.drawing.nodes[number - 1]["outputs"]
            place = [each["name"] for each in described].index(name)
            link = [len(self.links) + 1, number, place, OUTPUTS, slot, described[place]["type"]]
            self.links.append(_named(link))
            described[place]["links"].append(link[0])
            outputs.append({"name": name, "type": link[-1], "linkIds": [link[0]]})
        identity = _identity(NAME)
        right = max(node["pos"][0] + node["size"][0] for node in self.drawing.nodes)
        ends = {
            "inputNode": {"id": INPUTS, "bounding": [-240, 0, 120, SLOT * (len(self.inputs) + 2)]},
            "outputNode": {"id": OUTPUTS, "bounding": [right + 120, 0, 120, SLOT * 4]},
        }
        inside = {
            "id": identity,
            "version": 1,
            "state": {
                "lastGroupId": 0, "lastNodeId": len(self.drawing.nodes),
                "lastLinkId": len(self.links), "lastRerouteId": 0,
            },
            "revision": 0,
            "config": {},
            "name": NAME,
            **ends,
            "inputs": [_identified(each, "input") for each in self.inputs],
            "outputs": [_identified(each, "output") for each in outputs],
            "widgets": [],
            "nodes": self.drawing.nodes,
            "groups": [],
            "links": self.links,
            "extra": {},
            **about,
        }  # fmt: skip
        node = {
            "id": 1,
            "type": identity,
            "pos": [0, 0],
            "size": [400, 300],
            "flags": {},
            "order": 0,
            "mode": 0,
            "inputs": [
                {key: value for key, value in each.items() if key != "linkIds"} | {"link": None}
                for each in self.inputs
            ],
            "outputs": [
                {"name": each["name"], "type": each["type"], "links": []} for each in outputs
            ],
            "properties": {},
            "widgets_values": [],  # those of the nodes inside
            "title": NAME,
        }
        return {
            "revision": 0, "last_node_id": 1, "last_link_id": 0, "nodes": [node], "links": [],
            "version": 0.4, "definitions": {"subgraphs": [inside]},
        }  # fmt: skip


def write(content: dict[str, Any], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    (folder / f"{NAME}.json").write_text(text, "utf-8")


def _named(link: list) -> dict[str, Any]:
    keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    return dict(zip(keys, link, strict=True))


def _identity(of: str) -> str:
    """The same whenever it is written anew."""
    return str(uuid5(NAMESPACE_URL, f"hypernet/{of}"))


def _identified(socket: dict[str, Any], kind: str) -> dict[str, Any]:
    """As in a subgraph's definition, where a widget is no part of a socket."""
    plain = {key: value for key, value in socket.items() if key != "widget"}
    return {"id": _identity(f"{NAME}/{kind}/{socket['name']}")} | plain
