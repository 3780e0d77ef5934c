"""Checks whether a workflow can run. Errors have ComfyUI's types and formats.

Each output is checked with all the nodes it needs; valid outputs run even if others are invalid.
Numbers, texts and booleans are converted in place. A missing required input is an error even if the
node has a default, because defaults are the editor's task.

Some checks are stricter than ComfyUI's, which would fail later with a less clear message: an
unknown choice of a DynamicCombo, a link to a missing node or output, a link into an unknown input,
a value where only a link is possible. A fault that a node finds is shown only on the inputs that
its message names, see faults.py.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import traceback
from collections.abc import Collection, Mapping
from typing import Any

from ...faults import on_their_inputs
from .call import Call, call_of, is_link, title_of
from .node_class import ComfyNode, overrides
from .socket_types import DynamicCombo, WidgetInput

_COERCE = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
_MANY = 20  # the most options that an error message lists

Verdict = tuple[bool, dict | None, list[str], dict[str, dict]]


def validate_prompt(
    prompt: dict[str, Any],
    nodes: Mapping[str, type[ComfyNode]],
    only: Collection[str] | None = None,
) -> Verdict:
    """(ok, error, valid outputs, errors by node id). Values in the prompt are converted in place.

    only: the output nodes to check; by default all.
    """
    return asyncio.run(validate(prompt, nodes, only))


async def validate(
    prompt: dict[str, Any],
    nodes: Mapping[str, type[ComfyNode]],
    only: Collection[str] | None = None,
) -> Verdict:
    for node_id, entry in prompt.items():
        if problem := _entry_problem(node_id, entry, nodes):
            return False, problem, [], {}
        entry.setdefault("inputs", {})

    check = _Check(prompt, nodes)
    outputs = [
        node_id
        for node_id in prompt
        if (only is None or node_id in only) and check.call(node_id).schema.is_output_node
    ]
    if not outputs:
        details = (
            "the workflow has no output node. Add one that saves or shows, such as Save Image."
        )
        return False, _problem("prompt_no_outputs", "Nothing would run", details), [], {}

    good, node_errors = [], {}
    for output in outputs:
        if await check.output(output):
            good.append(output)
        else:
            _note_errors_of(output, check, node_errors)
    if good:
        return True, None, good, node_errors
    sentences = [sentence(error) for entry in node_errors.values() for error in entry["errors"]]
    details = "\n".join(dict.fromkeys(sentences))
    error = _problem(
        "prompt_outputs_failed_validation", "No output of the workflow can run", details
    )
    return False, error, [], node_errors


def _note_errors_of(output: str, check: _Check, node_errors: dict[str, dict]) -> None:
    """Add what keeps this output from running, under the nodes where it was found."""
    for node_id in check.ancestry(output):
        if errors := check.found.get(node_id):
            class_type = check.prompt[node_id]["class_type"]
            entry = node_errors.setdefault(
                node_id, {"errors": errors, "dependent_outputs": [], "class_type": class_type}
            )
            entry["dependent_outputs"].append(output)


def sentence(error: Mapping[str, Any]) -> str:
    """ "message: details", joined as in the editor; a message therefore has no full stop."""
    reason = error["details"]
    if error["type"] == "custom_validation_failed":  # its details begin with the input's name
        reason = reason.partition(" - ")[2] or reason
    return f"{error['message']}: {reason}"


def _entry_problem(node_id: str, entry: Any, nodes: Mapping[str, type[ComfyNode]]) -> dict | None:
    """What is wrong with an entry that is no node or whose class is not installed; else None."""
    if fault := _shape_fault(entry):
        details = f'{fault}. A node is an object such as {{"class_type": …, "inputs": {{…}}}}.'
        return _problem("invalid_prompt", f"Node {node_id} cannot run", details, node_id=node_id)
    class_type = entry.get("class_type")
    if class_type in nodes:
        return None
    title = title_of(node_id, {node_id: entry})
    if class_type is None:
        details = "it has no class_type. Save the workflow anew, in API format."
    else:
        details = (
            f'the class "{class_type}" is not installed. Install the node pack that has it, or '
            "take the node out of the workflow."
        )
    name = f"Node {node_id}" if title in (class_type, node_id) else f'Node {node_id} ("{title}")'
    extra = {"node_id": node_id, "class_type": class_type, "node_title": title}
    return _problem("missing_node_type", f"{name} cannot run", details, **extra)


def _shape_fault(entry: Any) -> str:
    """Why this is no node; "" if it has the form of one."""
    if not isinstance(entry, dict):
        return f"it is {_brief(entry)}"
    for name, kind in (("class_type", str), ("inputs", dict), ("_meta", dict)):
        if name in entry and not isinstance(entry[name], kind):
            return f"its {name} is {_brief(entry[name])}"
    return ""


def _brief(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:60]} …"


class _Check:
    """One validation, with what was found so far by node id."""

    def __init__(self, prompt: dict[str, Any], nodes: Mapping[str, type[ComfyNode]]):
        self.prompt = prompt
        self.nodes = nodes
        self.calls: dict[str, Call] = {}
        self.fine: dict[str, bool] = {}
        self.found: dict[str, list[dict]] = {}

    def call(self, node_id: str) -> Call:
        if node_id not in self.calls:
            self.calls[node_id] = call_of(node_id, self.prompt, self.nodes)
        return self.calls[node_id]

    def sources(self, node_id: str) -> list[str]:
        values = self.call(node_id).inputs.values()
        return [value[0] for value in values if is_link(value) and value[0] in self.prompt]

    def ancestry(self, node_id: str) -> list[str]:
        """The node and everything it depends on."""
        seen = {node_id: None}
        waiting = [node_id]
        while waiting:
            new = [source for source in self.sources(waiting.pop()) if source not in seen]
            seen |= dict.fromkeys(new)
            waiting += new
        return list(seen)

    async def output(self, node_id: str) -> bool:
        """Can this output run? What fails in the check itself is an error of the output."""
        try:
            return await self.node(node_id, [])
        except Exception as error:
            self.found[node_id] = [_exception("exception_during_validation", error)]
            return False

    async def node(self, node_id: str, path: list[str]) -> bool:
        """Can the node run, with everything it depends on? path: the nodes that led here."""
        if node_id in path:
            self.report_cycle([*path[path.index(node_id) :], node_id])
            return False
        if node_id in self.fine:
            return self.fine[node_id]
        call = self.call(node_id)
        hook = call.node.validate_inputs if overrides(call.node, "validate_inputs") else None
        spec = inspect.getfullargspec(hook) if hook else None
        judged = set(call.live) if spec and spec.varkw else set(spec.args if spec else ())
        errors: list[dict] = []
        fine, received = True, {}
        for name in [*call.live, *call.unknown_links()]:
            if name not in call.inputs:
                if not call.live[name].optional:
                    errors.append(_input_problem(call, name, "required_input_missing", name))
            elif isinstance(call.inputs[name], list):
                error = self.link_problem(call, name, received, judged)
                if error:
                    errors.append(error)
                else:
                    fine &= await self.linked(call, name, [*path, node_id])
            elif error := _value_problem(call, name, judged):
                errors.append(error)
        if spec and not errors:
            errors = on_their_inputs(await _ask_hook(call, judged, received, spec))
        known = self.found.get(node_id, [])  # a cycle further down may have named this node
        self.found[node_id] = known + [error for error in errors if error not in known]
        self.fine[node_id] = fine and not self.found[node_id]
        return self.fine[node_id]

    async def linked(self, call: Call, name: str, path: list[str]) -> bool:
        source = call.inputs[name][0]
        try:
            return await self.node(source, path)
        except Exception as error:
            found = _exception("exception_during_inner_validation", error)
            found["extra_info"] |= {"input_name": name, "linked_node": call.inputs[name]}
            self.found[source] = [found]
            self.fine[source] = False
            return False

    def link_problem(
        self, call: Call, name: str, received: dict[str, str], judged: set[str]
    ) -> dict | None:
        link = call.inputs[name]
        outputs: list = []
        if not is_link(link):
            fault = f"{link} is not [node id, output slot]"
        elif name not in call.live and not call.schema.accept_all_inputs:
            fault = "the node has no such input"
        elif link[0] not in self.prompt:
            fault = f'it is linked to node "{link[0]}", which is not in the workflow'
        else:
            outputs = self.call(link[0]).schema.outputs
            fault = f"it is linked to output {link[1]} of node {link[0]}, which has {len(outputs)}"
        slot = link[1] if outputs else -1  # which is no output's
        if slot not in range(len(outputs)):
            details = f"{name}: {fault}"
            return _input_problem(call, name, "bad_linked_input", details, received_value=link)
        received[name] = outputs[slot].io_type
        wanted = call.live[name].get_io_type() if name in call.live else "*"
        if "input_types" in judged or types_match(received[name], wanted):
            return None
        details = f"{name}, received_type({received[name]}) mismatch input_type({wanted})"
        extra = {"received_type": received[name], "linked_node": link}
        return _input_problem(call, name, "return_type_mismatch", details, **extra)

    def report_cycle(self, circle: list[str]) -> None:
        details = " -> ".join(f"{each} ({self.prompt[each]['class_type']})" for each in circle)
        members = list(dict.fromkeys(circle))
        for each in members:
            extra = {"node_id": each, "cycle_nodes": members}
            error = _problem("dependency_cycle", "The nodes wait for each other", details, **extra)
            self.found[each] = [error]
            self.fine[each] = False


def types_match(received: str, wanted: str) -> bool:
    """Are two socket types compatible? "*" matches all, and "A,B" matches A or B."""
    ours = {part.strip() for part in received.split(",")}
    theirs = {part.strip() for part in wanted.split(",")}
    return "*" in ours | theirs or bool(ours & theirs)


_MESSAGES = {
    "required_input_missing": "A required input is missing",
    "bad_linked_input": "A link leads nowhere",
    "return_type_mismatch": "The linked output has another type",
    "invalid_input_type": "The value cannot be read as the input's type",
    "value_smaller_than_min": "The value is too small",
    "value_bigger_than_max": "The value is too big",
    "value_not_in_list": "The value is not one of the choices",
    "custom_validation_failed": "The node refuses its inputs",
}


def _problem(type: str, message: str, details: str, **extra: Any) -> dict:
    return {"type": type, "message": message, "details": details, "extra_info": extra}


def _input_problem(call: Call, name: str, type: str, details: str, **extra: Any) -> dict:
    socket = call.live.get(name)
    config = (socket.get_io_type(), socket.as_dict()) if socket else None
    if config and len(config[1].get("options", ())) > _MANY:
        config = None
    extra = {"input_name": name, "input_config": config} | extra
    return _problem(type, _MESSAGES[type], details, **extra)


def _exception(type: str, error: Exception) -> dict:
    extra = {
        "exception_type": error.__class__.__name__,
        "exception_message": str(error),
        "traceback": traceback.format_tb(error.__traceback__),
    }
    return _problem(
        type, "Checking the node failed", str(error) or error.__class__.__name__, **extra
    )


def _value_problem(call: Call, name: str, judged: set[str]) -> dict | None:
    """Convert the value in place and check it against the input's bounds and choices."""
    socket = call.live[name]
    value = call.inputs[name]
    if isinstance(value, dict) and "__value__" in value:  # a list that is not a link
        value = value["__value__"]
    kind = socket.get_io_type()
    is_widget = isinstance(socket, (WidgetInput, DynamicCombo.Input))
    if not is_widget and kind != "*" and not (value is None and socket.optional):
        details = f'{name}: "{value}" stands where a link to a node that makes {kind} belongs'
        return _input_problem(call, name, "invalid_input_type", details, received_value=value)
    try:
        value = _COERCE.get(kind, lambda same: same)(value)
    except (TypeError, ValueError, OverflowError) as error:
        details = f'{name}: "{value}" is not {kind}'
        extra = {"received_value": value, "exception_message": str(error)}
        return _input_problem(call, name, "invalid_input_type", details, **extra)
    call.inputs[name] = value
    several = getattr(socket, "multiselect", False)
    if kind == "COMBO" and not isinstance(value, list if several else str):
        if value not in (getattr(socket, "options", None) or []):  # validate_inputs expects names
            details = f'{name}: "{value}" is not {"a list" if several else "a name"}'
            return _input_problem(call, name, "invalid_input_type", details, received_value=value)
    if name in judged:
        return None
    low, high = getattr(socket, "min", None), getattr(socket, "max", None)
    if low is not None and not value >= low:  # written so that NaN fails too
        details = f"{name}: {value} is below {low}"
        return _input_problem(call, name, "value_smaller_than_min", details, received_value=value)
    if high is not None and value > high:
        details = f"{name}: {value} is above {high}"
        return _input_problem(call, name, "value_bigger_than_max", details, received_value=value)
    if isinstance(socket, DynamicCombo.Input):
        choices = [option.key for option in socket.options]
    elif kind == "COMBO":
        choices = (
            getattr(socket, "options", None) or []
        )  # a node's own list may know more than ours
    else:
        return None
    if wrong := [each for each in (value if several else [value]) if each not in choices]:
        listed = choices if len(choices) <= _MANY else f"(list of length {len(choices)})"
        details = f"{name}: {', '.join(map(repr, wrong))} not in {listed}"
        return _input_problem(call, name, "value_not_in_list", details, received_value=value)
    return None


async def _ask_hook(
    call: Call, judged: set[str], received: dict[str, str], spec: inspect.FullArgSpec
) -> list[dict]:
    """The errors of validate_inputs. It gets the values, and None for linked inputs."""
    values, _ = call.values({})
    values = {name: each for name, each in values.items() if name in judged or spec.varkw}
    asked = list(values)
    if "input_types" in spec.args:
        values["input_types"] = [received]
    answers = await call.over_lists("validate_inputs", values, call.hidden({}, None))
    refusals = [answer for answer in answers if answer is not True]
    return [
        _input_problem(
            call,
            name,
            "custom_validation_failed",
            name if refusal is False else f"{name} - {refusal}",
        )
        for name in asked or call.live
        for refusal in refusals
    ]
