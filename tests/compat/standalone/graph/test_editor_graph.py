"""What an editor's graph means: broken parts are left out and named, editor-only nodes followed."""

import json
import random
from pathlib import Path

import pytest
from hypernet_pack.compat.standalone.graph import io
from hypernet_pack.compat.standalone.graph.at_queueing import as_queued
from hypernet_pack.compat.standalone.graph.validation import validate_prompt
from hypernet_pack.compat.standalone.graph.workflow import WorkflowError, read_workflow


def node_class(name, inputs, outputs=(), is_output_node=False):
    def define_schema(cls):
        return io.Schema(
            node_id=name, inputs=inputs, outputs=list(outputs), is_output_node=is_output_node
        )

    return type(name, (io.ComfyNode,), {"define_schema": classmethod(define_schema)})


CLASSES = [
    node_class("Model", [io.String.Input("name", default="m")], [io.Model.Output()]),
    node_class(
        "Change",
        [io.Model.Input("model"), io.Float.Input("by", default=1.0), io.Int.Input("seed")],
        [io.Model.Output(), io.Latent.Output()],
    ),
    node_class(
        "Save",
        [io.Model.Input("model", optional=True), io.String.Input("text", default="t")],
        is_output_node=True,
    ),
]
NODES = {each.__name__: each for each in CLASSES}

MODEL = {"id": 1, "type": "Model", "outputs": [{"type": "MODEL"}], "widgets_values": ["m"]}


def save(link, number=9, **more):
    sockets = [{"name": "model", "type": "MODEL", "link": link}]
    return {"id": number, "type": "Save", "inputs": sockets, "widgets_values": ["t"]} | more


def graph(*nodes, links=(), **more):
    return {"nodes": list(nodes), "links": list(links)} | more


@pytest.fixture
def read(tmp_path):
    def read(content, nodes=NODES):
        path = tmp_path / "w.json"
        path.write_text(json.dumps(content), "utf-8")
        return read_workflow(path, nodes)

    return read


# --- broken files

GOOD_LINK = [7, 1, 0, 9, 0, "MODEL"]
BROKEN_LINKS = [
    (None, "null"),
    ([], "[]"),
    ([99], "[99]"),
    ([99, 1], "[99, 1]"),
    ([None, 1, 0, 9, 0, "MODEL"], '[null, 1, 0, 9, 0, "MODEL"]'),
    ([8, None, 0, 9, 0], "[8, null, 0, 9, 0]"),
    ([8, 1, None, 9, 0], "[8, 1, null, 9, 0]"),
    ([8, 1, -1, 9, 0], "[8, 1, -1, 9, 0]"),
    ([8, 1, "first", 9, 0], '[8, 1, "first", 9, 0]'),
    ([8, [1], 0, 9, 0], "[8, [1], 0, 9, 0]"),
    ("7", '"7"'),
    (12, "12"),
    ({}, "{}"),
    ({"id": 8, "origin_id": 1}, '{"id": 8, "origin_id": 1}'),
    ([True, 1, 0, 9, 0], "[true, 1, 0, 9, 0]"),
]


@pytest.mark.parametrize(("link", "named"), BROKEN_LINKS)
def test_a_broken_link_is_left_out_and_named(read, link, named):
    workflow = read(graph(MODEL, save(7), links=[link, GOOD_LINK]))
    assert workflow.prompt["9"]["inputs"]["model"] == ["1", 0]
    said = f"Entries of the table of links that are broken were left out (1): {named}."
    assert workflow.notices == (said,)


WHOLE_LINKS = [
    GOOD_LINK,
    GOOD_LINK[:5],
    GOOD_LINK[:3],
    ["7", "1", "0", "9", "0", "MODEL"],
    [7.0, 1.0, 0.0, 9.0, 0.0, "MODEL"],
    {"id": 7, "origin_id": 1, "origin_slot": 0, "target_id": 9, "target_slot": 0},
    {"id": "7", "origin_id": "1", "origin_slot": 0},
]


@pytest.mark.parametrize("link", WHOLE_LINKS)
@pytest.mark.parametrize("number", [7, "7", 7.0])
def test_links_and_their_ids_are_read_in_every_spelling(read, link, number):
    workflow = read(graph(MODEL, save(number), links=[link]))
    assert workflow.prompt["9"]["inputs"]["model"] == ["1", 0] and workflow.notices == ()


def test_of_two_links_with_the_same_id_the_one_to_this_node_counts(read):
    other = MODEL | {"id": 2}
    workflow = read(graph(MODEL, other, save(7), links=[[7, 2, 0, 5, 0], GOOD_LINK]))
    assert workflow.prompt["9"]["inputs"]["model"] == ["1", 0]


def test_a_link_to_nothing_counts_as_unlinked_and_is_named(read):
    nowhere = "Inputs whose link leads to nothing were taken as not linked (1): "
    gone = read(graph(save(7), links=[GOOD_LINK]))
    assert gone.notices == (f'{nowhere}node 9 "model" (from node 1).',)
    absent = read(graph(MODEL, save(8), links=[GOOD_LINK]))
    assert absent.notices == (f'{nowhere}node 9 "model" (link 8).',)
    assert "model" not in absent.prompt["9"]["inputs"]


def test_a_link_to_a_missing_output_is_reported_in_a_sentence(read):
    prompt = read(graph(MODEL, save(7), links=[[7, 1, 5, 9, 0]])).prompt
    _, error, _, _ = validate_prompt(prompt, NODES)
    assert "linked to output 5 of node 1, which has 1" in error["details"]


BROKEN_NODES = [
    None, 3, "Save", [], {}, {"id": 4}, {"type": "Save"}, {"id": None, "type": "Save"},
    {"id": 4, "type": None}, {"id": [4], "type": "Save"}, {"id": 4, "type": ["Save"]},
]  # fmt: skip


@pytest.mark.parametrize("node", BROKEN_NODES)
def test_a_broken_node_is_left_out_and_named(read, node):
    workflow = read(graph(MODEL, node, save(7), links=[GOOD_LINK]))
    assert set(workflow.prompt) == {"1", "9"}
    (notice,) = workflow.notices
    assert notice.startswith("Entries of the list of nodes that are broken were left out (1): ")
    assert json.dumps(node) in notice


def test_two_nodes_with_one_id_are_refused_unless_they_are_equal(read):
    with pytest.raises(WorkflowError, match='two nodes .* id 1: "Model" and "Change"'):
        read(graph(MODEL, MODEL | {"type": "Change"}, save(7), links=[GOOD_LINK]))
    assert set(read(graph(MODEL, MODEL, save(7), links=[GOOD_LINK])).prompt) == {"1", "9"}


def test_more_than_ten_names_are_counted(read):
    workflow = read(graph(MODEL, save(7), links=[*([n] for n in range(13)), GOOD_LINK]))
    assert "(13): [0], [1], " in workflow.notices[0]
    assert workflow.notices[0].endswith("[9] and 3 more.")


VALUES_FOR_LINKS = [5, "m", True, {}, {"__value__": ["1", 0]}, 0.5]


@pytest.mark.parametrize("value", VALUES_FOR_LINKS)
def test_a_value_where_a_link_belongs_is_refused_before_the_node_runs(read, value):
    api = {"9": {"class_type": "Save", "inputs": {"model": value, "text": "t"}}}
    _, error, _, _ = validate_prompt(read(api).prompt, NODES)
    assert "stands where a link to a node that makes MODEL belongs" in error["details"]
    api["9"]["inputs"]["model"] = None  # it is optional
    assert validate_prompt(read(api).prompt, NODES)[0]


# --- nodes that live in the editor


def between(kind, values=None, *, mode=0, inputs=None, outputs=None):
    """1 Model → 2 (kind) → 9 Save"""
    inputs = [{"name": "", "type": "*", "link": 6}] if inputs is None else inputs
    outputs = [{"type": "MODEL"}] if outputs is None else outputs
    node = {"id": 2, "type": kind, "mode": mode, "inputs": inputs, "outputs": outputs}
    return graph(
        MODEL,
        node | {"widgets_values": values},
        save(7),
        links=[[6, 1, 0, 2, 0, "*"], [7, 2, 0, 9, 0, "MODEL"]],
    )


REROUTES = [
    "Reroute", "Reroute (rgthree)", "ReroutePrimitive|pysssss", "Reroute Primitive 🐍",
    "RerouteMODEL", "mtb Reroute", "easy reroute", "reroute",
]  # fmt: skip


@pytest.mark.parametrize("kind", REROUTES)
def test_reroutes_of_every_pack_are_followed(read, kind):
    workflow = read(between(kind))
    assert set(workflow.prompt) == {"1", "9"} and workflow.notices == ()
    assert workflow.prompt["9"]["inputs"]["model"] == ["1", 0]


def test_a_reroute_that_is_installed_is_run(read):
    installed = NODES | {"Reroute": NODES["Change"]}
    workflow = read(between("Reroute"), installed)
    assert workflow.prompt["9"]["inputs"]["model"] == ["2", 0]


def set_and_get(setter, getter, *, set_values=("m",), get_values=("m",), mode=0, titles=("", "")):
    """1 Model → 20 Set; 21 Get → 9 Save"""
    first = {"id": 20, "type": setter, "mode": mode, "title": titles[0]}
    second = {"id": 21, "type": getter, "title": titles[1]}
    return graph(
        MODEL,
        first
        | {
            "inputs": [{"name": "MODEL", "type": "MODEL", "link": 6}],
            "outputs": [{"type": "*"}],
            "widgets_values": list(set_values),
        },
        second | {"outputs": [{"type": "MODEL"}], "widgets_values": list(get_values)},
        save(7),
        links=[[6, 1, 0, 20, 0, "MODEL"], [7, 21, 0, 9, 0, "MODEL"]],
    )


def test_get_nodes_take_the_value_of_the_set_node_with_their_name(read):
    for content in (
        set_and_get("SetNode", "GetNode"),
        set_and_get("easy setNode", "easy getNode"),
        set_and_get("SetNode", "GetNode", set_values=(), get_values=(), titles=("Set_a", "Get_a")),
    ):
        workflow = read(content)
        assert set(workflow.prompt) == {"1", "9"} and workflow.notices == ()
        assert workflow.prompt["9"]["inputs"]["model"] == ["1", 0]


def test_a_get_node_without_a_set_node_is_named(read):
    for content in (
        set_and_get("SetNode", "GetNode", get_values=("n",)),
        set_and_get("SetNode", "GetNode", get_values=("n",), mode=2),
    ):
        (notice,) = read(content).notices
        assert 'node 21 gets "n", which no Set node has' in notice


def test_a_set_node_also_passes_its_value_on(read):
    workflow = read(between("SetNode", ["m"]))
    assert workflow.prompt["9"]["inputs"]["model"] == ["1", 0]


DECORATIONS = [
    "Note", "MarkdownNote", "Label (rgthree)", "Bookmark (rgthree)", "Note Plus (mtb)",
    "Fast Groups Muter (rgthree)", "Fast Groups Bypasser (rgthree)", "Fast Muter (rgthree)",
    "Fast Bypasser (rgthree)", "Random Unmuter (rgthree)", "Node Collector (rgthree)",
]  # fmt: skip


@pytest.mark.parametrize("kind", DECORATIONS)
def test_decorations_are_left_out_silently(read, kind):
    workflow = read(graph(MODEL, save(7), {"id": 5, "type": kind}, links=[GOOD_LINK]))
    assert set(workflow.prompt) == {"1", "9"} and workflow.notices == ()


def test_a_node_that_passes_values_without_links_is_reported_with_the_remedy(read):
    everywhere = {"id": 5, "type": "Anything Everywhere", "inputs": []}
    (notice,) = read(graph(MODEL, save(None), everywhere)).notices
    assert '"Anything Everywhere" (node 5)' in notice and "save with Export (API)" in notice


def test_missing_nodes_are_left_out_if_no_output_needs_them(read):
    absent = {"id": 5, "type": "Absent", "inputs": [{"name": "x", "type": "MODEL", "link": 8}]}
    after = {"id": 6, "type": "Change", "inputs": [{"name": "model", "type": "*", "link": 10}]}
    links = [GOOD_LINK, [8, 1, 0, 5, 0, "MODEL"], [10, 5, 0, 6, 0, "MODEL"]]
    workflow = read(graph(MODEL, absent, after, save(7), links=links))
    assert set(workflow.prompt) == {"1", "9"}
    assert workflow.notices[0].endswith('(1): "Absent" (node 5).')
    needed = graph(MODEL, absent, after, save(10, number=9), links=links)
    with pytest.raises(WorkflowError) as caught:
        read(needed)
    assert 'not installed here (1): "Absent" (node 5). Install' in str(caught.value)
    assert "live in the editor only, save with Export (API)" in str(caught.value)


PRIMITIVES = [
    ("PrimitiveNode", [7, "fixed"], 7),
    ("PrimitiveNode", [7, True], 7),
    ("PrimitiveNode", ["x"], "x"),
    ("PrimitiveInt", [7, "randomize"], 7),
    ("PrimitiveFloat", [0.5], 0.5),
    ("PrimitiveString", ["a"], "a"),
    ("PrimitiveStringMultiline", ["a\nb"], "a\nb"),
    ("PrimitiveBoolean", [False], False),
    ("PrimitiveNode", {"value": 3}, 3),
    ("PrimitiveNode", [[1, 2]], {"__value__": [1, 2]}),
    ("PrimitiveNode", [], "own"),
    ("PrimitiveNode", None, "own"),
]


@pytest.mark.parametrize(("kind", "values", "taken"), PRIMITIVES)
def test_primitives_pass_their_value_on(read, kind, values, taken):
    widget = {"name": "text", "type": "STRING", "widget": {"name": "text"}, "link": 7}
    node = {"id": 9, "type": "Save", "inputs": [widget], "widgets_values": ["own"]}
    primitive = {"id": 3, "type": kind, "widgets_values": values, "outputs": [{"type": "*"}]}
    prompt = read(graph(primitive, node, links=[[7, 3, 0, 9, 0, "STRING"]])).prompt
    assert prompt == {"9": {"class_type": "Save", "inputs": {"text": taken}}}


def test_a_cycle_of_reroutes_leads_nowhere(read):
    first = {"id": 2, "type": "Reroute", "inputs": [{"name": "", "type": "*", "link": 7}]}
    links = [[7, 2, 0, 2, 0, "*"], [8, 2, 0, 9, 0, "MODEL"]]
    assert "model" not in read(graph(first, save(8), links=links)).prompt["9"]["inputs"]


# --- group nodes and subgraphs


@pytest.mark.parametrize("kind", ["workflow/inner", "workflow>inner"])
def test_a_group_node_is_refused_if_needed_and_otherwise_left_out(read, kind):
    groups = {"extra": {"groupNodes": {"inner": {"nodes": [{"type": "Model"}], "links": []}}}}
    with pytest.raises(WorkflowError, match=r'node 2 is the group node "inner".*Export \(API\)'):
        read(between(kind) | groups)
    unneeded = between(kind) | groups
    unneeded["nodes"][2] = save(6)
    assert set(read(unneeded).prompt) == {"1", "9"}
    groups["extra"]["groupNodes"]["inner"]["nodes"].append({"type": "Save"})
    with pytest.raises(WorkflowError, match="group node"):
        read(unneeded | groups)  # it saves something itself


INNER = "0a1b2c3d-0000-4000-8000-000000000001"


def subgraph(nodes, links, name="Inner", number=INNER, inputs=("model", "text"), **more):
    return {
        "id": number,
        "name": name,
        "inputs": [{"name": each, "type": "*"} for each in inputs],
        "outputs": [{"name": "out", "type": "MODEL"}],
        "nodes": nodes,
        "links": [
            dict(zip(("id", "origin_id", "origin_slot", "target_id", "target_slot"), each))  # noqa: B905
            for each in links
        ],
    } | more


def change(link, number=3, seed_link=None, **more):
    sockets = [
        {"name": "model", "type": "MODEL", "link": link},
        {"name": "by", "type": "FLOAT", "widget": {"name": "by"}, "link": seed_link},
    ]
    return {
        "id": number,
        "type": "Change",
        "inputs": sockets,
        "outputs": [{"type": "MODEL"}, {"type": "LATENT"}],
        "widgets_values": [0.5, 1, "fixed"],
    } | more


def with_subgraph(definition, host=None, outer=()):
    """1 Model → 5 (subgraph) → 9 Save"""
    node = {
        "id": 5,
        "type": INNER,
        "inputs": [{"name": "model", "type": "MODEL", "link": 6}],
        "outputs": [{"type": "MODEL"}],
    } | (host or {})
    links = [[6, 1, 0, 5, 0, "MODEL"], [7, 5, 0, 9, 0, "MODEL"], *outer]
    definitions = definition if isinstance(definition, list) else [definition]
    return graph(MODEL, node, save(7), links=links, definitions={"subgraphs": definitions})


PLAIN = subgraph(
    [change(1, seed_link=2)], [(1, -10, 0, 3, 0), (2, -10, 1, 3, 1), (3, 3, 0, -20, 0)]
)


def test_a_subgraph_is_expanded_with_ids_as_in_the_editor(read):
    prompt = read(with_subgraph(PLAIN)).prompt
    assert set(prompt) == {"1", "5:3", "9"}
    assert prompt["5:3"]["inputs"] == {"model": ["1", 0], "by": 0.5, "seed": 1}
    assert prompt["9"]["inputs"]["model"] == ["5:3", 0]


HOSTS = [
    ("its node shows a value", {"widgets_values": [2.5]}, 2.5),
    ("its node shows none", {"widgets_values": []}, 0.5),
    ("a null stands for the inner value", {"widgets_values": [None]}, 0.5),
    ("values by name", {"widgets_values": {"text": 2.5}}, 2.5),
    ("own inputs among proxies",
     {"widgets_values": [2.5], "properties": {"proxyWidgets": [["-1", "text"]]}}, 2.5),
    ("an inner widget among proxies",
     {"widgets_values": [7], "properties": {"proxyWidgets": [["3", "by"]]}}, 7),
    ("proxies without values",
     {"widgets_values": [], "properties": {"proxyWidgets": [["3", "by"]]}}, 0.5),
    ("proxies that are broken", {"widgets_values": [2.5], "properties": {"proxyWidgets": 3}}, 2.5),
]  # fmt: skip


@pytest.mark.parametrize(("host", "by"), [row[1:] for row in HOSTS], ids=[row[0] for row in HOSTS])
def test_widgets_of_a_subgraph_take_the_values_of_its_node(read, host, by):
    assert read(with_subgraph(PLAIN, host)).prompt["5:3"]["inputs"]["by"] == by


def test_a_widget_of_a_subgraph_may_be_linked_from_outside(read):
    sockets = [
        {"name": "text", "type": "FLOAT", "widget": {"name": "text"}, "link": 8},
        {"name": "model", "type": "MODEL", "link": 6},
    ]
    content = with_subgraph(PLAIN, {"inputs": sockets}, outer=[[8, 4, 0, 5, 0, "FLOAT"]])
    content["nodes"].append({"id": 4, "type": "PrimitiveNode", "widgets_values": [3.5]})
    prompt = read(content).prompt
    assert prompt["5:3"]["inputs"] == {"model": ["1", 0], "by": 3.5, "seed": 1}


def test_muted_and_bypassed_subgraphs_and_nodes_inside_are_as_in_the_editor(read):
    muted = read(with_subgraph(PLAIN, {"mode": 2})).prompt
    assert set(muted) == {"1", "9"} and "model" not in muted["9"]["inputs"]
    bypassed = read(with_subgraph(PLAIN, {"mode": 4})).prompt
    assert set(bypassed) == {"1", "9"} and bypassed["9"]["inputs"]["model"] == ["1", 0]
    links = [(1, -10, 0, 3, 0), (3, 3, 0, -20, 0)]
    inner = read(with_subgraph(subgraph([change(1, mode=4)], links))).prompt
    assert set(inner) == {"1", "9"} and inner["9"]["inputs"]["model"] == ["1", 0]
    inner = read(with_subgraph(subgraph([change(1, mode=2)], links))).prompt
    assert set(inner) == {"1", "9"} and "model" not in inner["9"]["inputs"]


def test_subgraphs_nest_and_hold_reroutes_and_set_nodes(read):
    deep = "0a1b2c3d-0000-4000-8000-000000000002"
    outer = subgraph(
        [
            {"id": 1, "type": "Reroute", "inputs": [{"name": "", "type": "*", "link": 1}]},
            {"id": 2, "type": deep, "inputs": [{"name": "model", "type": "MODEL", "link": 2}]},
            {"id": 3, "type": "GetNode", "widgets_values": ["kept"]},
            {"id": 4, "type": "SetNode", "widgets_values": ["kept"],
             "inputs": [{"name": "x", "type": "*", "link": 4}]},
        ],
        [(1, -10, 0, 1, 0), (2, 1, 0, 2, 0), (4, 2, 0, 4, 0), (3, 3, 0, -20, 0)],
    )  # fmt: skip
    inner = subgraph([change(1)], [(1, -10, 0, 3, 0), (3, 3, 0, -20, 0)], number=deep)
    workflow = read(with_subgraph([outer, inner]))
    assert set(workflow.prompt) == {"1", "5:2:3", "9"} and workflow.notices == ()
    assert workflow.prompt["9"]["inputs"]["model"] == ["5:2:3", 0]
    assert workflow.prompt["5:2:3"]["inputs"]["model"] == ["1", 0]


def test_two_nodes_with_the_same_subgraph_are_independent(read):
    content = with_subgraph(PLAIN, {"widgets_values": [2.0]})
    twin = {"id": 6, "type": INNER, "inputs": [{"name": "model", "type": "MODEL", "link": 7}]}
    content["nodes"] += [twin | {"widgets_values": [4.0]}, save(8, number=10)]
    content["links"].append([8, 6, 0, 10, 0, "MODEL"])
    prompt = read(content).prompt
    assert (prompt["5:3"]["inputs"]["by"], prompt["6:3"]["inputs"]["by"]) == (2.0, 4.0)
    assert prompt["6:3"]["inputs"]["model"] == ["5:3", 0]


def test_a_subgraph_that_cannot_be_expanded_is_refused_in_words(read):
    endless = subgraph([{"id": 3, "type": INNER}], [(3, 3, 0, -20, 0)])
    with pytest.raises(WorkflowError, match='subgraph "Inner" contains itself'):
        read(with_subgraph(endless))
    with pytest.raises(WorkflowError, match=r"node 5 is a subgraph that is not in the file"):
        read(with_subgraph([]))


# --- any damage at all

EXAMPLES = Path(__file__).parents[4] / "example_workflows"
JUNK = [None, True, -1, 10**30, 0.5, "", "x", "-10", "-20", [], [None], {}, {"id": 1}, [1, 2, 3]]


def places(value, path=()):
    """Every place in a JSON value, as a path."""
    if path:
        yield path
    steps = value.items() if isinstance(value, dict) else enumerate(value)
    for step, each in steps:
        if isinstance(each, (dict, list)):
            yield from places(each, (*path, step))
        else:
            yield (*path, step)


def damaged(content, dice):
    """A copy with one to four parts replaced, taken out, doubled or swapped."""
    content = json.loads(json.dumps(content))
    for _ in range(dice.randint(1, 4)):
        found = list(places(content))
        *path, last = dice.choice(found)
        parent = content
        for step in path:
            parent = parent[step]
        act = dice.choice(("replace", "remove", "double", "swap"))
        if act == "remove":
            del parent[last]
        elif act == "double" and isinstance(parent, list):
            parent.append(json.loads(json.dumps(parent[last])))
        elif act == "swap" and isinstance(parent, list):
            other = dice.randrange(len(parent))
            parent[last], parent[other] = parent[other], parent[last]
        else:
            parent[last] = json.loads(json.dumps(dice.choice(JUNK)))
    return content


@pytest.fixture(scope="module")
def installed():
    import asyncio

    from hypernet_pack.cli.main import _installed_nodes

    nodes = asyncio.run(_installed_nodes())
    return {each.GET_SCHEMA().node_id: each for each in nodes}


def starting_points():
    for path in sorted(EXAMPLES.glob("*.json")):
        yield path.stem, json.loads(path.read_text("utf-8"))
    for path in sorted((Path(__file__).parent / "workflows").rglob("*.json")):
        if "utf16" not in path.name:
            yield path.stem, json.loads(path.read_text("utf-8-sig"))
    yield "subgraph", with_subgraph(PLAIN, {"widgets_values": [2.0]})


STARTS = dict(starting_points())


@pytest.mark.parametrize("name", STARTS)
def test_a_file_that_is_damaged_anywhere_is_read_or_refused_in_a_sentence(read, installed, name):
    nodes = NODES if name == "subgraph" else installed
    for seed in range(60):
        content = damaged(STARTS[name], random.Random(f"{name} {seed}"))
        try:
            workflow = as_queued(read(content, nodes), nodes)
        except WorkflowError as error:
            assert str(error).endswith((".", ")", '"')) and "\n" not in str(error), seed
            continue
        ok, error, _, node_errors = validate_prompt(workflow.prompt, nodes)
        told = [error] if error else []
        told += [each for entry in node_errors.values() for each in entry["errors"]]
        assert ok or told
        for each in told:
            assert "exception" not in each["type"], (seed, each)
