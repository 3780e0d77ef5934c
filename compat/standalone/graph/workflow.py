"""Reads a workflow file as a prompt for the executor.

The file is in API format ({id: {"class_type", "inputs"}}) or in the editor's own format (nodes,
links, widget values), plain or wrapped as when posted to a server. Nodes whose class is not
installed are left out and reported, if no output needs them.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypernet.text.parsing import single_number_in, whole_in

from .call import is_link, title_of
from .dynamic_inputs import live_inputs
from .editor_graph import Faults, counted
from .graph_to_prompt import NamedNode, flatten
from .node_class import ComfyNode
from .socket_types import Input as InputSocket
from .socket_types import WidgetInput
from .widget_values import default_of, wrapped
from .workflow_file import SAVE_AGAIN, WorkflowError, described, read_content

__all__ = ["Workflow", "WorkflowError", "read_workflow", "set_value"]

_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_WRAPPERS = ("prompt", "workflow", "output")  # keys that a posted or exported workflow is under
UNNEEDED = "Nodes that are not installed here were left out, since nothing that runs needs them"

Nodes = Mapping[str, type[ComfyNode]]


@dataclass(frozen=True)
class Workflow:
    prompt: dict[str, Any]
    extra_pnginfo: dict[str, Any] | None = None  # {"workflow": …} if it is in the editor's format
    notices: tuple[str, ...] = ()  # for the user: what was left out or guessed
    names: tuple[NamedNode, ...] = ()  # all nodes of the editor's graph


def read_workflow(path: str | Path, nodes: Nodes) -> Workflow:
    """The workflow in a JSON file of either format, or in a picture.

    Raises WorkflowError if there is none.
    """
    content = read_content(path)
    found = content.json
    for name in _WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            if not _is_api(found) and not _is_editor(found):
                found = found[name]
    try:
        if _is_editor(found):
            return _from_editor(found, nodes, content.notices)
    except WorkflowError as error:
        raise WorkflowError(f'workflow "{path}": {error}') from None
    except RecursionError:
        raise WorkflowError(f'workflow "{path}": its nodes nest too deep.') from None
    if _is_api(found):
        prompt = {name: _tidy(node) for name, node in found.items()}
        prompt, notices = _needed(prompt, nodes, _outputs(prompt, nodes))
        return Workflow(prompt, notices=(*content.notices, *notices))
    raise WorkflowError(
        f'workflow "{path}" is neither in API format nor saved by the editor: '
        f"{described(content.json)}. {SAVE_AGAIN}"
    )


def _is_editor(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("nodes"), list)


def _is_api(content: Any) -> bool:
    return isinstance(content, dict) and bool(content) and all(map(_is_node, content.values()))


def _is_node(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("inputs", {}), dict)
        and isinstance(value.get("class_type", ""), str)
        and ("class_type" in value or "inputs" in value)
    )


def _tidy(node: dict[str, Any]) -> dict[str, Any]:
    """The node, without its _meta if that is malformed."""
    meta = node.get("_meta")
    if meta is None or (isinstance(meta, dict) and isinstance(meta.get("title", ""), str)):
        return node
    return {name: value for name, value in node.items() if name != "_meta"}


def _from_editor(content: dict[str, Any], nodes: Nodes, notices: tuple[str, ...]) -> Workflow:
    faults = Faults()
    found = flatten(content, nodes, faults)
    outputs = [*_outputs(found.prompt, nodes), *found.holding_outputs]
    prompt, left_out = _needed(found.prompt, nodes, outputs)
    for node_id, reason in found.refused.items():
        if node_id in prompt:
            raise WorkflowError(reason)
    absent = [_named(each, prompt) for each in prompt if prompt[each]["class_type"] not in nodes]
    if outputs and absent:
        raise WorkflowError(
            f"{counted('its outputs need nodes that are not installed here', absent)} Install "
            "the node packs that have them. If they are of those that live in the editor only, "
            "save with Export (API)."
        )
    return Workflow(
        prompt,
        {"workflow": content},
        notices=(*notices, *faults.notices(), *left_out),
        names=tuple(found.names),
    )


def _named(node_id: str, prompt: Mapping[str, Any]) -> str:
    return f'"{prompt[node_id].get("class_type")}" (node {node_id})'


def _outputs(prompt: Mapping[str, Any], nodes: Nodes) -> list[str]:
    """The output nodes."""
    kinds = {entry.get("class_type") for entry in prompt.values()} & nodes.keys()
    outputs = {kind for kind in kinds if nodes[kind].GET_SCHEMA().is_output_node}
    return [each for each in prompt if prompt[each].get("class_type") in outputs]


def _needed(
    prompt: dict[str, Any], nodes: Nodes, outputs: Collection[str]
) -> tuple[dict[str, Any], list[str]]:
    """The prompt without missing nodes that no output needs, and a notice about them.

    Without any output the prompt stays complete, so that validation reports what is missing.
    """
    if not outputs:
        return prompt, []
    needed = set().union(*(_ancestry(prompt, each) for each in outputs))
    unknown = {each for each in prompt if prompt[each].get("class_type") not in nodes}
    gone = {
        each
        for each in prompt
        if each not in needed and (unknown - needed) & _ancestry(prompt, each)
    }
    named = [_named(each, prompt) for each in prompt if each in gone & unknown]
    kept = {each: prompt[each] for each in prompt if each not in gone}
    return kept, [counted(UNNEEDED, named)] if named else []


def _ancestry(prompt: Mapping[str, Any], node_id: str) -> set[str]:
    """The node and everything it depends on."""
    seen, waiting = {node_id}, [node_id]
    while waiting:
        values = prompt[waiting.pop()].get("inputs", {}).values()
        new = {v[0] for v in values if is_link(v) and v[0] in prompt} - seen
        seen |= new
        waiting += new
    return seen


def set_value(prompt: dict[str, Any], assignment: str, nodes: Nodes) -> None:
    """Apply "NODE.INPUT=VALUE" to the prompt. Raises WorkflowError with the nearest names.

    NODE is an id, a title, or a class that occurs once. VALUE is JSON or plain text.
    """
    target, equals, text = assignment.partition("=")
    if not equals or "." not in target:
        raise WorkflowError(f'"{assignment}" is not NODE.INPUT=VALUE, as in "5.steps=200".')
    node_id, name = _find_node(prompt, target, assignment, nodes)
    entry = prompt[node_id]
    inputs = entry.setdefault("inputs", {})
    known = nodes.get(entry["class_type"])
    if known is None:
        inputs[name] = _value_from(text, None, assignment)
        return
    sockets = known.GET_SCHEMA().inputs
    live = live_inputs(sockets, inputs)
    if name not in live:
        near = _nearest(name, list(live))
        raise WorkflowError(f'"{assignment}": node {node_id} has no input "{name}". {near}')
    inputs[name] = _value_from(text, live[name], assignment)
    for other, socket in live_inputs(sockets, inputs).items():  # inputs of a newly chosen option
        if other.startswith(f"{name}.") and other not in inputs:
            if (value := default_of(socket)) is not None:
                inputs[other] = wrapped(value)


def _find_node(
    prompt: dict[str, Any], target: str, assignment: str, nodes: Nodes
) -> tuple[str, str]:
    """(node id, input). Both titles and input ids ("opt.lr") may contain dots."""
    dots = [place for place, letter in enumerate(target) if letter == "."]
    for dot in dots:
        name = target[:dot].strip()
        if name in prompt:
            return name, target[dot + 1 :].strip()
        found = [each for each in prompt if name in _names(each, prompt, nodes)]
        if len(found) > 1:
            listed = ", ".join(found)
            raise WorkflowError(
                f'"{assignment}": "{name}" means nodes {listed}; give the id of one of them.'
            )
        if found:
            return found[0], target[dot + 1 :].strip()
    name = target[: dots[0]]
    every = {label for each in prompt for label in (each, *_names(each, prompt, nodes))}
    raise WorkflowError(f'"{assignment}": there is no node "{name}". {_nearest(name, list(every))}')


def _names(node_id: str, prompt: dict[str, Any], nodes: Nodes) -> set[str]:
    class_type = prompt[node_id].get("class_type", "")
    schema = nodes[class_type].GET_SCHEMA() if class_type in nodes else None
    return {class_type, title_of(node_id, prompt, schema)}


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 3, 0.4) or sorted(known)[:8]
    return f"Near: {', '.join(near)}." if near else "It has none."


def _value_from(text: str, socket: InputSocket | None, assignment: str) -> Any:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    kind = socket.get_io_type() if socket else ""
    if is_link(value) and not isinstance(socket, WidgetInput):
        return value
    if kind == "STRING":
        return value if isinstance(value, str) else text
    if kind == "COMBO" and text in (getattr(socket, "options", None) or ()):
        return text
    if kind == "BOOLEAN" and text.strip().lower() in (*_YES, *_NO):
        return text.strip().lower() in _YES
    if kind in ("INT", "FLOAT"):
        value = whole_in(text) if kind == "INT" else single_number_in(text)
    fits = {
        "BOOLEAN": isinstance(value, bool),
        "INT": value is not None,
        "FLOAT": value is not None,
    }
    if not fits.get(kind, True):
        raise WorkflowError(f'"{assignment}": "{text}" is not {kind}.')
    return wrapped(value)
