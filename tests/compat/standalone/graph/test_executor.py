"""The executor treats a workflow as ComfyUI's does."""
# ruff: noqa: N802 (the functions below become node classes)

import asyncio
import copy
import math

import pytest
import torch
from hypernet_pack.compat.standalone import progress
from hypernet_pack.compat.standalone.graph import io
from hypernet_pack.compat.standalone.graph.executor import Executor, validate_prompt
from hypernet_pack.compat.standalone.graph.validation import sentence

RAN: list = []  # what the test nodes did, in order; emptied before each test


@pytest.fixture(autouse=True)
def _forget():
    RAN.clear()


def node(name, inputs=(), outputs=(), **more):
    """A node class from its execute: inputs by id, outputs as io types."""
    hooks = {key: classmethod(more.pop(key)) for key in list(more) if callable(more[key])}

    def define_schema(cls):
        sockets = [output() if isinstance(output, type) else output for output in outputs]
        return io.Schema(node_id=name, inputs=list(inputs), outputs=sockets, **more)

    def wrap(execute):
        members = {"define_schema": classmethod(define_schema), "execute": classmethod(execute)}
        return type(name, (io.ComfyNode,), members | hooks)

    return wrap


@node("Number", [io.Int.Input("value", min=0, max=9)], [io.Int.Output])
def Number(cls, value):
    RAN.append(("Number", value))
    return io.NodeOutput(value)


@node("Many", [io.Int.Input("count")], [io.Int.Output(is_output_list=True)])
def Many(cls, count):
    return io.NodeOutput(list(range(count)))


@node("Add", [io.Int.Input("a"), io.Int.Input("b")], [io.Int.Output])
def Add(cls, a, b):
    RAN.append(("Add", a, b))
    return io.NodeOutput(a + b)


@node("Sum", [io.Int.Input("values")], [io.Int.Output], is_input_list=True)
def Sum(cls, values):
    return io.NodeOutput(sum(values))


@node("Show", [io.AnyType.Input("value")], is_output_node=True, hidden=[io.Hidden.unique_id])
def Show(cls, value):
    RAN.append(("Show", cls.hidden.unique_id))
    return io.NodeOutput(ui={"text": [value]})


@node("Word", [io.String.Input("text"), io.Boolean.Input("loud")], [io.String.Output])
def Word(cls, text, loud):
    return io.NodeOutput((text, loud))


@node("Fail", [io.AnyType.Input("value")], [io.Int.Output])
def Fail(cls, value):
    raise RuntimeError(f"no luck with {value}")


@node("Stop", [io.AnyType.Input("value")], [io.Int.Output])
def Stop(cls, value):
    progress.request_interrupt()
    progress.raise_if_interrupted()


@node("Gate", [io.Int.Input("value"), io.String.Input("message")], [io.Int.Output])
def Gate(cls, value, message):
    return io.NodeOutput(value, block_execution=message) if message else io.NodeOutput(value)


@node("Later", [io.Int.Input("value")], [io.Int.Output])
async def Later(cls, value):
    await asyncio.sleep(0)
    return io.NodeOutput(value)


@node(
    "Choose",
    [
        io.Boolean.Input("first"),
        io.Int.Input("a", lazy=True),
        io.Int.Input("b", lazy=True),
    ],
    [io.Int.Output],
    check_lazy_status=lambda cls, first, a=None, b=None: ["a" if first else "b"],
)
def Choose(cls, first, a, b):
    return io.NodeOutput(a if first else b)


@node(
    "Fresh",
    [io.Float.Input("value"), io.Int.Input("linked", optional=True)],
    [io.Float.Output],
    fingerprint_inputs=lambda cls, value, linked=0: RAN.append(linked) or float("nan"),
)
def Fresh(cls, value, linked=0):
    RAN.append("Fresh")
    return io.NodeOutput(value)


@node(
    "Even",
    [io.Int.Input("value", max=4)],
    [io.Int.Output],
    validate_inputs=lambda cls, value: value % 2 == 0 or f"{value} is odd",
)
def Even(cls, value):
    return io.NodeOutput(value)


OPTIMIZERS = [
    io.DynamicCombo.Option("adam", [io.Float.Input("lr")]),
    io.DynamicCombo.Option("sgd", []),
]


@node(
    "Train",
    [io.DynamicCombo.Input("opt", OPTIMIZERS), io.Combo.Input("size", ["s", "m"], optional=True)],
    is_output_node=True,
)
def Train(cls, opt, size="s"):
    return io.NodeOutput(ui={"opt": [opt]})


@node("Pick", [io.MultiCombo.Input("names", ["a", "b", "c"])], is_output_node=True)
def Pick(cls, names):
    return io.NodeOutput(ui={"names": names})


@node("Grow", outputs=[io.Int.Output], enable_expand=True)
def Grow(cls):
    return io.NodeOutput(["1", 0], expand={"1": {"class_type": "Number", "inputs": {"value": 1}}})


@node("Mode", outputs=[io.Boolean.Output])
def Mode(cls):
    return io.NodeOutput(torch.is_inference_mode_enabled())


@node("Both", [io.Custom("A,B").Input("value")], is_output_node=True)
def Both(cls, value):
    return io.NodeOutput(ui={"text": [value]})


NODES = {
    each.__name__: each
    for each in (Number, Many, Add, Sum, Show, Word, Fail, Stop, Gate, Later, Choose, Fresh, Even)
} | {each.__name__: each for each in (Train, Pick, Grow, Mode, Both)}


def prompt(**nodes):
    """prompt(n1=("Number", {"value": 1})) → {"1": {"class_type": "Number", "inputs": …}}"""
    return {
        name.removeprefix("n"): {"class_type": kind, "inputs": copy.deepcopy(inputs)}
        for name, (kind, inputs) in nodes.items()
    }


def shown(nodes, executor=None):
    run = (executor or Executor(NODES)).run(nodes)
    assert run.status == "success", run.error
    return {node_id: ui["text"] for node_id, ui in run.outputs.items()}


SHOW_1 = ("Show", {"value": ["1", 0]})

MAPPED = [
    ({"a": ["1", 0], "b": 10}, [10, 11, 12], "a value that is not a list repeats"),
    ({"a": ["1", 0], "b": ["1", 0]}, [0, 2, 4], "lists run side by side"),
    ({"a": ["1", 0], "b": ["4", 0]}, [0, 2, 3], "the shorter list repeats its last value"),
]


@pytest.mark.parametrize(("inputs", "result", "why"), MAPPED)
def test_a_node_runs_once_per_place_of_its_longest_list(inputs, result, why):
    nodes = prompt(
        n1=("Many", {"count": 3}), n2=("Add", inputs), n3=("Show", {"value": ["2", 0]})
    ) | prompt(n4=("Many", {"count": 2}))
    assert shown(nodes) == {"3": result}, why


def test_a_node_that_takes_whole_lists_runs_once():
    nodes = prompt(n1=("Many", {"count": 4}), n2=("Sum", {"values": ["1", 0]}))
    assert shown(nodes | prompt(n3=("Show", {"value": ["2", 0]}))) == {"3": [6]}


def test_only_what_an_output_needs_is_run():
    nodes = prompt(n1=("Number", {"value": 1}), n2=SHOW_1, n3=("Number", {"value": 2}))
    assert shown(nodes) == {"2": [1]}
    assert RAN == [("Number", 1), ("Show", "2")]


def test_async_nodes_are_awaited_and_everything_runs_in_inference_mode():
    later = prompt(n1=("Later", {"value": 3}), n2=SHOW_1)
    assert shown(later) == {"2": [3]}
    assert shown(prompt(n1=("Mode", {}), n2=SHOW_1)) == {"2": [True]}


def test_a_lazy_input_is_computed_only_when_it_is_asked_for():
    nodes = prompt(
        n1=("Choose", {"first": False, "a": ["8", 0], "b": ["9", 0]}),
        n2=SHOW_1,
        n8=("Number", {"value": 8}),
        n9=("Number", {"value": 9}),
    )
    assert shown(nodes) == {"2": [9]}
    assert ("Number", 8) not in RAN


def test_results_are_kept_between_runs_until_something_changes():
    nodes = prompt(
        n1=("Number", {"value": 1}),
        n2=("Add", {"a": ["1", 0], "b": 1}),
        n3=("Show", {"value": ["2", 0]}),
    )
    executor = Executor(NODES)
    assert shown(nodes, executor) == shown(nodes, executor) == {"3": [2]}
    assert len(RAN) == 3
    nodes["2"]["inputs"]["b"] = 5
    assert shown(nodes, executor) == {"3": [6]}
    assert RAN[3:] == [("Add", 1, 5), ("Show", "3")]


def test_a_change_upstream_reaches_everything_that_depends_on_it():
    executor = Executor(NODES)
    nodes = prompt(n1=("Number", {"value": 1}), n2=("Show", {"value": ["1", 0]}))
    shown(nodes, executor)
    nodes["1"]["inputs"]["value"] = 2
    assert shown(nodes, executor) == {"2": [2]}


def test_a_fingerprint_that_is_never_equal_runs_the_node_each_time():
    executor = Executor(NODES)
    nodes = prompt(
        n1=("Fresh", {"value": 1.0, "linked": ["3", 0]}), n2=SHOW_1, n3=("Number", {"value": 3})
    )
    shown(nodes, executor), shown(nodes, executor)
    assert RAN.count("Fresh") == 2 and RAN.count(("Number", 3)) == 1
    assert RAN.count(None) == 2, "linked inputs are not known yet when the fingerprint is taken"


def test_equal_nodes_share_a_result_unless_they_are_not_idempotent():
    nodes = prompt(
        n1=("Number", {"value": 1}),
        n2=("Number", {"value": 1}),
        n3=("Add", {"a": ["1", 0], "b": ["2", 0]}),
        n4=("Show", {"value": ["3", 0]}),
    )
    shown(nodes)
    assert RAN.count(("Number", 1)) == 1
    RAN.clear()
    own = node("Number", [io.Int.Input("value")], [io.Int.Output], not_idempotent=True)
    again = own(lambda cls, value: RAN.append("own") or io.NodeOutput(value))
    shown(nodes, Executor(NODES | {"Number": again}))
    assert RAN.count("own") == 2


@pytest.mark.parametrize(("bad", "status"), [("Fail", "error"), ("Stop", "interrupted")])
def test_a_failed_or_stopped_node_leaves_nothing_in_the_cache(bad, status):
    events = []
    executor = Executor(NODES, lambda event, data: events.append((event, data)))
    nodes = prompt(n1=("Number", {"value": 1}), n2=(bad, {"value": ["1", 0]}), n3=SHOW_1) | prompt(
        n4=("Show", {"value": ["2", 0]})
    )
    for _ in range(2):
        run = executor.run(nodes)
        assert run.status == status
        assert (run.error["node_id"], run.error["node_type"]) == ("2", bad)
        assert run.outputs == {"3": {"text": [1]}}, "what was done before stays"
    assert events[-1][0] == f"execution_{status}" and not progress.is_interrupted()
    assert RAN.count(("Number", 1)) == 1
    if bad == "Fail":
        assert run.error["exception_message"] == "no luck with 1"
        assert run.error["current_inputs"] == {"value": [1]}


def test_events_tell_the_story_of_a_run():
    events = []
    executor = Executor(NODES, lambda event, data: events.append((event, data)))
    nodes = prompt(n1=("Number", {"value": 1}), n2=SHOW_1)
    run = executor.run(nodes)
    assert [event for event, _ in events] == [
        "execution_start",
        "execution_cached",
        "executing",
        "executing",
        "executed",
        "execution_success",
    ]
    assert len({data["prompt_id"] for _, data in events}) == 1
    assert events[4][1] | {"prompt_id": ""} == {
        "node": "2",
        "display_node": "2",
        "output": {"text": [1]},
        "prompt_id": "",
    }
    assert run.history["meta"]["2"]["real_node_id"] == "2"
    events.clear()
    executor.run(nodes)
    assert events[1][1]["nodes"] == ["2", "1"]


@pytest.mark.parametrize(("message", "told"), [("too dark", 1), ("", 0)])
def test_a_blocked_output_stops_the_nodes_that_use_it(message, told):
    nodes = prompt(
        n1=("Gate", {"value": 1, "message": message}),
        n2=("Add", {"a": ["1", 0], "b": 1}),
        n3=("Show", {"value": ["2", 0]}),
    )
    run = Executor(NODES).run(nodes)
    assert run.status == "success"
    assert [error["exception_message"] for error in run.blocked] == [
        "Execution blocked: too dark"
    ] * told
    assert run.outputs == ({} if told else {"3": {"text": [2]}})


def test_a_choice_reaches_the_node_as_one_dict():
    run = Executor(NODES).run(prompt(n1=("Train", {"opt": "adam", "opt.lr": "0.5"})))
    assert run.outputs == {"1": {"opt": [{"opt": "adam", "lr": 0.5}]}}


def test_a_list_value_arrives_in_a_box():
    run = Executor(NODES).run(prompt(n1=("Pick", {"names": {"__value__": ["a", "c"]}})))
    assert run.outputs == {"1": {"names": ["a", "c"]}}


def test_expansion_is_refused_with_a_sentence():
    run = Executor(NODES).run(prompt(n1=("Grow", {}), n2=SHOW_1))
    assert run.status == "error" and "only ComfyUI" in run.error["exception_message"]


def test_progress_belongs_to_the_node_that_runs(capsys):
    def execute(cls):
        bar = progress.Progress(2)
        bar.update(1)
        bar.update(2)

    events = []
    slow = node("Slow", is_output_node=True, display_name="Slow one")(execute)
    Executor([slow], lambda *event: events.append(event)).run(prompt(n1=("Slow", {})))
    steps = [data for event, data in events if event == "progress"]
    assert [(each["node"], each["value"], each["max"]) for each in steps] == [
        ("1", 1, 2),
        ("1", 2, 2),
    ]
    assert "Slow one" in capsys.readouterr().err


def test_a_node_has_one_line_at_a_time(capsys):
    def execute(cls):
        first = progress.Progress(3, title="First")
        first.update(2)
        second = progress.Progress(5, done=1, title="Second")
        second.update(4)

    slow = node("Slow", is_output_node=True, display_name="Slow one")(execute)
    Executor([slow]).run(prompt(n1=("Slow", {})))
    said = capsys.readouterr().err.splitlines()
    assert [line.partition("%")[0] for line in said] == ["First:  67", "Second:  80"]


def test_the_given_prompt_is_not_changed():
    nodes = prompt(n1=("Number", {"value": "7"}), n2=SHOW_1)
    before = copy.deepcopy(nodes)
    assert shown(nodes) == {"2": [7]}
    assert nodes == before


WRONG = [
    ({"2": {"class_type": "Nowhere", "inputs": {}}}, "missing_node_type"),
    ({"2": {"inputs": {}}}, "missing_node_type"),
    (prompt(n1=("Number", {"value": 1})), "prompt_no_outputs"),
    ({}, "prompt_no_outputs"),
    ({"1": 5}, "invalid_prompt"),
    ({"1": None}, "invalid_prompt"),
    ({"1": []}, "invalid_prompt"),
    ({"1": {"class_type": ["Show"], "inputs": {}}}, "invalid_prompt"),
    ({"1": {"class_type": "Show", "inputs": 5}}, "invalid_prompt"),
    ({"1": {"class_type": "Show", "inputs": None}}, "invalid_prompt"),
    ({"1": {"class_type": "Show", "inputs": {}, "_meta": "a title"}}, "invalid_prompt"),
    ({"1": {"class_type": "Nowhere", "_meta": {"title": 5}}}, "missing_node_type"),
]


@pytest.mark.parametrize(("nodes", "kind"), WRONG)
def test_a_workflow_that_cannot_run_at_all_has_one_error(nodes, kind):
    ok, error, good, node_errors = validate_prompt(nodes, NODES)
    assert (ok, error["type"], good, node_errors) == (False, kind, [], {})
    assert_joins(error)


def assert_joins(error):
    """The editor and the command show "message: details"."""
    assert error["message"] and error["details"].strip() and error["message"][-1] not in ".:"
    assert error["details"].startswith(error["message"]) is False
    assert error["details"].count(": ") < 3


MISSING = [
    (
        {},
        'Node 20 cannot run: the class "Nowhere" is not installed. Install the node pack that has '
        "it, or take the node out of the workflow.",
    ),
    (
        {"_meta": {"title": "My node"}},
        'Node 20 ("My node") cannot run: the class "Nowhere" is not installed. Install the node '
        "pack that has it, or take the node out of the workflow.",
    ),
    (
        {"_meta": {"title": "Nowhere"}},
        'Node 20 cannot run: the class "Nowhere" is not installed. Install the node pack that has '
        "it, or take the node out of the workflow.",
    ),
]


@pytest.mark.parametrize(("more", "expected"), MISSING)
def test_a_missing_class_is_named_once_with_what_to_do(more, expected):
    _, error, _, _ = validate_prompt({"20": {"class_type": "Nowhere", "inputs": {}} | more}, NODES)
    assert sentence(error) == expected


def test_a_reason_is_reported_once_for_any_number_of_inputs():
    nodes = prompt(n1=("Even", {"value": 7}), n2=SHOW_1, n3=("Show", {"value": ["1", 0]}))
    _, error, _, _ = validate_prompt(nodes, NODES)
    assert sentence(error) == (
        "No output of the workflow can run: The node refuses its inputs: 7 is odd"
    )


REFUSED = [
    (("Number", {}), "required_input_missing", "value"),
    (("Number", {"value": "many"}), "invalid_input_type", "many"),
    (("Number", {"value": -1}), "value_smaller_than_min", "-1"),
    (("Number", {"value": 10}), "value_bigger_than_max", "10"),
    (("Number", {"value": ["9"]}), "bad_linked_input", "9"),
    (("Number", {"value": ["9", 0]}), "bad_linked_input", '"9"'),
    (("Number", {"value": ["3", 4]}), "bad_linked_input", "output 4"),
    (("Number", {"value": ["3", 0]}), "return_type_mismatch", "STRING"),
    (("Number", {"value": 1, "stale": ["3", 0]}), "bad_linked_input", "no such input"),
    (("Number", {"value": [["3"], 0]}), "bad_linked_input", "not [node id"),
    (("Train", {"opt": "sgd", "size": "xl"}), "value_not_in_list", "'xl'"),
    (("Train", {"opt": "lion", "size": "s"}), "value_not_in_list", "'lion'"),
    (("Train", {"opt": "adam", "size": "s"}), "required_input_missing", "opt.lr"),
    (("Even", {"value": 7}), "custom_validation_failed", "7 is odd"),
]


@pytest.mark.parametrize(("bad", "kind", "words"), REFUSED)
def test_a_bad_input_is_reported_with_its_node_and_value(bad, kind, words):
    nodes = prompt(n1=bad, n2=SHOW_1, n3=("Word", {"text": "a", "loud": 1}))
    if bad[0] == "Train":  # an output itself
        nodes = prompt(n1=bad)
    ok, error, good, node_errors = validate_prompt(nodes, NODES)
    assert (ok, error["type"], good) == (False, "prompt_outputs_failed_validation", [])
    (found,) = node_errors["1"]["errors"]
    assert found["type"] == kind and words in found["details"]
    assert set(found) == {"type", "message", "details", "extra_info"}
    assert found["extra_info"]["input_name"] in found["details"]
    assert node_errors["1"]["class_type"] == bad[0]
    assert_joins(found)
    assert list(node_errors) == ["1"], "nodes that only depend on it have no errors of their own"


def test_an_input_that_the_node_checks_itself_is_not_checked_for_bounds():
    nodes = prompt(n1=("Even", {"value": 8}), n2=SHOW_1)
    assert validate_prompt(nodes, NODES)[0], "8 is above max=4, but validate_inputs names value"


def test_values_are_converted_in_place():
    nodes = prompt(n1=("Word", {"text": 5, "loud": 1}), n2=SHOW_1)
    assert validate_prompt(nodes, NODES)[0]
    assert nodes["1"]["inputs"] == {"text": "5", "loud": True}


def test_valid_outputs_run_even_if_others_are_invalid():
    nodes = prompt(n1=("Number", {"value": 1}), n2=SHOW_1, n3=("Number", {})) | prompt(
        n4=("Show", {"value": ["3", 0]})
    )
    run = Executor(NODES).run(nodes)
    assert run.status == "success" and run.outputs == {"2": {"text": [1]}}
    assert run.node_errors["3"]["dependent_outputs"] == ["4"]


def test_a_cycle_is_named():
    nodes = prompt(
        n1=("Add", {"a": ["2", 0], "b": 1}), n2=("Add", {"a": ["1", 0], "b": 1}), n3=SHOW_1
    )
    ok, _, _, node_errors = validate_prompt(nodes, NODES)
    assert not ok
    assert {each["errors"][0]["type"] for each in node_errors.values()} == {"dependency_cycle"}
    assert node_errors["1"]["errors"][0]["details"] == "1 (Add) -> 2 (Add) -> 1 (Add)"


@pytest.mark.parametrize("kind", ["A", "B", "A,C", "*"])
def test_a_union_accepts_each_of_its_types(kind):
    maker = node("Maker", outputs=[io.Custom(kind).Output])(lambda cls: io.NodeOutput(kind))
    nodes = prompt(n1=("Maker", {}), n2=("Both", {"value": ["1", 0]}))
    assert validate_prompt(nodes, NODES | {"Maker": maker})[0]
    wrong = node("Maker", outputs=[io.Custom("C").Output])(lambda cls: io.NodeOutput(kind))
    assert not validate_prompt(nodes, NODES | {"Maker": wrong})[0]


def test_a_node_that_returns_too_few_values_is_reported():
    two = node("Two", outputs=[io.Int.Output, io.Int.Output])(lambda cls: io.NodeOutput(1))
    run = Executor(NODES | {"Two": two}).run(prompt(n1=("Two", {}), n2=SHOW_1))
    assert "returned 1 values; it has 2 outputs" in run.error["exception_message"]


def test_a_constant_nan_is_equal_to_itself_as_in_comfyui():
    constant = node("Fresh", outputs=[io.Float.Output], fingerprint_inputs=lambda cls: math.nan)(
        lambda cls: RAN.append("ran") or io.NodeOutput(1.0)
    )
    executor = Executor(NODES | {"Fresh": constant})
    nodes = prompt(n1=("Fresh", {}), n2=SHOW_1)
    shown(nodes, executor), shown(nodes, executor)
    assert RAN.count("ran") == 1
