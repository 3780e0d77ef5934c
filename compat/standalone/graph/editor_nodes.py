"""Virtual nodes: they exist only in the editor, and no server has a class for them.

Some pass a value on, others are decoration. If a class of such a name is installed, it is run as
an ordinary node.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Any

from .editor_graph import Node, Socket
from .validation import types_match

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
GROUPS = ("workflow/", "workflow>")  # prefixes of group nodes
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def is_virtual(node: Node, installed: Container[str]) -> bool:
    return node.kind not in installed and (
        node.kind in (*DECORATIONS, *PRIMITIVES, *SETTERS, *GETTERS, *BROADCASTS)
        or is_reroute(node)
    )


def is_reroute(node: Node) -> bool:
    alone = len(node.inputs) <= 1 and len(node.outputs) <= 1
    return node.kind in REROUTES or (alone and "reroute" in node.kind.lower())


def variable(node: Node) -> str:
    """The variable that a Set or Get node sets or gets."""
    name = first_value(node.values)
    if not isinstance(name, str) or not name:
        name = node.properties.get("previousName") or node.title.partition("_")[2]
    return str(name)


def bypass(node: Node, slot: int, wanted: str) -> Socket | None:
    """The input that a bypassed node passes to its output.

    It is the input at the same place if its type fits, otherwise the first of exactly the wanted
    type, otherwise the first that fits.
    """
    if slot >= len(node.outputs):
        return None
    kind = node.outputs[slot] if wanted == "*" else wanted
    same = node.inputs[slot : slot + 1]
    exact = tuple(each for each in node.inputs if each.type == kind)
    candidates = (*(each for each in same if types_match(each.type, kind)), *exact, *node.inputs)
    return next((each for each in candidates if types_match(each.type, kind)), None)


def first_value(values: list | dict | None) -> Any:
    if isinstance(values, dict):
        return next(iter(values.values()), None)
    return values[0] if values else None
