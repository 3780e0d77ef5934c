"""The pack in the graph editor: workflows open whole and are saved as they were."""

from __future__ import annotations

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from editing import EXAMPLES, REPOSITORY
from hypernet_pack.cli.main import _installed_nodes
from hypernet_pack.compat.standalone.graph.at_queueing import as_queued
from hypernet_pack.compat.standalone.graph.workflow import read_workflow

WORKFLOWS = REPOSITORY / "tests" / "compat" / "standalone" / "graph" / "workflows"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.json"))
OF_THE_EDITOR = {"MarkdownNote"}  # no server knows it
SAID_SO_IN_CHINESE = {"CLIP", "VAE", "Latent", "TensorBoard", "EMA", "min-SNR-γ"}
OURS = "Hypernet"  # with which ids of our nodes begin
HOSTILE = "<img src=x onerror=hacked=1>"
OUTGROWN = """
const drawn = ({ id }) => document.querySelector(`[data-node-id="${id}"]`)?.offsetHeight ?? 0;
const bottom = (node) => node.pos[1] + Math.max(node.size[1], drawn(node) - 30); // less its title
const within = ([left, top, width, height], [x, y]) =>
  x >= left && x < left + width && y >= top && y < top + height;
return app.graph.groups.flatMap(({ title, _bounding: frame }) => app.graph.nodes
  .filter(({ pos }) => within(frame, pos))
  .filter((node) => !within(frame, [node.pos[0], bottom(node)]))
  .map((node) => [title, node.type]));
"""
PASSING = ("id", "revision", "extra", "config", "last_node_id", "last_link_id")


def example(name: str) -> dict:
    return json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))


def without_passing(workflow: dict) -> dict:
    """What a user would miss; the editor may count inputs in another order each time."""
    kept = {key: value for key, value in workflow.items() if key not in PASSING}
    nodes = [
        node | {"inputs": sorted(node.get("inputs") or [], key=lambda each: each["name"])}
        for node in workflow["nodes"]
    ]
    return kept | {"nodes": nodes, "links": links_of(workflow)}


def links_of(workflow: dict) -> list[tuple]:
    """By the name of the input that each leads to."""
    names = {n["id"]: [each["name"] for each in n.get("inputs") or []] for n in workflow["nodes"]}
    return sorted((*link[:4], names[link[3]][link[4]], link[5]) for link in workflow["links"])


@pytest.fixture(scope="session")
def known(host) -> dict:
    return host.get("/object_info")


@pytest.fixture(scope="session")
def installed_nodes() -> dict:
    with ThreadPoolExecutor() as pool:  # Playwright keeps an event loop in this thread
        nodes = pool.submit(asyncio.run, _installed_nodes()).result()
    return {node.GET_SCHEMA().node_id: node for node in nodes}


@pytest.mark.parametrize("name", NAMES)
def test_an_example_opens_without_missing_nodes_and_keeps_its_links(editor, known, name):
    written = example(name)
    kinds = {node["id"]: node["type"] for node in written["nodes"]}
    strange = sorted({*kinds.values()} - {*known} - OF_THE_EDITOR)
    assert not [kind for kind in strange if kind.startswith(OURS)]
    if strange:
        pytest.skip(f"{editor.host.name} has no {', '.join(strange)}")
    editor.load(written)
    drawn = editor.saved()
    assert {node["id"]: node["type"] for node in drawn["nodes"]} == kinds
    assert links_of(drawn) == links_of(written)
    assert values_of(drawn) == values_of(written)
    assert editor.page.get_by_role("dialog").count() == 0
    assert editor.run(OUTGROWN) == []
    editor.shot(name)

    editor.load(drawn)
    assert without_passing(editor.saved()) == without_passing(drawn)


def values_of(workflow: dict) -> dict:
    return {node["id"]: node.get("widgets_values") or [] for node in workflow["nodes"]}


def test_a_page_that_is_loaded_anew_shows_the_same_graph(editor):
    editor.load("train_style")
    editor.set("HypernetTrain", steps=123, preview_prompt="a fox")
    editor.touch()
    before = editor.saved()
    editor.reload()
    editor.until("app.graph.nodes.length === given", len(before["nodes"]))
    assert without_passing(editor.saved()) == without_passing(before)


def test_a_page_that_is_loaded_anew_takes_no_script_that_an_update_might_have_left(editor):
    def words_of_a_new_page():
        with editor.page.expect_request(re.compile("/extensions/hypernet/words/en.mjs")) as asked:
            editor.reload()
        return asked.value.url

    assert words_of_a_new_page() != words_of_a_new_page()


@pytest.mark.parametrize("name", NAMES)
def test_hypernet_run_reads_from_a_file_what_the_editor_would_queue(
    editor, installed_nodes, name, tmp_path
):
    nodes = installed_nodes
    workflow = example(name)
    if strange := sorted({n["type"] for n in workflow["nodes"]} - set(nodes) - OF_THE_EDITOR):
        pytest.skip(f"hypernet run has no {', '.join(strange)}")
    editor.load(workflow)
    queued = editor.run("return (await app.graphToPrompt()).output")
    file = tmp_path / "saved.json"
    file.write_text(json.dumps(editor.saved()), "utf-8")
    read = read_workflow(file, nodes).prompt
    assert queued
    assert {n: node["class_type"] for n, node in read.items()} == {
        n: node["class_type"] for n, node in queued.items()
    }
    for number, node in queued.items():
        assert read[number]["inputs"] == node["inputs"], node["class_type"]


OTHERS = sorted(
    path.relative_to(WORKFLOWS).as_posix()
    for path in WORKFLOWS.rglob("*.json")
    if path.parent.name[:2] in ("11", "as") or path.name == "short_link.json"
)


@pytest.mark.parametrize("name", OTHERS)
def test_hypernet_run_reads_old_damaged_and_nested_files_as_the_editor_does(
    editor, installed_nodes, name
):
    editor.load(json.loads((WORKFLOWS / name).read_text("utf-8")))
    queued = editor.run("return (await app.graphToPrompt()).output")
    read = as_queued(read_workflow(WORKFLOWS / name, installed_nodes), installed_nodes).prompt
    assert {number: node["class_type"] for number, node in read.items()} == {
        number: node["class_type"] for number, node in queued.items()
    }
    for number, node in queued.items():
        assert read[number]["inputs"] == node["inputs"], number


def test_names_captions_and_prompts_never_become_markup(editor):
    folder = editor.host.base / "input" / "hostile"
    if not folder.is_dir():
        folder.mkdir()
        for number, file in enumerate(sorted((REPOSITORY / "demo" / "pictures").glob("*.png"))[:4]):
            (folder / f"{HOSTILE}{number}.png").write_bytes(file.read_bytes())
            (folder / f"{HOSTILE}{number}.txt").write_text(f"{HOSTILE}, <b>bold</b>", "utf-8")
    editor.load_training(f"hostile_{editor.look}", 2, preview_prompt=HOSTILE)
    editor.set("HypernetLoadDataset", folder="hostile")
    assert editor.end_of(editor.queue()) == "success", editor.host.words()[-2000:]
    trained = editor.host.base / "models" / "hypernetworks"
    hostile_file = trained / f"{HOSTILE}.pt"
    if not hostile_file.exists():
        hostile_file.write_bytes(next(trained.glob("hostile*.pt")).read_bytes())
    editor.page.wait_for_timeout(1000)
    no_markup(editor)
    editor.shot("hostile")

    apply = example("apply")
    for node in apply["nodes"]:
        if node["type"] == "HypernetLoad":
            node["widgets_values"][0] = hostile_file.name
    editor.load(apply)
    editor.page.wait_for_timeout(1000)
    no_markup(editor)


def no_markup(editor) -> None:
    assert editor.run("return window.hacked") is None
    assert editor.page.locator("[onerror], img[src='x']").count() == 0


@pytest.mark.parametrize(("theme", "language"), [("light", "zh")])
def test_in_chinese_no_node_of_ours_has_an_english_name(
    open_editor, renderer, known, theme, language
):
    if not (REPOSITORY / "locales" / "zh").is_dir():
        pytest.skip("there is no locales/zh yet")
    editor = open_editor(renderer, theme=theme, language=language)
    editor.load("train_style")
    editor.shot("chinese")
    shown = editor.run(
        """
        return app.graph.nodes.filter((node) => node.type.startsWith(given)).flatMap((node) => [
          node.title,
          ...node.inputs.map((each) => each.label ?? each.localized_name ?? each.name),
          ...node.outputs.map((each) => each.label ?? each.localized_name ?? each.name),
        ]);
        """,
        OURS,
    )
    english = {words for words in shown if not re.search(r"[\u4e00-\u9fff]", words)}
    assert english <= SAID_SO_IN_CHINESE


def test_rare_inputs_wait_behind_the_editors_own_show_advanced(editor, renderer):
    """They leave no empty rows, and what they say is kept."""
    editor.run("app.graph.add(LiteGraph.createNode('HypernetConfig'))")
    editor.run("await app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    node = "app.graph.nodes.find((each) => each.type === 'HypernetConfig')"
    rare = f"{node}.widgets.filter((each) => each.options.advanced)"

    def look(name: str, toggle: bool) -> tuple[float, list]:
        if toggle:
            editor.run(f"{node}.toggleAdvanced()")
        editor.page.wait_for_timeout(1500)  # the node looks three times a second
        editor.settle()
        editor.shot(f"config-{name}")
        return editor.run(f"return [{node}.size[1], {rare}.map((each) => each.value)]")

    few, values = look("few", toggle=False)
    high, same = look("all", toggle=True)
    again, still = look("few-again", toggle=True)
    assert len(values) > 5 and values == same == still
    assert max(few, again) < high - 20 * len(values)

    editor.run(
        f"""
        const rates = LiteGraph.createNode("HypernetLearningRate");
        const config = {node};
        app.graph.add(rates);
        rates.pos = [config.pos[0], config.pos[1] + 900];
        const slot = config.findInputSlot("groups");
        rates.connect(rates.findOutputSlot("steps"), config, slot);
        """
    )
    if renderer == "canvas":  # Nodes 2.0 sees to linked ones by itself
        assert look("few-linked", toggle=False)[0] >= few + 20
    assert not editor.complaints
