"""A workflow is queued as the editor queues it, and again the same with the same seed."""

import json
from datetime import datetime

import pytest
from hypernet_pack.compat.standalone.graph import io
from hypernet_pack.compat.standalone.graph.at_queueing import (
    as_javascript,
    as_queued,
    date,
    resolve,
)
from hypernet_pack.compat.standalone.graph.workflow import read_workflow, set_value

NOW = datetime(2024, 3, 9, 7, 5, 1)


def node_class(name, inputs, display_name=None, **more):
    def define_schema(cls):
        return io.Schema(node_id=name, display_name=display_name, inputs=inputs, **more)

    return type(name, (io.ComfyNode,), {"define_schema": classmethod(define_schema)})


CLASSES = [
    node_class("Encode", [
        io.String.Input("text", dynamic_prompts=True), io.String.Input("plain", default=""),
    ], display_name="Encode Prompt"),
    node_class("Sample", [
        io.Int.Input("seed", default=0, control_after_generate=True),
        io.Float.Input("cfg", default=8.0), io.Combo.Input("sampler", ["euler", "dpm"]),
        io.Boolean.Input("fast", default=False),
    ]),
    node_class("SaveImage", [io.String.Input("filename_prefix", default="ComfyUI")]),
]  # fmt: skip
NODES = {each.__name__: each for each in CLASSES}


def first(alternatives):
    return alternatives[0]


def last(alternatives):
    return alternatives[-1]


PROMPTS = [  # text, with the first and with the last alternatives
    ("a cat", "a cat", "a cat"),
    ("{red|blue} heart", "red heart", "blue heart"),
    ("{red|green|blue}{a|b}", "reda", "blueb"),
    ("a {|big} cat", "a  cat", "a big cat"),
    ("{red}", "red", "red"),
    ("{}", "", ""),
    ("{a {very |}red|blue} heart", "a very red heart", "blue heart"),
    ("{a|{b|{c|d}}}", "a", "d"),
    (r"\{red|blue\}", "{red|blue}", "{red|blue}"),
    (r"{\{a\||b}", "{a|", "b"),
    ("(a:1.2) | b", "(a:1.2) | b", "(a:1.2) | b"),
    ("{red|blue heart", "red", "blue heart"),
    ("red} heart", "red} heart", "red} heart"),
    ("heart // a note", "heart ", "heart "),
    ("heart // a {b|c}\nand more", "heart \nand more", "heart \nand more"),
    ("a /* b\nc */ d", "a  d", "a  d"),
    ("/* {a|b} */{c|d // e}\n}", "c", "d \n"),
    ("a /* open", "a /* open", "a /* open"),
    (r"\(a\) \\ b", r"\(a\) \\ b", r"\(a\) \\ b"),
    ("a\\", "a\\", "a\\"),
    ("", "", ""),
]


@pytest.mark.parametrize(("text", "with_first", "with_last"), PROMPTS)
def test_a_prompt_is_resolved_as_in_the_editor(text, with_first, with_last):
    assert (resolve(text, first), resolve(text, last)) == (with_first, with_last)


DATES = [
    ("yyyy-MM-dd", "2024-03-09"), ("yy.M.d", "24.3.9"), ("hh:mm:ss", "07:05:01"),
    ("h_m_s", "7_5_1"),
    ("yyyyMMdd/hhmmss", "20240309/070501"), ("yyy", "yyy"), ("y", "y"), ("", ""),
    ("yyyyyy", "202424"), ("MMM", "033"), ("Q x", "Q x"), ("yyyy年MM月dd日", "2024年03月09日"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "written"), DATES)
def test_a_date_is_written_as_in_the_editor(form, written):
    assert date(form, NOW) == written


NUMBERS = [
    (1.0, "1"), (0.5, "0.5"), (8, "8"), (1e-5, "0.00001"), (1e20, "100000000000000000000"),
    (0.0, "0"), (True, "true"), (False, "false"), ("a", "a"), (2**64 - 1, "18446744073709551615"),
    ({"__value__": ["a", 1.0]}, "a,1"), (-0.25, "-0.25"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "written"), NUMBERS)
def test_a_value_is_written_as_the_editor_writes_it(value, written):
    assert as_javascript(value) == written


@pytest.fixture
def queue(tmp_path):
    def queue(*nodes, api=False, seed=None, sets=(), **more):
        path = tmp_path / "w.json"
        content = nodes[0] if api else {"nodes": list(nodes), "links": []} | more
        path.write_text(json.dumps(content), "utf-8")
        workflow = read_workflow(path, NODES)
        for each in sets:
            set_value(workflow.prompt, each, NODES)
        return as_queued(workflow, NODES, seed, NOW)

    return queue


def encode(text, number=4, **more):
    return {"id": number, "type": "Encode", "widgets_values": [text, text]} | more


def sample(*values, number=6, **more):
    return {"id": number, "type": "Sample", "widgets_values": list(values)} | more


def saving(prefix, number=8):
    return {"id": number, "type": "SaveImage", "widgets_values": [prefix]}


def text_of(workflow, number="4"):
    return workflow.prompt[number]["inputs"]["text"]


COLOURS = "{red|orange|yellow|green|blue|violet|black|white} heart"


def test_the_seed_of_the_workflow_decides_between_alternatives(queue):
    texts = [text_of(queue(encode(COLOURS), sample(seed, "fixed"))) for seed in range(20)]
    assert len(set(texts)) > 4 and all(each.endswith(" heart") for each in texts)
    again = [text_of(queue(encode(COLOURS), sample(seed, "fixed"))) for seed in range(20)]
    assert texts == again
    given = [text_of(queue(encode(COLOURS), sample(0, "fixed"), seed=seed)) for seed in range(20)]
    assert given == texts, "--seed is used in its place"
    set_later = queue(encode(COLOURS), sample(0, "fixed"), sets=["Sample.seed=3"])
    assert text_of(set_later) == texts[3]


def test_two_prompts_choose_independently(queue):
    prompts = [encode(COLOURS, number) for number in range(1, 9)]
    workflow = queue(*prompts, sample(1, "fixed", number=20))
    assert len({text_of(workflow, str(number)) for number in range(1, 9)}) > 1


def test_chosen_alternatives_and_removed_comments_are_reported(queue):
    workflow = queue(encode("{red|red} heart // note"), sample(7, "fixed"))
    assert workflow.notices == (
        'Comments were taken out of prompts, as in the editor (1): node 4 "// note".',
        'Alternatives were chosen by seed 7 (1): node 4 "red".',
    )


def test_only_inputs_with_dynamic_prompts_are_resolved(queue):
    assert queue(encode("{a|a} // b")).prompt["4"]["inputs"]["plain"] == "{a|a} // b"


def test_values_given_by_set_are_resolved_too(queue):
    assert text_of(queue(encode("x"), sets=["Encode.text={a|a}"])) == "a"


SAMPLER = sample(5, "fixed", 1.0, "dpm", True, properties={"Node name for S&R": "Main"})
PREFIXES = [
    ("pic", "pic"),
    ("%date:yyyy-MM-dd%/pic", "2024-03-09/pic"),
    ("%date:yyyy.MM%", "2024.03"),
    ("%Main.seed%_%Main.cfg%_%Main.sampler%_%Main.fast%", "5_1_dpm_true"),
    ("%Second pass.seed%", "9"),
    ("%Encode.text%", "a_b _ c_d"),
    ("%Encode Prompt.text%", "a_b _ c_d"),
    ("%width%x%height%_%year%%month%", "%width%x%height%_%year%%month%"),
    ("%Number.value%", "12"),
    ("%nothing%", "%nothing%"),
    ("%Main.nothing%", "%Main.nothing%"),
    ("%Nobody.seed%", "%Nobody.seed%"),
    ("100% sure", "100% sure"),
]


@pytest.mark.parametrize(("prefix", "filled"), PREFIXES)
def test_placeholders_in_file_names_are_filled_in_as_in_the_editor(queue, prefix, filled):
    second = sample(9, "fixed", number=7, title="Second pass")
    number = {"id": 3, "type": "PrimitiveNode", "title": "Number", "widgets_values": [12, "fixed"]}
    workflow = queue(encode("a/b ? c:d"), SAMPLER, second, number, saving(prefix))
    assert workflow.prompt["8"]["inputs"]["filename_prefix"] == filled
    known = {"%width%", "%height%", "%year%", "%month%"}
    unknown = "%" in filled and filled != "100% sure" and not any(k in filled for k in known)
    assert bool(workflow.notices) == unknown
    if unknown:
        said = f'Words of file names that mean nothing stay as they are (1): node 8 "{prefix}".'
        assert workflow.notices == (said,)


def test_without_a_matching_search_name_the_title_counts(queue):
    named = sample(5, "fixed", title="Encode")
    other = sample(6, "fixed", number=7)
    filled = queue(named, other, encode("x"), saving("%Sample.seed%-%Encode.text%"))
    assert filled.prompt["8"]["inputs"]["filename_prefix"] == "5-x", "the first; the class before"


def test_values_of_muted_nodes_and_set_values_are_filled_in(queue):
    muted = sample(5, "fixed", mode=2)
    filled = queue(muted, saving("%Sample.seed%")).prompt["8"]["inputs"]["filename_prefix"]
    assert filled == "5"
    later = queue(sample(5, "fixed"), saving("%Sample.seed%"), sets=["Sample.seed=11"])
    assert later.prompt["8"]["inputs"]["filename_prefix"] == "11"


def test_a_widget_without_a_value_gets_its_default_and_is_reported(queue):
    workflow = queue({"id": 6, "type": "Sample", "widgets_values": {"seed": 3}})
    inputs = {"seed": 3, "cfg": 8.0, "sampler": "euler", "fast": False}
    assert workflow.prompt["6"]["inputs"] == inputs
    (notice,) = workflow.notices
    assert notice.startswith("Widgets that have no value in the file take their default (3): ")
    assert "node 6 cfg = 8.0" in notice


STANDING = [
    ("text", "{red|blue} heart", '"{red|blue}"'),
    ("text", "heart // note", '"// note"'),
    ("text", "a /* b */", '"/* b */"'),
    ("text", "a cat", None),
    ("text", r"\{a|b\}", None),
    ("plain", "{red|blue}", None),
    ("filename_prefix", "%date:yyyy%/a", '"%date:yyyy%"'),
    ("filename_prefix", "%KSampler.seed%", '"%KSampler.seed%"'),
    ("filename_prefix", "%width%_%hour%", None),
    ("filename_prefix", "100%", None),
]


@pytest.mark.parametrize(("name", "value", "named"), STANDING)
def test_api_format_is_used_unchanged_and_what_looks_unfilled_is_reported(
    queue, name, value, named
):
    kind = "SaveImage" if name == "filename_prefix" else "Encode"
    content = {"4": {"class_type": kind, "inputs": {name: value}}}
    workflow = queue(content, api=True)
    assert workflow.prompt == content
    assert bool(workflow.notices) == bool(named)
    if named:
        assert "in API format" in workflow.notices[0] and named in workflow.notices[0]
