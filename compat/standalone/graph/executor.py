"""Runs a workflow: each output pulls the nodes that it needs, and cached results are reused.

A node's results are cached under its signature: class, fingerprint and inputs, of the node and all
its ancestors. Fingerprints are taken before the run, when linked inputs are still None. A node that
failed or was stopped leaves nothing in the cache. Everything runs in torch.inference_mode(), as in
ComfyUI. Left out: `expand`, and running several async nodes at a time.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch

from ..progress import Interrupted, RunningNode, clear_interrupt, raise_if_interrupted, running
from .call import Call, call_of, is_link, title_of
from .node_class import ComfyNode, ExecutionBlocker, NodeOutput, overrides
from .validation import validate, validate_prompt

__all__ = ["Executor", "Run", "validate_prompt"]

log = logging.getLogger(__name__)

Notify = Callable[[str, dict], None]


@dataclass(frozen=True)
class Results:
    outputs: list[list]  # by slot, each with one value per call of the node
    ui: dict[str, list]


@dataclass
class Run:
    """How a run ended. status: "success", "error", "interrupted" or "invalid"."""

    status: str = "success"
    outputs: dict[str, dict] = field(default_factory=dict)  # what nodes display, by node id
    meta: dict[str, dict] = field(default_factory=dict)
    error: dict | None = None
    node_errors: dict[str, dict] = field(default_factory=dict)
    blocked: list[dict] = field(default_factory=list)  # messages of ExecutionBlockers

    @property
    def history(self) -> dict[str, dict]:
        return {"outputs": self.outputs, "meta": self.meta}


class Executor:
    """Runs prompts with the given nodes, and caches results between runs."""

    def __init__(
        self,
        nodes: Mapping[str, type[ComfyNode]] | Iterable[type[ComfyNode]],
        notify: Notify = lambda event, data: None,
    ):
        if not isinstance(nodes, Mapping):
            nodes = {node.GET_SCHEMA().node_id: node for node in nodes}
        # An Iterable of classes could be a Mapping too, with classes for keys; nobody passes that
        self.nodes = cast(Mapping[str, type[ComfyNode]], nodes)
        self.notify = notify
        self.kept: dict[Any, Results] = {}

    def run(
        self,
        prompt: Mapping[str, Any],
        extra_pnginfo: Mapping | None = None,
        only: str | None = None,
    ) -> Run:
        """Validate the prompt and run its valid outputs, or only one node. It is not changed."""
        prompt = copy.deepcopy(dict(prompt))
        ok, error, good, node_errors = asyncio.run(validate(prompt, self.nodes))
        if not ok:
            return Run(status="invalid", error=error, node_errors=node_errors)
        clear_interrupt()
        run = self.run_outputs(prompt, good if only is None else [only], extra_pnginfo)
        run.node_errors = node_errors
        return run

    def run_outputs(
        self,
        prompt: dict[str, Any],
        good: list[str],
        extra_pnginfo: Mapping | None = None,
        prompt_id: str = "",
    ) -> Run:
        """Run these outputs of a prompt that `validate` has accepted.

        Unlike `run`, it obeys an interrupt that was requested earlier.
        """
        return asyncio.run(self._run(prompt, good, extra_pnginfo, prompt_id or uuid.uuid4().hex))

    async def _run(
        self, prompt: dict[str, Any], good: list[str], extra_pnginfo: Mapping | None, prompt_id: str
    ) -> Run:
        with torch.inference_mode():
            work = _Work(self, prompt, extra_pnginfo, prompt_id)
            await work.start(good)
            try:
                for output in good:
                    await work.pull(output)
                work.say("execution_success")
            except (Exception, Interrupted) as error:
                work.stop(error)
        return work.run


class _Work:
    """One run of one prompt."""

    def __init__(
        self,
        executor: Executor,
        prompt: dict[str, Any],
        extra_pnginfo: Mapping | None,
        prompt_id: str,
    ):
        self.executor = executor
        self.prompt = prompt
        self.original = copy.deepcopy(prompt)
        self.extra_pnginfo = extra_pnginfo
        self.prompt_id = prompt_id
        self.run = Run()
        self.calls: dict[str, Call] = {}
        self.signatures: dict[str, Any] = {}
        self.outputs: dict[str, list[list]] = {}  # of finished nodes
        self.wanted: dict[str, set[str]] = {}  # lazy inputs that nodes have asked for
        self.current: str | None = None
        self.current_inputs: dict[str, list] = {}

    def say(self, event: str, **data: Any) -> None:
        self.executor.notify(event, data | {"prompt_id": self.prompt_id})

    def call(self, node_id: str) -> Call:
        if node_id not in self.calls:
            self.calls[node_id] = call_of(node_id, self.prompt, self.executor.nodes)
        return self.calls[node_id]

    async def start(self, goals: list[str]) -> None:
        """Take all fingerprints, and drop cached results that this prompt doesn't use."""
        self.say("execution_start")
        needed = dict.fromkeys([*goals, *(each for goal in goals for each in self.ancestors(goal))])
        fingerprints = {node_id: await self.fingerprint(node_id) for node_id in needed}
        for node_id in needed:
            self.signatures[node_id] = self.signature(node_id, fingerprints)
        kept = self.executor.kept
        alive = {sign: kept[sign] for sign in self.signatures.values() if sign in kept}
        self.executor.kept = alive
        known = [node_id for node_id, sign in self.signatures.items() if sign in alive]
        self.say("execution_cached", nodes=known)

    def ancestors(self, node_id: str) -> list[str]:
        """All nodes that it depends on, depth first, in the order of input names."""
        found: dict[str, None] = {}
        waiting = [node_id]
        while waiting:
            inputs = self.prompt[waiting.pop()]["inputs"]
            links = [inputs[name][0] for name in sorted(inputs) if is_link(inputs[name])]
            new = [source for source in links if source not in found]
            found |= dict.fromkeys(new)
            waiting += reversed(new)
        return list(found)

    async def fingerprint(self, node_id: str) -> Any:
        call = self.call(node_id)
        if not overrides(call.node, "fingerprint_inputs"):
            return False
        try:
            values, _ = call.values({})
            return await call.over_lists("fingerprint_inputs", values, call.hidden({}, None))
        except Exception as error:
            log.warning("%s has no fingerprint and runs anew: %s", call.schema.node_id, error)
            return object()

    def signature(self, node_id: str, fingerprints: Mapping[str, Any]) -> Any:
        family = [node_id, *self.ancestors(node_id)]
        place = {each: index for index, each in enumerate(family)}
        signature = []
        for each in family:
            call = self.call(each)
            own = each if call.schema.not_idempotent else None
            inputs = [
                (name, ("link", place[value[0]], value[1]) if is_link(value) else ("is", value))
                for name, value in sorted(call.inputs.items())
            ]
            signature.append((self.prompt[each]["class_type"], fingerprints[each], own, inputs))
        return _hashable(signature)

    async def pull(self, goal: str) -> None:
        """Run a node after everything it depends on."""
        waiting = [goal]
        while waiting:
            node_id = waiting[-1]
            kept = self.executor.kept.get(self.signatures[node_id])
            if node_id in self.outputs:
                waiting.pop()
            elif kept is not None:
                self.finish(node_id, kept)
            elif missing := self.missing(node_id):
                waiting += reversed(missing)
            else:
                await self.execute(node_id)

    def missing(self, node_id: str) -> list[str]:
        """Sources that must run first: all except those of lazy inputs that were not asked for."""
        call = self.call(node_id)
        wanted = self.wanted.get(node_id, set())
        sources = [
            value[0]
            for name, value in call.inputs.items()
            if is_link(value)
            and (name in wanted or not getattr(call.live.get(name), "lazy", False))
        ]
        return [source for source in dict.fromkeys(sources) if source not in self.outputs]

    async def execute(self, node_id: str) -> None:
        """Run the node, or record the lazy inputs that it asks for first."""
        call = self.call(node_id)
        self.current = node_id
        values, unknown = call.values(self.outputs)
        self.current_inputs = values
        hidden = call.hidden(self.original, self.extra_pnginfo)
        self.say("executing", node=node_id, display_node=node_id)
        node = RunningNode(
            node_id=node_id,
            title=title_of(node_id, self.original, call.schema),
            notify=lambda event, data: self.say(event, **data),
        )
        with running(node):
            raise_if_interrupted()
            if overrides(call.node, "check_lazy_status"):
                asked = await call.over_lists("check_lazy_status", values, hidden)
                asked = {name for names in asked if isinstance(names, list) for name in names}
                if new := (asked & unknown) - self.wanted.get(node_id, set()):
                    self.wanted.setdefault(node_id, set()).update(new)
                    return
            returned = await call.over_lists("execute", values, hidden, self.blocked)
        results = _join(call, returned)
        self.executor.kept[self.signatures[node_id]] = results
        self.finish(node_id, results)

    def blocked(self, blocker: ExecutionBlocker) -> ExecutionBlocker:
        """Report a blocker's message once; nodes after this one are blocked silently."""
        if blocker.message is None:
            return blocker
        error = self.describe(f"Execution blocked: {blocker.message}", "ExecutionBlocked")
        self.run.blocked.append(error)
        self.say("execution_error", **error)
        return ExecutionBlocker(None)

    def finish(self, node_id: str, results: Results) -> None:
        self.outputs[node_id] = results.outputs
        if results.ui:
            self.run.outputs[node_id] = results.ui
            self.run.meta[node_id] = {
                "node_id": node_id,
                "display_node": node_id,
                "parent_node": None,
                "real_node_id": node_id,
            }
            self.say("executed", node=node_id, display_node=node_id, output=results.ui)

    def stop(self, error: Exception | Interrupted) -> None:
        if isinstance(error, Interrupted):
            self.run.status = "interrupted"
            self.run.error = self.describe(str(error), "Interrupted")
            self.say("execution_interrupted", **self.run.error)
            return
        self.run.status = "error"
        tail = traceback.format_tb(error.__traceback__)
        self.run.error = self.describe(str(error), type(error).__name__, tail)
        self.say("execution_error", **self.run.error)

    def describe(self, message: str, kind: str, tail: Iterable[str] = ()) -> dict[str, Any]:
        node_id = self.current
        assert node_id is not None  # something fails only where a node runs
        return {
            "node_id": node_id,
            "node_type": self.prompt[node_id]["class_type"],
            "executed": list(self.outputs),
            "exception_message": message,
            "exception_type": kind,
            "traceback": list(tail),
            "current_inputs": {
                name: [_short(value) for value in values]
                for name, values in self.current_inputs.items()
            },
        }


def _join(call: Call, returned: list) -> Results:
    """Join the results of all calls: the outputs by slot, and what the node displays."""
    sockets = call.schema.outputs
    rows, shown = [], []
    for each in returned:
        output = _as_output(call, each)
        if output.ui is not None:
            shown.append(output.ui if isinstance(output.ui, dict) else output.ui.as_dict())
        if output.args and len(output.args) != len(sockets):
            raise ValueError(
                f'"{call.schema.node_id}" returned {len(output.args)} values; '
                f"it has {len(sockets)} outputs."
            )
        if output.args:
            rows.append(output.args)
    outputs = []
    for slot in range(len(sockets) if rows else 0):
        values = [row[slot] for row in rows]
        if sockets[slot].is_output_list:
            lists = [[v] if isinstance(v, ExecutionBlocker) else list(v) for v in values]
            values = [value for each in lists for value in each]
        outputs.append(values)
    names = shown[0] if shown else ()
    return Results(outputs, {name: [v for ui in shown for v in ui.get(name, ())] for name in names})


def _as_output(call: Call, returned: Any) -> NodeOutput:
    """Whatever execute may return, as a NodeOutput. Blockers are put into its args."""
    if returned is None:
        returned = NodeOutput()
    elif isinstance(returned, tuple):
        returned = NodeOutput(*returned)
    elif isinstance(returned, dict):
        result = returned.get("result", ())
        args = (result,) * len(call.schema.outputs) if _blocks(result) else result
        returned = NodeOutput(*args, ui=returned.get("ui"), expand=returned.get("expand"))
    elif _blocks(returned):
        returned = NodeOutput(*[returned] * len(call.schema.outputs))
    elif not isinstance(returned, NodeOutput):
        raise TypeError(
            f'"{call.schema.node_id}" returned {type(returned).__name__}, '
            "where io.NodeOutput belongs."
        )
    if returned.expand is not None:
        raise NotImplementedError(
            f'"{call.schema.node_id}" expands into other nodes, which only ComfyUI can do.'
        )
    if returned.block_execution is not None:
        blocker = ExecutionBlocker(returned.block_execution)
        return NodeOutput(*[blocker] * len(call.schema.outputs), ui=returned.ui)
    return returned


def _blocks(value: Any) -> bool:
    return isinstance(value, ExecutionBlocker)


def _short(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, float, str)) else str(value)


def _hashable(value: Any) -> Any:
    """A key that is equal for equal values. A value that can't be compared equals no other."""
    if value is None or isinstance(value, (int, float, str, bytes)):
        return value
    if isinstance(value, Mapping):
        return frozenset((_hashable(key), _hashable(each)) for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(_hashable(each) for each in value)
    return object()
