"""A workflow means the same in the editor's format, in API format and after --set."""

import json

import pytest
from hypernet_pack.compat.standalone.graph import io
from hypernet_pack.compat.standalone.graph.workflow import WorkflowError, read_workflow, set_value


def node_class(name, inputs, outputs=()):
    def define_schema(cls):
        return io.Schema(node_id=name, display_name=f"The {name}", inputs=inputs, outputs=outputs)

    return type(name, (io.ComfyNode,), {"define_schema": classmethod(define_schema)})


OPTIMIZERS = [
    io.DynamicCombo.Option("adam", [io.Float.Input("lr", default=0.1), io.Int.Input("warmup")]),
    io.DynamicCombo.Option("sgd", [io.Float.Input("momentum", default=0.9)]),
]
SAMPLE = [
    io.Model.Input("model"),
    io.Int.Input("seed", default=0, control_after_generate=True),
    io.Int.Input("extra", optional=True, default=4),
    io.Int.Input("steps", default=20),
    io.Combo.Input("sampler", ["euler", "dpm"]),
    io.Float.Input("given", default=1.0, force_input=True),
]
CLASSES = [
    node_class("Load", [io.Combo.Input("image", ["a.png"], upload=io.UploadType.image)]),
    node_class("Model", [io.String.Input("name")], [io.Model.Output()]),
    node_class("Change", [io.Model.Input("model"), io.Float.Input("by")], [io.Model.Output()]),
    node_class("Sample", SAMPLE, [io.Latent.Output()]),
    node_class("Train", [io.DynamicCombo.Input("opt", OPTIMIZERS), io.Boolean.Input("fast")]),
    node_class("Pick", [io.MultiCombo.Input("names", ["a", "b"]), io.Int.Input("noise_seed")]),
]
NODES = {each.__name__: each for each in CLASSES}


def editor(*nodes, links=(), **more):
    return {"nodes": [{"mode": 0} | each for each in nodes], "links": list(links)} | more


@pytest.fixture
def read(tmp_path):
    def read(content):
        path = tmp_path / "w.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_workflow(path, NODES)

    return read


def inputs_of(read, node, **more):
    return read(editor({"id": 1} | node, **more)).prompt["1"]["inputs"]


WIDGETS = [
    (
        "Sample",
        [5, "randomize", 30, "dpm", 7],
        {"seed": 5, "steps": 30, "sampler": "dpm", "extra": 7},
    ),
    ("Sample", [5, "fixed"], {"seed": 5, "steps": 20, "sampler": "euler", "extra": 4}),
    ("Sample", {"seed": 1, "steps": 2}, {"seed": 1, "steps": 2}),
    (
        "Train",
        ["adam", 0.5, 3, True],
        {"opt": "adam", "opt.lr": 0.5, "opt.warmup": 3, "fast": True},
    ),
    ("Train", ["sgd", 0.5, False], {"opt": "sgd", "opt.momentum": 0.5, "fast": False}),
    ("Pick", [["a", "b"], 9, "increment"], {"names": {"__value__": ["a", "b"]}, "noise_seed": 9}),
    ("Load", ["b.png", "image"], {"image": "b.png"}),
]


@pytest.mark.parametrize(("kind", "values", "inputs"), WIDGETS)
def test_widget_values_go_to_the_inputs_they_belong_to(read, kind, values, inputs):
    assert inputs_of(read, {"type": kind, "widgets_values": values}) == inputs


def test_values_that_do_not_fit_the_node_are_refused_rather_than_shifted(read):
    with pytest.raises(WorkflowError, match='"30" follows a seed'):
        inputs_of(read, {"type": "Sample", "widgets_values": [5, 30, "dpm", 7]})


MODEL = {"id": 1, "type": "Model", "widgets_values": ["m"], "outputs": [{"type": "MODEL"}]}


def sample(model_link, **widget):
    inputs = [{"name": "model", "type": "MODEL", "link": model_link}]
    if widget:
        inputs.append({"name": "steps", "type": "INT", "widget": {"name": "steps"}} | widget)
    values = [5, "fixed", 30, "dpm"]
    return {"id": 9, "type": "Sample", "title": "KS", "inputs": inputs, "widgets_values": values}


def test_links_become_node_and_slot_in_both_spellings(read):
    for link in ([7, 1, 0, 9, 0, "MODEL"], {"id": 7, "origin_id": 1, "origin_slot": 0}):
        workflow = read(editor(MODEL, sample(7), links=[link]))
        assert workflow.prompt["9"]["inputs"]["model"] == ["1", 0]
        assert workflow.prompt["9"]["_meta"] == {"title": "KS"}
        assert workflow.extra_pnginfo["workflow"]["nodes"][0]["type"] == "Model"


def test_a_linked_widget_takes_the_link(read):
    primitive = {"id": 3, "type": "PrimitiveNode", "widgets_values": [77, "fixed"]}
    links = [[7, 1, 0, 9, 0, "MODEL"], [8, 3, 0, 9, 1, "INT"]]
    prompt = read(editor(MODEL, primitive, sample(7, link=8), links=links)).prompt
    assert prompt["9"]["inputs"]["steps"] == 77, "a primitive hands over its value"
    links[1] = [8, 1, 0, 9, 1, "INT"]
    prompt = read(editor(MODEL, sample(7, link=8), links=links)).prompt
    assert prompt["9"]["inputs"]["steps"] == ["1", 0]


def between(kind, mode=0):
    """1 Model → 2 (kind) → 9 Sample"""
    middle = {
        "id": 2,
        "type": kind,
        "mode": mode,
        "inputs": [
            {"name": "by", "type": "FLOAT", "link": None},
            {"name": "model", "type": "MODEL", "link": 6},
        ][1 if kind == "Reroute" else 0 :],
        "outputs": [{"type": "MODEL"}],
    }
    return editor(
        MODEL, middle, sample(7), links=[[6, 1, 0, 2, 0, "MODEL"], [7, 2, 0, 9, 0, "MODEL"]]
    )


def test_reroutes_and_bypassed_nodes_pass_values_on_and_muted_ones_do_not(read):
    for content in (between("Reroute"), between("Change", mode=4), between("Unknown", mode=4)):
        prompt = read(content).prompt
        assert set(prompt) == {"1", "9"}
        assert prompt["9"]["inputs"]["model"] == ["1", 0]
    prompt = read(between("Change", mode=2)).prompt
    assert set(prompt) == {"1", "9"} and "model" not in prompt["9"]["inputs"]


def test_notes_are_not_run_and_unknown_nodes_are_left_for_validation(read):
    notes = [{"id": 4, "type": "Note"}, {"id": 5, "type": "MarkdownNote"}]
    prompt = read(editor(*notes, {"id": 6, "type": "Foreign", "widgets_values": [1]})).prompt
    assert prompt == {"6": {"class_type": "Foreign", "inputs": {}}}


def test_a_subgraph_is_refused_by_name(read):
    definitions = {"subgraphs": [{"id": "uuid", "name": "Inner"}]}
    with pytest.raises(WorkflowError, match=r'the subgraph "Inner".*Unpack'):
        read(editor({"id": 1, "type": "uuid"}, definitions=definitions))


def test_api_format_is_read_unchanged_even_if_wrapped_for_posting(read):
    api = {"1": {"class_type": "Model", "inputs": {"name": "m"}}}
    assert read(api).prompt == read({"prompt": api}).prompt == api
    assert read(api).extra_pnginfo is None


BROKEN = ["{", "[]", "{}", '{"a": 1}', '{"1": {"class_type": "A", "inputs": []}}']


@pytest.mark.parametrize("content", BROKEN)
def test_a_file_that_is_no_workflow_is_refused(read, content):
    with pytest.raises(WorkflowError, match=r'workflow ".*w.json" is (not JSON|neither)'):
        read(content)
    with pytest.raises(WorkflowError, match=r'"nowhere.json" cannot be read'):
        read_workflow("nowhere.json", NODES)


@pytest.fixture
def prompt():
    return {
        "3": {"class_type": "Sample", "inputs": {"seed": 1}, "_meta": {"title": "v1.5 pass"}},
        "4": {"class_type": "Train", "inputs": {"opt": "adam", "opt.lr": 0.1, "opt.warmup": 0}},
        "5": {"class_type": "Model", "inputs": {"name": "a"}},
        "6": {"class_type": "Model", "inputs": {"name": "b"}, "_meta": {"title": "second"}},
        "7": {"class_type": "Pick", "inputs": {}},
    }


SETTINGS = [
    ("3.seed=8", "3", {"seed": 8}),
    ("v1.5 pass.seed=8", "3", {"seed": 8}),
    ("Sample.sampler=dpm", "3", {"sampler": "dpm"}),
    ('3.model=["5", 0]', "3", {"model": ["5", 0]}),
    ("The Train.opt.lr=1e-3", "4", {"opt.lr": 0.001}),
    ("4.opt.lr=0,8", "4", {"opt.lr": 0.8}),
    ("4.opt.lr=５e−5", "4", {"opt.lr": 5e-5}),
    ("3.seed=１２", "3", {"seed": 12}),
    ("3.seed=18446744073709551615", "3", {"seed": 2**64 - 1}),
    ("Train.fast=No", "4", {"fast": False}),
    ("Train.opt=sgd", "4", {"opt": "sgd", "opt.momentum": 0.9}),
    ("second.name=a=b.c", "6", {"name": "a=b.c"}),
    ("5.name=12", "5", {"name": "12"}),
    ('5.name="quoted"', "5", {"name": "quoted"}),
    ("5.name=", "5", {"name": ""}),
    ('7.names=["a"]', "7", {"names": {"__value__": ["a"]}}),
]


@pytest.mark.parametrize(("assignment", "node_id", "inputs"), SETTINGS)
def test_set_finds_the_node_and_reads_the_value_as_its_type(prompt, assignment, node_id, inputs):
    set_value(prompt, assignment, NODES)
    assert inputs.items() <= prompt[node_id]["inputs"].items()


MISTAKES = [
    ("seed=8", "is not NODE.INPUT=VALUE"),
    ("3.seed", "is not NODE.INPUT=VALUE"),
    ("Sampel.seed=8", 'no node "Sampel". Near: Sample'),
    ("3.sed=8", 'no input "sed". Near: seed'),
    ("4.opt.momentum=1", 'no input "opt.momentum"'),
    ("Model.name=x", '"Model" means nodes 5, 6'),
    ("3.seed=many", '"many" is not INT'),
    ("3.seed=1.5", '"1.5" is not INT'),
    ("4.fast=perhaps", '"perhaps" is not BOOLEAN'),
    ("4.opt.lr=fast", '"fast" is not FLOAT'),
    ("4.opt.lr=nan", '"nan" is not FLOAT'),
    ("4.opt.lr=Infinity", '"Infinity" is not FLOAT'),
    ("3.seed=1,000", '"1,000" is not INT'),
    ("3.seed=true", '"true" is not INT'),
]


@pytest.mark.parametrize(("assignment", "words"), MISTAKES)
def test_a_wrong_set_is_quoted_and_changes_nothing(prompt, assignment, words):
    before = json.dumps(prompt)
    with pytest.raises(WorkflowError) as caught:
        set_value(prompt, assignment, NODES)
    assert words in str(caught.value) and assignment in str(caught.value)
    assert json.dumps(prompt) == before
