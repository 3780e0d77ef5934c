"""A saved value goes to its input, whichever version of the editor has written it."""

import pytest
from hypernet_pack.compat.standalone.graph import io
from hypernet_pack.compat.standalone.graph.widget_values import widget_inputs
from hypernet_pack.compat.standalone.graph.workflow_file import WorkflowError

SAMPLER = [
    io.Model.Input("model"),
    io.Int.Input("seed", default=0, control_after_generate=True),
    io.Int.Input("steps", default=20),
    io.Combo.Input("sampler_name", ["euler", "dpm_2", "sample_x"]),
    io.Float.Input("denoise", default=1.0),
]
FORCED = [
    io.Int.Input("first", default=1),
    io.Float.Input("given", force_input=True),
    io.String.Input("text", default=""),
    io.Int.Input("later", default=7, optional=True),
]
CHOICE = [
    io.DynamicCombo.Input(
        "opt",
        [
            io.DynamicCombo.Option("adam", [io.Float.Input("lr", default=0.1)]),
            io.DynamicCombo.Option("sgd", []),
        ],
    ),
    io.Boolean.Input("fast", default=True),
]


def sampler(seed=5, steps=30, name="euler", denoise=0.5):
    return {"seed": seed, "steps": steps, "sampler_name": name, "denoise": denoise}


VALUES = {
    "randomize was true": (SAMPLER, [5, True, 30, "euler", 0.5], sampler()),
    "fixed was false": (SAMPLER, [5, False, 30, "euler", 0.5], sampler()),
    "a word, as today": (SAMPLER, [5, "increment-wrap", 30, "euler", 0.5], sampler()),
    "samplers had a prefix": (SAMPLER, [5, True, 30, "sample_dpm_2", 0.5], sampler(name="dpm_2")),
    "a name that begins so": (SAMPLER, [5, True, 30, "sample_x", 0.5], sampler(name="sample_x")),
    "a sampler that is gone": (SAMPLER, [5, True, 30, "sample_y", 0.5], sampler(name="sample_y")),
    "a widget that is new": (SAMPLER, [5, "fixed", 30, "euler"], sampler(denoise=1.0)),
    "no values at all": (SAMPLER, None, sampler(0, 20, "euler", 1.0)),
    "a choice that is null": (SAMPLER, [5, "fixed", 30, None, 0.5], sampler()),
    "by name": (SAMPLER, {"seed": 5, "sampler_name": "sample_euler", "model": 3, "more": 1},
                {"seed": 5, "sampler_name": "euler"}),
    "a socket had a widget": (FORCED, [2, 0.5, "a", 9], {"first": 2, "text": "a", "later": 9}),
    "a socket has none": (FORCED, [2, "a", 9], {"first": 2, "text": "a", "later": 9}),
    "an option with inputs": (CHOICE, ["adam", 0.2, False],
                              {"opt": "adam", "opt.lr": 0.2, "fast": False}),
    "an option without": (CHOICE, ["sgd", False], {"opt": "sgd", "fast": False}),
    "options by name": (CHOICE, {"opt": "adam", "opt.lr": 0.2}, {"opt": "adam", "opt.lr": 0.2}),
    "a list that is a value": (CHOICE, ["sgd", [1]], {"opt": "sgd", "fast": {"__value__": [1]}}),
}  # fmt: skip


@pytest.mark.parametrize("case", VALUES)
def test_a_value_goes_to_its_input(case):
    sockets, saved, inputs = VALUES[case]
    assert widget_inputs(sockets, saved) == inputs


MISPLACED = [[5, 30, "euler", 0.5], [5, "30"], [5, None, 30], [5, [], 30], [5, 1, 30], [5, {}]]


@pytest.mark.parametrize("saved", MISPLACED)
def test_values_of_another_version_of_the_node_are_refused_rather_than_shifted(saved):
    with pytest.raises(WorkflowError, match="follows a seed, where one of fixed"):
        widget_inputs(SAMPLER, saved)
