"""Reads the editor's graph into objects: nodes, sockets and links.

Saved files have links as lists or as objects, ids as numbers or as texts, and every kind of damage.
What can't be read is left out and reported in `Faults`; what is ambiguous is refused. A subgraph is
a graph whose links begin at −10 (its inputs) and end at −20 (its outputs).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .workflow_file import WorkflowError

MUTED, BYPASSED = 2, 4
INPUTS, OUTPUTS = "-10", "-20"  # ids of the pseudo-nodes for a subgraph's own sockets
_NAMED = 10  # names per notice


@dataclass(frozen=True, kw_only=True)
class Socket:
    name: str
    type: str
    link: str | None
    is_widget: bool


@dataclass(frozen=True, kw_only=True)
class Node:
    id: str
    kind: str
    mode: int
    title: str
    properties: Mapping[str, Any]
    inputs: tuple[Socket, ...]
    outputs: tuple[str, ...]  # types
    values: list | dict | None  # saved widget values

    def input(self, name: str) -> Socket | None:
        return next((each for each in self.inputs if each.name == name), None)


@dataclass(frozen=True, kw_only=True)
class Link:
    source: str
    slot: int
    target: str


@dataclass(frozen=True, kw_only=True)
class Graph:
    name: str
    nodes: Mapping[str, Node]
    links: Mapping[str, list[Link]]  # by id; damaged files use an id twice
    inputs: tuple[str, ...] = ()  # of a subgraph: names
    outputs: tuple[str | None, ...] = ()  # of a subgraph: the id of the link that ends there

    def link(self, link_id: str | None, target: str) -> Link | None:
        """The link with this id; if there are several, the one that leads to `target`."""
        found = self.links.get(link_id or "", ())
        return next((each for each in found if each.target == target), found[0] if found else None)


@dataclass
class Faults:
    """What was broken in a graph, as {beginning of the notice: names}."""

    found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, name: str) -> None:
        names = self.found.setdefault(kind, [])
        if name not in names:
            names.append(name)

    def notices(self) -> list[str]:
        return [counted(kind, names) for kind, names in self.found.items()]


def counted(kind: str, names: list[str]) -> str:
    """ "Left out (2): a, b." """
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{kind} ({len(names)}): {', '.join(names[:_NAMED])}{more}."


NO_LINK = "Entries of the table of links that are broken were left out"
NO_NODE = "Entries of the list of nodes that are broken were left out"
NO_SOCKET = "Sockets that are broken were left out"


def read_graph(content: Mapping[str, Any], faults: Faults) -> Graph:
    """The graph in a saved workflow or in the definition of a subgraph. Raises WorkflowError."""
    nodes: dict[str, Node] = {}
    raw: dict[str, Any] = {}
    for entry in _list(content.get("nodes")):
        node = _read_node(entry, faults)
        if node is None:
            faults.add(NO_NODE, quoted(entry))
        elif node.id not in nodes:
            nodes[node.id], raw[node.id] = node, entry
        elif raw[node.id] != entry:
            raise WorkflowError(
                f'two nodes of the workflow have the id {node.id}: "{nodes[node.id].kind}" and '
                f'"{node.kind}", so links to {node.id} have two meanings. '
                "Open it in ComfyUI, set these links right, and save it anew."
            )
    links: dict[str, list[Link]] = {}
    ends: dict[int, str] = {}
    entries = content.get("links")
    for entry in entries.values() if isinstance(entries, dict) else _list(entries):
        if (found := _read_link(entry)) is None:
            faults.add(NO_LINK, quoted(entry))
            continue
        link_id, link, target_slot = found
        links.setdefault(link_id, []).append(link)
        if link.target == OUTPUTS and target_slot is not None:
            ends[target_slot] = link_id
    outputs = _list(content.get("outputs"))
    return Graph(
        name=_text(content.get("name")),
        nodes=nodes,
        links=links,
        inputs=tuple(_text(_dict(each).get("name")) for each in _list(content.get("inputs"))),
        outputs=tuple(ends.get(slot) for slot in range(len(outputs))),
    )


def _read_node(entry: Any, faults: Faults) -> Node | None:
    entry = _dict(entry)
    node_id, kind = as_id(entry.get("id")), entry.get("type")
    if node_id is None or not isinstance(kind, str) or not kind:
        return None
    inputs = []
    for each in _list(entry.get("inputs")):
        if isinstance(each, dict) and isinstance(each.get("name"), str):
            inputs.append(
                Socket(
                    name=each["name"],
                    type=_text(each.get("type")) or "*",
                    link=as_id(each.get("link")),
                    is_widget=bool(each.get("widget")),
                )
            )
        else:
            faults.add(NO_SOCKET, f"{quoted(each)} of node {node_id}")
    values = entry.get("widgets_values")
    mode = entry.get("mode")
    return Node(
        id=node_id,
        kind=kind,
        mode=mode if isinstance(mode, int) else 0,
        title=_text(entry.get("title")),
        properties=_dict(entry.get("properties")),
        inputs=tuple(inputs),
        outputs=tuple(
            _text(_dict(each).get("type")) or "*" for each in _list(entry.get("outputs"))
        ),
        values=values if isinstance(values, (list, dict)) else None,
    )


def _read_link(entry: Any) -> tuple[str, Link, int | None] | None:
    """(id, link, target slot) from [id, source, slot, target, slot, type] or an object."""
    if isinstance(entry, dict):
        names = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
        entry = [entry.get(name) for name in names]
    if not isinstance(entry, list) or len(entry) < 3:
        return None
    link_id, source, target = as_id(entry[0]), as_id(entry[1]), as_id([*entry, None][3])
    slot = _slot(entry[2])
    if link_id is None or source is None or slot is None:
        return None
    return link_id, Link(source=source, slot=slot, target=target or ""), _slot([*entry, 0, 0][4])


def as_id(value: Any) -> str | None:
    """An id as text. Some versions save numbers and others texts: 3, 3.0 and "3" are the same."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else None
    return str(value) if isinstance(value, (int, str)) and value != "" else None


def _slot(value: Any) -> int | None:
    number = as_id(value)
    return int(number) if number is not None and number.isdecimal() and len(number) < 9 else None


def quoted(value: Any) -> str:
    """The value as in the file, shortened if it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _list(value: Any) -> list:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
