"""Templates as they are opened from the editor's list: to be read, in its language."""

from __future__ import annotations

import json
from itertools import combinations

import pytest
from conftest import HEIGHT, WIDTH
from editing import EXAMPLES, REPOSITORY

NAMES = ("first_network_demo", "train_on_flux", "train_subject_with_tagger", "fold_and_export")
SMALL, USUAL = (1280, 640), (1440, 900)
READABLE = 0.7
BLUEPRINT = "Train a Hypernetwork"
SEEN = """
const {ds} = app.canvas;
const drawn = (node) => {
  const element = document.querySelector(`[data-node-id="${node.id}"]`);
  if (!element) return [...node.boundingRect].map((each) => each * ds.scale);
  const {x, y, width, height} = element.getBoundingClientRect();
  return [x, y, width, height];
};
return {
  scale: ds.scale,
  extra: app.graph.extra,
  places: Object.fromEntries(app.graph.nodes.map((node) => {
    const [x, y] = node.boundingRect;
    return [node.type, [(x + ds.offset[0]) * ds.scale, (y + ds.offset[1]) * ds.scale]];
  })),
  boxes: app.graph.nodes.map(drawn),
  titles: app.graph.nodes.map((node) => node.title),
  groups: app.graph.groups.map((group) => group.title),
  note: app.graph.nodes.find((node) => node.type === "MarkdownNote").widgets[0].value,
};
"""


@pytest.fixture
def open_template(editor):
    """open_template(name, (width, height)) -> what SEEN says of it"""
    yield lambda name, size=USUAL: opened(editor, name, size)
    editor.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})


def opened(editor, name: str, size: tuple[int, int]) -> dict:
    editor.page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    content = json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))
    tab = "app.extensionManager.workflow.activeWorkflow"
    editor.run(
        f"await app.loadGraphData(given, true, true, {tab}, {{openSource: 'template'}})", content
    )
    editor.until("app.graph.nodes.length === given", len(content["nodes"]))
    editor.settle()
    return editor.run(SEEN)


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_read_and_nothing_lies_on_anything_else(open_template, editor, name):
    for size in (USUAL, SMALL):
        seen = open_template(name, size)
        assert seen["scale"] >= READABLE
        assert "hypernet" not in seen["extra"]  # once it is open it is the user's
        x, y = seen["places"]["MarkdownNote"]
        assert 0 < x < size[0] / 3 and 0 < y < size[1] / 3
        if trainer := seen["places"].get("HypernetTrain"):
            assert trainer[0] + 300 < size[0] and trainer[1] < size[1] / 3
        for a, b in combinations(seen["boxes"], 2):
            apart = any(a[i] + a[i + 2] < b[i] + 1 or b[i] + b[i + 2] < a[i] + 1 for i in (0, 1))
            assert apart, (a, b)
        editor.shot(f"template-{name}-{size[0]}")


@pytest.mark.parametrize("name", NAMES)
def test_no_letter_is_smaller_than_nine_pixels(open_template, editor, name):
    open_template(name)
    if name == "first_network_demo":
        editor.page.locator(".hypernet-drawing text").first.wait_for()
    small = editor.run(
        """
        const pixels = (each) => parseFloat(getComputedStyle(each).fontSize) *
          (each.getScreenCTM?.().a ?? app.canvas.ds.scale);  // drawings have a scale of their own
        const own = (each) => [...each.childNodes]
          .map((node) => node.nodeType === Node.TEXT_NODE ? node.data.trim() : "").join("");
        return [...document.querySelectorAll(".lg-node *, .hypernet-box *")]
          .map((each) => [pixels(each), own(each) || each.placeholder])
          .filter(([size, said]) => said && size < 8.99);
        """
    )
    assert not small


def test_it_speaks_chinese_in_a_chinese_editor(open_editor):
    editor = open_editor("vue", language="zh")
    seen = opened(editor, "train_style", USUAL)
    words = json.loads((REPOSITORY / "web" / "words" / "templates.zh.json").read_text("utf-8"))
    assert set(seen["groups"]) < set(words.values())
    assert {"训练前", "训练后", "三步就好"} < set(seen["titles"])
    assert seen["note"] in words.values()
    editor.shot("template-zh")


def test_a_training_is_one_node_among_the_blueprints(editor):
    editor.load({"nodes": [], "links": [], "version": 0.4})
    editor.run("await app.extensionManager.command.execute('Workspace.SearchBox.Toggle')")
    editor.page.locator("input:focus").wait_for()
    editor.page.keyboard.type(BLUEPRINT)
    editor.page.get_by_text("Trains a hypernetwork on the pictures of a folder").first.wait_for()
    editor.page.wait_for_timeout(1000)  # it searches while one types
    editor.page.keyboard.press("Enter")
    editor.until("app.graph.nodes.length === 1")
    editor.settle()
    shown = """
    const settings = app.graph.nodes[0].widgets.filter(({serialize}) => serialize !== false);
    return settings.map(({name, value}) => [name, value]);
    """
    assert dict(editor.run(shown)) == {
        "folder": "my_pictures", "name": "my_style", "steps": 0, "preview_prompt": "",
    }  # fmt: skip
    editor.run("app.graph.nodes[0].widgets.find(({name}) => name === 'steps').value = 7")
    prompt = editor.run("return (await app.graphToPrompt()).output")
    (trainer,) = (each for each in prompt.values() if each["class_type"] == "HypernetTrain")
    assert trainer["inputs"]["steps"] == 7
    editor.shot("blueprint")
    editor.page.close()  # the new node still hangs on the pointer


def test_a_template_is_ready_for_the_app_mode(open_editor):
    editor = open_editor("vue")
    opened(editor, "first_network_demo", USUAL)
    editor.run("await app.extensionManager.command.execute('Comfy.ToggleLinear')")
    editor.page.get_by_text("preview_prompt", exact=True).last.wait_for()
    editor.shot("app")
    editor.page.close()  # the tour that it offers would lie over what other tests click


def test_a_view_that_the_user_has_saved_stays(editor):
    content = json.loads((EXAMPLES / "apply.json").read_text("utf-8"))
    view = {"scale": 0.5, "offset": [200, 200]}
    editor.load(content | {"extra": {"ds": view}})
    editor.run("await app.loadGraphData(given)", content | {"extra": {"ds": view}})
    editor.settle()
    assert editor.run("return app.canvas.ds.scale") == 0.5


def test_the_demo_model_takes_the_place_of_a_checkpoint(open_template, editor):
    open_template("train_style")
    links = "return app.graph.nodes.reduce((sum, node) => sum + (node.inputs ?? []).filter("
    links += "(_, slot) => node.isInputConnected(slot)).length, 0)"
    before = editor.run(links)
    editor.run("await app.extensionManager.command.execute('Hypernet.DemoModel')")
    kinds = editor.run("return app.graph.nodes.map((node) => node.type)")
    assert "HypernetLoadDemoModel" in kinds and "CheckpointLoaderSimple" not in kinds
    assert editor.run(links) == before
    saved = editor.saved()
    (data,) = (node for node in saved["nodes"] if node["type"] == "HypernetLoadDataset")
    assert data["widgets_values"][1:3] == [128, 128]
