"""The editor's graph as the prompt that it would queue: {id: {"class_type", "inputs"}}.

Nodes that live in the editor only are followed to where their value comes from: reroutes,
primitives, Set and Get nodes, subgraphs (whose nodes get ids such as "5:3"). Muted nodes go,
bypassed ones hand an input of the wanted type through. What cannot be followed, such as the group
nodes of older editors, stays in the prompt under its own type and is refused only if it is needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .editor_graph import (
    BYPASSED,
    INPUTS,
    MUTED,
    OUTPUTS,
    Faults,
    Graph,
    Link,
    Node,
    Socket,
    read_graph,
)
from .io import ComfyNode, Schema
from .validation import types_match
from .widget_values import widget_inputs, wrapped
from .workflow_file import WorkflowError

Nodes = Mapping[str, type[ComfyNode]]

CURE = "save with Export (API)"

# Classes that no server knows, by what the editor does with them. A class that is installed is
# never one of these.
REROUTES = ("Reroute", "Reroute (rgthree)", "ReroutePrimitive|pysssss", "Reroute Primitive 🐍")
SETTERS = ("SetNode", "easy setNode")
GETTERS = ("GetNode", "easy getNode")
PRIMITIVES = (
    "PrimitiveNode", "PrimitiveInt", "PrimitiveFloat", "PrimitiveString",
    "PrimitiveStringMultiline", "PrimitiveBoolean",
)  # fmt: skip
DECORATIONS = (
    "Note", "MarkdownNote", "Note Plus (mtb)", "Label (rgthree)", "Bookmark (rgthree)",
    "Fast Groups Muter (rgthree)", "Fast Groups Bypasser (rgthree)", "Fast Muter (rgthree)",
    "Fast Bypasser (rgthree)", "Fast Actions Button (rgthree)", "Node Collector (rgthree)",
    "Mute / Bypass Relay (rgthree)", "Mute / Bypass Repeater (rgthree)",
    "Random Unmuter (rgthree)", "Node Combiner (rgthree)",
)  # fmt: skip
BROADCASTS = (
    "Anything Everywhere", "Anything Everywhere?", "Anything Everywhere3", "Prompts Everywhere",
    "Seed Everywhere",
)  # fmt: skip
GROUPS = ("workflow/", "workflow>")  # in front of a group node's name
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

NOWHERE = "Inputs whose link leads to nothing were taken as not linked"
UNFOLLOWED = (
    "Nodes that hand values on without links were left out, since only the editor can follow them. "
    f"If an input is missing now, {CURE}"
)


@dataclass(frozen=True)
class Value:
    """What an input takes instead of a link."""

    value: Any


Source = list | Value | None  # [node id, slot]


@dataclass(frozen=True, kw_only=True)
class Scope:
    """A graph where it stands: the top one, or a subgraph inside a node of the outer scope."""

    graph: Graph
    path: tuple[str, ...] = ()
    outer: Scope | None = None
    host: Node | None = None  # the node of the outer scope that holds this graph

    def id_of(self, node: Node) -> str:
        return ":".join((*self.path, node.id))


@dataclass
class Flattened:
    """The prompt, and what else the graph says."""

    prompt: dict[str, dict] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # why a node cannot be run, by id
    holding_outputs: list[str] = field(default_factory=list)  # refused nodes that may save results
    names: list[NamedNode] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class NamedNode:
    """What %Node.widget% finds in a file name."""

    id: str
    search_name: str
    title: str
    values: Mapping[str, Any]


def flatten(content: Mapping[str, Any], nodes: Nodes, faults: Faults) -> Flattened:
    """Raises WorkflowError for a graph with two meanings."""
    return _Flattening(content, nodes, faults).all()


class _Flattening:
    def __init__(self, content: Mapping[str, Any], nodes: Nodes, faults: Faults):
        self.classes = nodes
        self.faults = faults
        self.top = Scope(graph=read_graph(content, faults))
        self.subgraphs: dict[str, Graph] = {}
        self.unread: dict[str, str] = {}  # names of subgraphs without nodes
        self.read_subgraphs(content)
        extra = content.get("extra")
        groups = extra.get("groupNodes") if isinstance(extra, dict) else None
        self.groups: Mapping[str, Any] = groups if isinstance(groups, dict) else {}
        self.inner: dict[tuple[str, ...], Scope] = {}
        self.schemas: dict[str, Schema] = {}
        self.result = Flattened()

    def schema(self, kind: str) -> Schema | None:
        """Of an installed class; it is made anew at every call, with a look at the disk."""
        if kind not in self.schemas and kind in self.classes:
            self.schemas[kind] = self.classes[kind].GET_SCHEMA()
        return self.schemas.get(kind)

    def read_subgraphs(self, content: Mapping[str, Any]) -> None:
        definitions = content.get("definitions")
        found = definitions.get("subgraphs") if isinstance(definitions, dict) else None
        for each in found if isinstance(found, list) else ():
            if not isinstance(each, dict) or not isinstance(each.get("id"), str):
                continue
            if isinstance(each.get("nodes"), list):
                self.subgraphs[each["id"]] = read_graph(each, self.faults)
            else:
                self.unread[each["id"]] = str(each.get("name"))
            self.read_subgraphs(each)  # some versions nest them

    def all(self) -> Flattened:
        self.add(self.top)
        return self.result

    def add(self, scope: Scope) -> None:
        for node in scope.graph.nodes.values():
            self.name(scope, node)
            if node.mode in (MUTED, BYPASSED):
                continue
            if self.is_virtual(node):
                if node.kind in BROADCASTS:
                    self.faults.add(UNFOLLOWED, f'"{node.kind}" (node {scope.id_of(node)})')
                continue
            if node.kind in self.subgraphs:
                self.add(self.inside(scope, node))
                continue
            node_id = scope.id_of(node)
            entry: dict[str, Any] = {"class_type": node.kind, "inputs": self.inputs(scope, node)}
            if node.title:
                entry["_meta"] = {"title": node.title}
            self.result.prompt[node_id] = entry
            self.refuse_if_unknown(node_id, node)

    def name(self, scope: Scope, node: Node) -> None:
        known = self.schema(node.kind)
        search_name = node.properties.get("Node name for S&R")
        try:
            values = {"value": _first(node.values)} if node.kind in PRIMITIVES else {}
            values |= self.widgets(node)
        except WorkflowError:
            values = {}  # if the node is run, `inputs` tells
        named = NamedNode(
            id=scope.id_of(node),
            search_name=search_name if isinstance(search_name, str) else node.kind,
            title=node.title or (known and known.display_name) or node.kind,
            values=values,
        )
        self.result.names.append(named)

    def is_virtual(self, node: Node) -> bool:
        return node.kind not in self.classes and (
            node.kind in (*DECORATIONS, *PRIMITIVES, *SETTERS, *GETTERS, *BROADCASTS)
            or self.is_reroute(node)
        )

    def is_reroute(self, node: Node) -> bool:
        if node.kind in self.classes or len(node.inputs) > 1 or len(node.outputs) > 1:
            return node.kind in REROUTES and node.kind not in self.classes
        return node.kind in REROUTES or "reroute" in node.kind.lower()

    def refuse_if_unknown(self, node_id: str, node: Node) -> None:
        """Note why a node of an older editor, or of a file that is not whole, cannot be run."""
        group = next((node.kind.removeprefix(g) for g in GROUPS if node.kind.startswith(g)), None)
        if group is not None:
            self.result.refused[node_id] = (
                f'node {node_id} is the group node "{group}" of an older editor, which cannot be '
                "run here. Open the workflow in ComfyUI, which makes a subgraph of it, and save "
                f"it anew, or {CURE}."
            )
            inner = self.groups.get(group)
            if self.holds_output(inner.get("nodes") if isinstance(inner, dict) else None):
                self.result.holding_outputs.append(node_id)
        elif node.kind in self.unread:
            self.result.refused[node_id] = (
                f'node {node_id} is the subgraph "{self.unread[node.kind]}", whose nodes are not '
                f"in the file. Unpack it in the editor, or {CURE}."
            )
        elif UUID.fullmatch(node.kind):
            self.result.refused[node_id] = (
                f"node {node_id} is a subgraph that is not in the file. Save the workflow anew in "
                f"ComfyUI, or {CURE}."
            )

    def holds_output(self, entries: Any) -> bool:
        kinds = [each.get("type") for each in entries or () if isinstance(each, dict)]
        known = [self.schema(kind) for kind in kinds if isinstance(kind, str)]
        return any(each.is_output_node for each in known if each)

    # Inputs

    def widgets(self, node: Node) -> dict[str, Any]:
        known = self.schema(node.kind)
        return widget_inputs(known.inputs, node.values) if known else {}

    def inputs(self, scope: Scope, node: Node) -> dict[str, Any]:
        try:
            inputs = self.widgets(node)
        except WorkflowError as error:
            raise WorkflowError(f'node {scope.id_of(node)} "{node.kind}": {error}') from None
        inputs |= self.proxied(scope, node, inputs)
        for socket in node.inputs:
            source = self.source_of_input(scope, node, socket, socket.type, ())
            if isinstance(source, Value):
                if source.value is not None:  # otherwise the widget's own value stands
                    inputs[socket.name] = wrapped(source.value)
            elif source is not None:
                inputs[socket.name] = source
        return inputs

    def proxied(self, scope: Scope, node: Node, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Values that the subgraph's node shows for widgets of this one (some editors of 2025)."""
        pairs = _proxies(scope.host)
        values = scope.host.values if scope.host else None
        if not isinstance(values, list) or len(values) != len(pairs):
            return {}
        return {
            name: wrapped(value)
            for (node_id, name), value in zip(pairs, values, strict=True)
            if node_id == node.id and name in inputs and value is not None
        }

    def source_of_input(
        self, scope: Scope, node: Node, socket: Socket, wanted: str, seen: tuple
    ) -> Source:
        if socket.link is None:
            return None
        link = scope.graph.link(socket.link, node.id)
        if link is None:
            name = f'node {scope.id_of(node)} "{socket.name}" (link {socket.link})'
            self.faults.add(NOWHERE, name)
            return None
        if link.source == INPUTS and scope.outer and scope.host:
            return self.from_outside(scope, link.slot, wanted, seen)
        origin = scope.graph.nodes.get(link.source)
        if origin is None:
            name = f'node {scope.id_of(node)} "{socket.name}" (from node {link.source})'
            self.faults.add(NOWHERE, name)
            return None
        return self.source(scope, origin, link.slot, wanted, seen)

    def from_outside(self, scope: Scope, slot: int, wanted: str, seen: tuple) -> Source:
        """What the subgraph's node gets, or shows, for this socket of the subgraph."""
        names = scope.graph.inputs
        if slot >= len(names):
            self.faults.add(NOWHERE, f'input {slot} of the subgraph "{scope.graph.name}"')
            return None
        socket = scope.host.input(names[slot])
        if socket and socket.link is not None:
            return self.source_of_input(scope.outer, scope.host, socket, wanted, seen)
        return self.shown(scope, names[slot])

    def shown(self, scope: Scope, name: str) -> Value | None:
        """The value in the subgraph's node, which has a widget for each input that leads to one."""
        values = scope.host.values
        if isinstance(values, dict):
            return Value(values[name]) if name in values else None
        pairs = _proxies(scope.host)
        if pairs and len(values or ()) == len(pairs):
            order = [each if node_id == "-1" else "" for node_id, each in pairs]
        else:
            order = [each for k, each in enumerate(scope.graph.inputs) if _promoted(scope.graph, k)]
        if name not in order or len(values or ()) <= order.index(name):
            return None
        return Value(values[order.index(name)])

    # Sources

    def source(self, scope: Scope, node: Node, slot: int, wanted: str, seen: tuple) -> Source:
        """Where the value at this output really comes from."""
        place = (scope.path, node.id, slot)
        if node.mode == MUTED or place in seen:
            return None
        seen = (*seen, place)
        if node.mode == BYPASSED:
            through = bypass(node, slot, wanted)
        elif node.kind in self.subgraphs:
            return self.from_inside(self.inside(scope, node), slot, wanted, seen)
        elif not self.is_virtual(node):
            return [scope.id_of(node), slot]
        elif node.kind in PRIMITIVES:
            return Value(_first(node.values))
        elif node.kind in GETTERS:
            return self.set_elsewhere(scope, node, wanted, seen)
        else:  # a reroute or a Set node
            through = node.inputs[0] if node.inputs else None
        return self.source_of_input(scope, node, through, wanted, seen) if through else None

    def inside(self, scope: Scope, node: Node) -> Scope:
        """The subgraph that this node holds."""
        path = (*scope.path, node.id)
        if path not in self.inner:
            around, graph = scope, self.subgraphs[node.kind]
            while around is not None:
                if around.graph is graph:
                    raise WorkflowError(f'the subgraph "{graph.name}" contains itself.')
                around = around.outer
            self.inner[path] = Scope(graph=graph, path=path, outer=scope, host=node)
        return self.inner[path]

    def from_inside(self, scope: Scope, slot: int, wanted: str, seen: tuple) -> Source:
        """What ends at this output of a subgraph."""
        ends = scope.graph.outputs
        link_id = ends[slot] if slot < len(ends) else None
        link = scope.graph.link(link_id, OUTPUTS)
        origin = scope.graph.nodes.get(link.source) if link else None
        if link and link.source == INPUTS:
            return self.from_outside(scope, link.slot, wanted, seen)
        if origin is None:
            self.faults.add(NOWHERE, f'output {slot} of the subgraph "{scope.graph.name}"')
            return None
        return self.source(scope, origin, link.slot, wanted, seen)

    def set_elsewhere(self, scope: Scope, getter: Node, wanted: str, seen: tuple) -> Source:
        """The Set node of the same name, in this graph or in one around it."""
        name = variable(getter)
        around: Scope | None = scope
        while around is not None:
            for node in around.graph.nodes.values():
                if node.kind in SETTERS and variable(node) == name and node.mode != MUTED:
                    return self.source(around, node, 0, wanted, seen)
            around = around.outer
        node_id = scope.id_of(getter)
        self.faults.add(NOWHERE, f'node {node_id} gets "{name}", which no Set node has')
        return None


def variable(node: Node) -> str:
    """The name that a Set or Get node sets or gets."""
    name = _first(node.values)
    if not isinstance(name, str) or not name:
        name = node.properties.get("previousName") or node.title.partition("_")[2]
    return str(name)


def bypass(node: Node, slot: int, wanted: str) -> Socket | None:
    """The input that a bypassed node hands to its output: at the same place, else the first of
    the very type that is wanted, else the first that fits."""
    if slot >= len(node.outputs):
        return None
    kind = node.outputs[slot] if wanted == "*" else wanted
    same = node.inputs[slot : slot + 1]
    exact = tuple(each for each in node.inputs if each.type == kind)
    candidates = (*(each for each in same if types_match(each.type, kind)), *exact, *node.inputs)
    return next((each for each in candidates if types_match(each.type, kind)), None)


def _first(values: list | dict | None) -> Any:
    if isinstance(values, dict):
        return next(iter(values.values()), None)
    return values[0] if values else None


def _proxies(host: Node | None) -> list[tuple[str, str]]:
    """(id of the inner node, widget) for each value of a subgraph's node; −1 is an own input."""
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
