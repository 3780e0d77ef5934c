"""Converts the editor's graph to the prompt that it would queue: {id: {"class_type", "inputs"}}.

Links are followed through virtual nodes to where the value comes from: reroutes, primitives, Set
and Get nodes, and subgraphs (whose nodes get ids such as "5:3"). Muted nodes are dropped, and
bypassed ones pass on an input of the wanted type. Nodes that can't be followed, such as the group
nodes of older editors, stay in the prompt and are refused only if an output needs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .editor_graph import BYPASSED, INPUTS, MUTED, OUTPUTS, Faults, Graph, Node, Socket, read_graph
from .editor_nodes import (
    BROADCASTS,
    GETTERS,
    GROUPS,
    PRIMITIVES,
    SETTERS,
    UUID,
    bypass,
    first_value,
    is_virtual,
    variable,
)
from .node_class import ComfyNode, Schema
from .subgraphs import Scope, Value, proxied, shown
from .widget_values import widget_inputs, wrapped
from .workflow_file import WorkflowError

Nodes = Mapping[str, type[ComfyNode]]

CURE = "save with Export (API)"

NOWHERE = "Inputs whose link leads to nothing were taken as not linked"
UNFOLLOWED = (
    "Nodes that hand values on without links were left out, since only the editor can follow them. "
    f"If an input is missing now, {CURE}"
)


Source = list | Value | None  # [node id, slot]


@dataclass
class Flattened:
    """The prompt, and other information from the graph."""

    prompt: dict[str, dict] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # why a node cannot be run, by id
    holding_outputs: list[str] = field(default_factory=list)  # refused nodes that may save results
    names: list[NamedNode] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class NamedNode:
    """A node as %Node.widget% in a file name finds it."""

    id: str
    search_name: str
    title: str
    values: Mapping[str, Any]


def flatten(content: Mapping[str, Any], nodes: Nodes, faults: Faults) -> Flattened:
    """The prompt of a graph. Raises WorkflowError if the graph is ambiguous."""
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
        """The schema of an installed class, cached: each GET_SCHEMA call reads the disk."""
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
            if is_virtual(node, self.classes):
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
            values = {"value": first_value(node.values)} if node.kind in PRIMITIVES else {}
            values |= self.widgets(node)
        except WorkflowError:
            values = {}  # if the node is run, `inputs` raises the error
        named = NamedNode(
            id=scope.id_of(node),
            search_name=search_name if isinstance(search_name, str) else node.kind,
            title=node.title or (known and known.display_name) or node.kind,
            values=values,
        )
        self.result.names.append(named)

    def refuse_if_unknown(self, node_id: str, node: Node) -> None:
        """Record why a node of an older editor or of an incomplete file cannot be run."""
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
        inputs |= proxied(scope, node, inputs)
        for socket in node.inputs:
            source = self.source_of_input(scope, node, socket, socket.type, ())
            if isinstance(source, Value):
                if source.value is not None:  # otherwise the widget keeps its own value
                    inputs[socket.name] = wrapped(source.value)
            elif source is not None:
                inputs[socket.name] = source
        return inputs

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
        """The source of a subgraph's input: what its node is linked to, or its widget's value."""
        assert scope.outer and scope.host  # only a subgraph has inputs
        names = scope.graph.inputs
        if slot >= len(names):
            self.faults.add(NOWHERE, f'input {slot} of the subgraph "{scope.graph.name}"')
            return None
        socket = scope.host.input(names[slot])
        if socket and socket.link is not None:
            return self.source_of_input(scope.outer, scope.host, socket, wanted, seen)
        return shown(scope, names[slot])

    # Sources

    def source(self, scope: Scope, node: Node, slot: int, wanted: str, seen: tuple) -> Source:
        """Where the value of this output really comes from."""
        place = (scope.path, node.id, slot)
        if node.mode == MUTED or place in seen:
            return None
        seen = (*seen, place)
        if node.mode == BYPASSED:
            through = bypass(node, slot, wanted)
        elif node.kind in self.subgraphs:
            return self.from_inside(self.inside(scope, node), slot, wanted, seen)
        elif not is_virtual(node, self.classes):
            return [scope.id_of(node), slot]
        elif node.kind in PRIMITIVES:
            return Value(first_value(node.values))
        elif node.kind in GETTERS:
            return self.set_elsewhere(scope, node, wanted, seen)
        else:  # a reroute or a Set node
            through = node.inputs[0] if node.inputs else None
        return self.source_of_input(scope, node, through, wanted, seen) if through else None

    def inside(self, scope: Scope, node: Node) -> Scope:
        """The scope of the subgraph in this node."""
        path = (*scope.path, node.id)
        if path not in self.inner:
            around, graph = scope, self.subgraphs[node.kind]
            while around is not None:
                if around.graph is graph:
                    raise WorkflowError(
                        f'the subgraph "{graph.name}" contains itself. Unpack it in the editor.'
                    )
                around = around.outer
            self.inner[path] = Scope(graph=graph, path=path, outer=scope, host=node)
        return self.inner[path]

    def from_inside(self, scope: Scope, slot: int, wanted: str, seen: tuple) -> Source:
        """The source of a subgraph's output."""
        ends = scope.graph.outputs
        link_id = ends[slot] if slot < len(ends) else None
        link = scope.graph.link(link_id, OUTPUTS)
        origin = scope.graph.nodes.get(link.source) if link else None
        if link and link.source == INPUTS:
            return self.from_outside(scope, link.slot, wanted, seen)
        if link is None or origin is None:
            self.faults.add(NOWHERE, f'output {slot} of the subgraph "{scope.graph.name}"')
            return None
        return self.source(scope, origin, link.slot, wanted, seen)

    def set_elsewhere(self, scope: Scope, getter: Node, wanted: str, seen: tuple) -> Source:
        """The source of a Get node: a Set node of the same name, in this graph or an outer one."""
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
