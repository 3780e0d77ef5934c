"""Does what the editor does to a graph when it is queued.

Prompts: comments (// to the end of the line, /* … */) are removed, one alternative of {a|b} is
chosen, and \\{ is a plain brace. The editor chooses at random; here the workflow's seed decides, so
that a run can be repeated. File names: %date:yyyy-MM-dd% and %Node.widget% are filled in; a node is
found by its "Node name for S&R", otherwise by its title. A widget without a value gets its default.

A prompt in API format was queued before, so it is used unchanged, as in ComfyUI. Whatever in it
looks like it should have been filled in is reported.
"""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from .call import is_link
from .dynamic_inputs import live_inputs
from .editor_graph import Faults
from .graph_to_prompt import NamedNode
from .node_class import ComfyNode
from .socket_types import Input, String
from .widget_values import default_of, has_widget, wrapped
from .workflow import Workflow

Nodes = Mapping[str, type[ComfyNode]]
Pick = Callable[[list[str]], str]

FILE_NAME = "filename_prefix"
_SEEDS = ("seed", "noise_seed")
_COMMENT = re.compile(r"/\*.*?\*/|//[^\r\n\u2028\u2029]*", re.DOTALL)
_ESCAPED = re.compile(r"\\([{}|])")
_ALTERNATIVES = re.compile(r"(?<!\\)\{[^{}]*\|[^{}]*\}")
_WORD = re.compile(r"%([^%]+)%")
_OF_SAVING = ("width", "height", "year", "month", "day", "hour", "minute", "second")
_DATE = re.compile(r"d{1,2}|M{1,2}|h{1,2}|m{1,2}|s{1,2}|y{2,4}")
_NOT_IN_NAMES = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')
_SHOWN = 60  # letters of a prompt in a notice

CHOSEN = "Alternatives were chosen by seed {seed}"
COMMENTS = "Comments were taken out of prompts, as in the editor"
UNKNOWN = "Words of file names that mean nothing stay as they are"
DEFAULTS = "Widgets that have no value in the file take their default"
AS_THEY_STAND = (
    "The workflow is in API format, where nothing is filled in, as in ComfyUI. "
    "These are taken as they stand"
)


def as_queued(
    workflow: Workflow, nodes: Nodes, seed: int | None = None, now: datetime | None = None
) -> Workflow:
    """The workflow as the editor would send it now.

    seed: chooses among alternatives; by default the first seed in the workflow.
    """
    prompt, faults = copy.deepcopy(workflow.prompt), Faults()
    if workflow.extra_pnginfo is None:
        _name_what_stands(prompt, nodes, faults)
    else:
        _give_defaults(prompt, nodes, faults)
        _fill_in_file_names(prompt, workflow.names, now or datetime.now(), faults)
        _resolve_prompts(prompt, nodes, _seed_in(prompt) if seed is None else seed, faults)
    return replace(workflow, prompt=prompt, notices=(*workflow.notices, *faults.notices()))


def _sockets(prompt: Mapping[str, Any], nodes: Nodes) -> Iterator[tuple[str, str, Input, dict]]:
    """(node id, input name, socket, the node's inputs) for every input of an installed class."""
    for node_id, entry in prompt.items():
        if known := nodes.get(entry.get("class_type")):
            inputs = entry.setdefault("inputs", {})
            for name, socket in live_inputs(known.GET_SCHEMA().inputs, inputs).items():
                yield node_id, name, socket, inputs


def _dynamic(prompt: Mapping[str, Any], nodes: Nodes) -> Iterator[tuple[str, str, dict]]:
    for node_id, name, socket, inputs in _sockets(prompt, nodes):
        if isinstance(socket, String.Input) and socket.dynamic_prompts:
            if isinstance(inputs.get(name), str):
                yield node_id, name, inputs


def _file_names(prompt: Mapping[str, Any]) -> Iterator[tuple[str, dict]]:
    for node_id, entry in prompt.items():
        if isinstance(entry.get("inputs", {}).get(FILE_NAME), str):
            yield node_id, entry["inputs"]


def _name_what_stands(prompt: Mapping[str, Any], nodes: Nodes, faults: Faults) -> None:
    for node_id, name, inputs in _dynamic(prompt, nodes):
        for pattern in (_ALTERNATIVES, _COMMENT):
            for found in pattern.finditer(inputs[name]):
                faults.add(AS_THEY_STAND, f'node {node_id} {name} "{_short(found[0])}"')
    for node_id, inputs in _file_names(prompt):
        for found in _WORD.finditer(inputs[FILE_NAME]):
            if found[1] not in _OF_SAVING:
                faults.add(AS_THEY_STAND, f'node {node_id} {FILE_NAME} "{_short(found[0])}"')


def _give_defaults(prompt: Mapping[str, Any], nodes: Nodes, faults: Faults) -> None:
    for node_id, name, socket, inputs in _sockets(prompt, nodes):
        if name not in inputs and has_widget(socket):
            if (value := default_of(socket)) is not None:
                inputs[name] = wrapped(value)
                faults.add(DEFAULTS, f"node {node_id} {name} = {_short(str(value))}")


# --- prompts


def _seed_in(prompt: Mapping[str, Any]) -> int:
    values = [entry.get("inputs", {}).get(name) for entry in prompt.values() for name in _SEEDS]
    return next((each for each in values if isinstance(each, int)), 0)


def _resolve_prompts(prompt: Mapping[str, Any], nodes: Nodes, seed: int, faults: Faults) -> None:
    for node_id, name, inputs in _dynamic(prompt, nodes):
        text = inputs[name]
        for comment in _COMMENT.findall(text):
            faults.add(COMMENTS, f'node {node_id} "{_short(comment)}"')
        dice, chosen = random.Random(f"{seed}/{node_id}/{name}"), []
        inputs[name] = resolve(text, partial(_choose, dice, chosen))
        for each in chosen:
            faults.add(CHOSEN.format(seed=seed), f'node {node_id} "{_short(each)}"')


def _choose(dice: random.Random, chosen: list[str], alternatives: list[str]) -> str:
    found = dice.choice(alternatives)
    if len(alternatives) > 1:
        chosen.append(found)
    return found


def resolve(text: str, pick: Pick) -> str:
    """The prompt without comments and with one alternative of each {a|b}. Braces may nest."""
    text = _COMMENT.sub("", text)
    parts, place = [], 0
    while place < len(text):
        if text[place] == "\\":
            parts.append(text[place : place + 2])
            place += 2
        elif text[place] == "{":
            alternatives, place = _alternatives(text, place + 1)
            parts.append(resolve(pick(alternatives), pick))
        else:
            parts.append(text[place])
            place += 1
    return _ESCAPED.sub(r"\1", "".join(parts))


def _alternatives(text: str, start: int) -> tuple[list[str], int]:
    """The alternatives from `start` on, and the place after their brace, if it is ever closed."""
    found, depth, begin, place = [], 0, start, start
    while place < len(text) and (depth or text[place] != "}"):
        if text[place] == "|" and not depth:
            found.append(text[begin:place])
            begin = place + 1
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        place += 2 if text[place] == "\\" else 1
    return [*found, text[begin:place]], place + 1


# --- file names


def _fill_in_file_names(
    prompt: Mapping[str, Any], names: Sequence[NamedNode], now: datetime, faults: Faults
) -> None:
    for node_id, inputs in _file_names(prompt):

        def filled(word: re.Match, node_id: str = node_id) -> str:
            found = word[0] if word[1] in _OF_SAVING else _meant(word[1], prompt, names, now)
            if found is None:
                faults.add(UNKNOWN, f'node {node_id} "{_short(word[0])}"')
            return word[0] if found is None else found

        inputs[FILE_NAME] = _WORD.sub(filled, inputs[FILE_NAME])


def _meant(
    word: str, prompt: Mapping[str, Any], names: Sequence[NamedNode], now: datetime
) -> str | None:
    """The text that "date:yyyy" or "KSampler.seed" stands for; None if it stands for nothing."""
    if word.startswith("date:"):
        return date(word.removeprefix("date:"), now)
    node, dot, widget = word.partition(".")
    if not dot or "." in widget:
        return None
    found = [each for each in names if each.search_name == node]
    found = found or [each for each in names if each.title == node]
    if not found:
        return None
    values = dict(found[0].values)
    set_later = prompt.get(found[0].id, {}).get("inputs", {})
    values |= {name: each for name, each in set_later.items() if not is_link(each)}
    if widget not in values:
        return None
    return _NOT_IN_NAMES.sub("_", as_javascript(values[widget]))


def date(form: str, now: datetime) -> str:
    """The time in a format of yyyy, yy, M, d, h, m and s; two letters give two digits."""
    parts = {"d": now.day, "M": now.month, "h": now.hour, "m": now.minute, "s": now.second}

    def part(letters: re.Match) -> str:
        if letters[0] == "yy":
            return f"{now.year % 100:02}"
        if letters[0] == "yyyy":
            return f"{now.year:04}"
        number = parts.get(letters[0][0])
        return letters[0] if number is None else f"{number:0{len(letters[0])}}"

    return _DATE.sub(part, form)


def as_javascript(value: Any) -> str:
    """The value as the editor writes it into a file name: 1 for 1.0, true for True."""
    if isinstance(value, dict) and "__value__" in value:
        return ",".join(map(as_javascript, value["__value__"]))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and 1e-6 <= abs(value) < 1e21:
        return f"{Decimal(repr(value)):f}".removesuffix(".0")
    return "0" if value == 0 else str(value)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
