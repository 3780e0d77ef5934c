"""From a workflow file to a prompt that the executor runs.

A file is in API format ({id: {"class_type", "inputs"}}) or in the editor's own format (nodes,
links, widget values). The editor writes widget values as a bare list, in the order in which the
node's schema makes widgets: required inputs before optional ones, the inputs of a chosen option
right after their choice, and, after a seed, one more value that says what happens to it
next time. Muted nodes go; bypassed nodes hand their inputs through.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .calls import is_link, title_of
from .io import Combo, ComfyNode, DynamicCombo, Int, String, WidgetInput, live_inputs
from .io import Input as InputSocket

_MUTED, _BYPASSED = 2, 4
_NOTES = ("Note", "MarkdownNote")
_CONTROLS = ("fixed", "increment", "increment-wrap", "decrement", "randomize")
_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")

Nodes = Mapping[str, type[ComfyNode]]


class WorkflowError(ValueError):
    """The workflow file, or a --set, is not what it should be. The message is for the user."""


@dataclass(frozen=True)
class Workflow:
    prompt: dict[str, Any]
    extra_pnginfo: dict[str, Any] | None = None  # {"workflow": …} when it came from the editor


def read_workflow(path: str | Path, nodes: Nodes) -> Workflow:
    """The workflow in a JSON file of either format. Raises WorkflowError."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise WorkflowError(f'workflow "{path}" cannot be read: {error.strerror}.') from error
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError
        raise WorkflowError(f'workflow "{path}" is not JSON: {error}.') from error
    if isinstance(content, dict) and isinstance(content.get("prompt"), dict):
        content = content["prompt"]  # as it is posted to ComfyUI's /prompt
    if isinstance(content, dict) and isinstance(content.get("nodes"), list):
        return Workflow(_Editor(content, nodes).prompt(), {"workflow": content})
    if isinstance(content, dict) and content and all(_is_node(v) for v in content.values()):
        return Workflow(content)
    raise WorkflowError(
        f'workflow "{path}" is neither in API format nor saved by the editor. '
        "Save it in ComfyUI with Save or Export (API)."
    )


def _is_node(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("inputs", {}), dict)
        and ("class_type" in value or "inputs" in value)
    )


class _Editor:
    """The editor's graph, and how to read it."""

    def __init__(self, content: dict[str, Any], nodes: Nodes):
        self.classes = nodes
        self.nodes = {str(node["id"]): node for node in content["nodes"]}
        self.links = dict(_read_link(link) for link in content.get("links") or ())
        definitions = content.get("definitions") or {}
        self.subgraphs = {each["id"]: each.get("name") for each in definitions.get("subgraphs", ())}

    def prompt(self) -> dict[str, Any]:
        prompt = {}
        for node_id, node in self.nodes.items():
            kind = node["type"]
            if kind in self.subgraphs:
                raise WorkflowError(
                    f'node {node_id} is the subgraph "{self.subgraphs[kind]}", which cannot be '
                    "run yet. Unpack it in the editor, or save with Export (API)."
                )
            if kind in (*_NOTES, "Reroute", "PrimitiveNode"):
                continue
            if node.get("mode") in (_MUTED, _BYPASSED):
                continue
            prompt[node_id] = {"class_type": kind, "inputs": self.inputs(node)}
            if title := node.get("title"):
                prompt[node_id]["_meta"] = {"title": title}
        return prompt

    def inputs(self, node: dict[str, Any]) -> dict[str, Any]:
        inputs = {}
        if schema_class := self.classes.get(node["type"]):
            inputs = _widget_inputs(schema_class.GET_SCHEMA().inputs, node)
        for socket in node.get("inputs") or ():
            if socket.get("link") in self.links:
                source = self.source(self.links[socket["link"]])
                if source is not None:
                    inputs[socket["name"]] = source
        return inputs

    def source(self, link: tuple[str, int], seen: tuple = ()) -> Any:
        """[node id, slot] at the far end of reroutes and bypassed nodes; a primitive's value."""
        node_id, slot = link
        node = self.nodes.get(node_id)
        if node is None or node.get("mode") == _MUTED or link in seen:
            return None
        if node["type"] == "PrimitiveNode":
            return _wrapped((node.get("widgets_values") or [None])[0])
        if node["type"] == "Reroute":
            through = (node.get("inputs") or [{}])[0]
        elif node.get("mode") == _BYPASSED:
            through = _bypass(node, slot)
        else:
            return [node_id, slot]
        further = self.links.get((through or {}).get("link"))
        return self.source(further, (*seen, link)) if further else None


def _read_link(link: list | dict) -> tuple[int, tuple[str, int]]:
    """(link id, (source node, slot)) of [id, source, slot, target, slot, type] or an object."""
    if isinstance(link, dict):
        return link["id"], (str(link["origin_id"]), link["origin_slot"])
    return link[0], (str(link[1]), link[2])


def _bypass(node: dict[str, Any], slot: int) -> dict | None:
    """The input that a bypassed node hands to its output: same place, else first of its type."""
    outputs, inputs = node.get("outputs") or [], node.get("inputs") or []
    if slot >= len(outputs):
        return None
    kind = outputs[slot]["type"]
    candidates = [*inputs[slot : slot + 1], *inputs]
    return next((each for each in candidates if kind == "*" or each["type"] in (kind, "*")), None)


def _widget_inputs(sockets: list[InputSocket], node: dict[str, Any]) -> dict[str, Any]:
    """Widget values by input id. Values that a newer schema has and the file lacks: defaults."""
    saved = node.get("widgets_values")
    if isinstance(saved, dict):
        return {name: _wrapped(value) for name, value in saved.items()}
    values = iter(saved or ())
    inputs: dict[str, Any] = {}
    required = [socket for socket in sockets if not socket.optional]
    _take(required, values, inputs, "")
    if any(isinstance(each, Combo.Input) and each.upload for each in required):
        next(values, None)  # the upload button counts as a widget
    _take([socket for socket in sockets if socket.optional], values, inputs, "")
    return inputs


_ABSENT = object()


def _take(
    sockets: list[InputSocket], values: Iterator[Any], inputs: dict[str, Any], prefix: str
) -> None:
    for socket in sockets:
        dynamic = isinstance(socket, DynamicCombo.Input)
        if not dynamic and (not isinstance(socket, WidgetInput) or socket.force_input):
            continue
        value = next(values, _ABSENT)
        if value is _ABSENT:
            value = default_of(socket)
        if value is not None:
            inputs[prefix + socket.id] = _wrapped(value)
        if dynamic and (option := socket.chosen(value)):
            _take(option.inputs, values, inputs, f"{prefix}{socket.id}.")
        if _has_control(socket):
            _skip_control(values)


def _has_control(socket: InputSocket) -> bool:
    control = getattr(socket, "control_after_generate", None)
    if control is None and isinstance(socket, Int.Input):
        return socket.id in ("seed", "noise_seed")
    return bool(control)


def _skip_control(values: Iterator[Any]) -> None:
    word = next(values, "fixed")
    if word not in _CONTROLS:
        raise WorkflowError(
            f'the value "{word}" follows a seed, where one of {", ".join(_CONTROLS)} belongs. '
            "The workflow was saved by another version of the node; save it anew in ComfyUI."
        )


def default_of(socket: InputSocket) -> Any:
    """What the editor shows in a new node; None for a socket without a widget."""
    options = getattr(socket, "options", None)
    if getattr(socket, "default", None) is not None:
        return socket.default
    if isinstance(socket, DynamicCombo.Input):
        return options[0].key if options else None
    if isinstance(socket, Combo.Input):
        return [] if socket.multiselect else (options or [None])[0]
    return "" if isinstance(socket, String.Input) else None


def _wrapped(value: Any) -> Any:
    """Lists are links in a prompt; a list that is a value goes into a box."""
    return {"__value__": value} if isinstance(value, list) else value


def set_value(prompt: dict[str, Any], assignment: str, nodes: Nodes) -> None:
    """Change prompt by "NODE.INPUT=VALUE". Raises WorkflowError with the nearest names.

    NODE is an id, a title, or a class that occurs once. VALUE is JSON, or text as it stands.
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
    for other, socket in live_inputs(sockets, inputs).items():  # what a new choice brings
        if other.startswith(f"{name}.") and other not in inputs:
            if (value := default_of(socket)) is not None:
                inputs[other] = _wrapped(value)


def _find_node(
    prompt: dict[str, Any], target: str, assignment: str, nodes: Nodes
) -> tuple[str, str]:
    """(node id, input): input ids may have dots ("opt.lr"), and so may titles."""
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
    if kind == "COMBO" and text in (socket.options or ()):
        return text
    if kind == "BOOLEAN" and text.strip().lower() in (*_YES, *_NO):
        return text.strip().lower() in _YES
    fits = {
        "BOOLEAN": isinstance(value, bool),
        "INT": isinstance(value, int) and not isinstance(value, bool),
        "FLOAT": isinstance(value, (int, float)) and not isinstance(value, bool),
    }
    if not fits.get(kind, True):
        raise WorkflowError(f'"{assignment}": "{text}" is not {kind}.')
    return _wrapped(value)
