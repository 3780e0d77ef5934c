"""Calls a node's method: its inputs are lists, and it returns a list of results.

A single value is a list of one. The node is called once for each place of the longest list; shorter
lists repeat their last value. A node that takes lists (`is_input_list`) is called once with all of
them. If an input is an ExecutionBlocker, the node is not called and the blocker is the result.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .dynamic_inputs import live_inputs, nest, nested_paths
from .node_class import ComfyNode, ExecutionBlocker, Schema, locked_clone
from .socket_types import Input


def is_link(value: Any) -> bool:
    """Is it a link, [node id, output slot]?"""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], (int, float))
    )


@dataclass(frozen=True, kw_only=True)
class Call:
    """A node of the workflow, with its schema and the inputs that its current choices give it."""

    node_id: str
    node: type[ComfyNode]
    schema: Schema
    inputs: dict[str, Any]  # values and links, by input id; validation converts values in place
    live: Mapping[str, Input]  # see io.live_inputs
    paths: Mapping[str, str]  # see io.nested_paths

    def values(self, outputs: Mapping[str, list[list]]) -> tuple[dict[str, list], set[str]]:
        """The inputs as lists, and the names of those whose source has not run ([None])."""
        values, missing = {}, set()
        for name, value in self.inputs.items():
            known = self.live.get(name)
            if is_link(value) and not (known and known.raw_link):
                slots = outputs.get(value[0], [])
                if value[1] < len(slots):
                    values[name] = slots[value[1]]
                else:
                    values[name] = [None]
                    missing.add(name)
            elif known or self.schema.accept_all_inputs:
                values[name] = [value]
        return values, missing

    def unknown_links(self) -> list[str]:
        """Linked inputs that the schema does not have."""
        return [n for n, value in self.inputs.items() if n not in self.live and is_link(value)]

    def hidden(self, prompt: Mapping, extra_pnginfo: Mapping | None) -> dict[str, Any]:
        known = {"unique_id": self.node_id, "prompt": prompt, "extra_pnginfo": extra_pnginfo}
        return {each.name: known.get(each.name) for each in self.schema.hidden}

    async def over_lists(
        self,
        method: str,
        values: Mapping[str, list],
        hidden: Mapping[str, Any],
        blocked: Callable[[ExecutionBlocker], ExecutionBlocker] = lambda blocker: blocker,
    ) -> list:
        """The method's result for each place of the lists, or blocked(blocker) if it is blocked."""
        if empty := [name for name, each in values.items() if len(each) == 0]:
            raise ValueError(f'input "{empty[0]}" received an empty list; nothing to run on.')
        if self.schema.is_input_list:
            places = [dict(values)]
            blockers = [b for each in values.values() for b in each if _blocks(b)]
        else:
            longest = max((len(each) for each in values.values()), default=1)
            places = [
                {name: each[min(place, len(each) - 1)] for name, each in values.items()}
                for place in range(longest)
            ]
            blockers = []
        results = []
        for place in places:
            if found := blockers or [value for value in place.values() if _blocks(value)]:
                results.append(blocked(found[0]))
                continue
            bound = getattr(locked_clone(self.node, dict(hidden)), method)
            result = bound(**nest(place, dict(self.paths)))
            results.append(await result if inspect.isawaitable(result) else result)
        return results


def _blocks(value: Any) -> bool:
    return isinstance(value, ExecutionBlocker)


def call_of(node_id: str, prompt: Mapping[str, Any], nodes: Mapping[str, type[ComfyNode]]) -> Call:
    entry = prompt[node_id]
    node = nodes[entry["class_type"]]
    schema = node.GET_SCHEMA()
    live = live_inputs(schema.inputs, entry["inputs"])
    return Call(
        node_id=node_id,
        node=node,
        schema=schema,
        inputs=entry["inputs"],
        live=live,
        paths=nested_paths(live, entry["inputs"]),
    )


def title_of(node_id: str, prompt: Mapping[str, Any], schema: Schema | None = None) -> str:
    """The node's title in the editor, otherwise its display name, otherwise its class."""
    title = prompt[node_id].get("_meta", {}).get("title")
    return title or (schema and schema.display_name) or prompt[node_id].get("class_type", node_id)
