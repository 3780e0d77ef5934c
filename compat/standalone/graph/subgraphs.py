"""A subgraph in its place, and the values that its node has for widgets inside.

Editors have saved these values in three ways: as a list, in the order of the subgraph's inputs that
lead to widgets; as a list beside "proxyWidgets" (pairs of an inner node's id and a widget, with −1
for an input of the subgraph); or as an object by name. If a value is null or missing, the inner
node's own value is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .editor_graph import INPUTS, Graph, Link, Node
from .widget_values import wrapped


@dataclass(frozen=True)
class Value:
    """A value that an input takes instead of a link."""

    value: Any


@dataclass(frozen=True, kw_only=True)
class Scope:
    """A graph in its place: the top one, or a subgraph inside a node of the outer scope."""

    graph: Graph
    path: tuple[str, ...] = ()
    outer: Scope | None = None
    host: Node | None = None  # the node of the outer scope that holds this graph

    def id_of(self, node: Node) -> str:
        return ":".join((*self.path, node.id))


def shown(scope: Scope, name: str) -> Value | None:
    """The value that the subgraph's node has for this input, if the input leads to a widget."""
    assert scope.host  # only a subgraph has inputs
    values = scope.host.values or []
    if isinstance(values, dict):
        return Value(values[name]) if name in values else None
    pairs = _proxies(scope.host)
    if pairs and len(values) == len(pairs):
        order = [each if node_id == "-1" else "" for node_id, each in pairs]
    else:
        order = [each for k, each in enumerate(scope.graph.inputs) if _promoted(scope.graph, k)]
    if name not in order or len(values) <= order.index(name):
        return None
    return Value(values[order.index(name)])


def proxied(scope: Scope, node: Node, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The values that the subgraph's node has for widgets of an inner node (editors of 2025)."""
    pairs = _proxies(scope.host)
    values = scope.host.values if scope.host else None
    if not isinstance(values, list) or len(values) != len(pairs):
        return {}
    return {
        name: wrapped(value)
        for (node_id, name), value in zip(pairs, values, strict=True)
        if node_id == node.id and name in inputs and value is not None
    }


def _proxies(host: Node | None) -> list[tuple[str, str]]:
    """(inner node's id, widget) for each value of a subgraph's node; −1 means its own input."""
    found = host.properties.get("proxyWidgets") if host else None
    pairs = found if isinstance(found, list) else []
    return [
        (str(each[0]), str(each[1])) if isinstance(each, list) and len(each) > 1 else ("", "")
        for each in pairs
    ]


def _promoted(graph: Graph, slot: int) -> bool:
    """Does this input of the subgraph lead to a widget?"""

    def leads(link_id: str, link: Link) -> bool:
        node = graph.nodes.get(link.target)
        return node is not None and any(
            socket.link == link_id and socket.is_widget for socket in node.inputs
        )

    return any(
        link.source == INPUTS and link.slot == slot and leads(link_id, link)
        for link_id, links in graph.links.items()
        for link in links
    )
