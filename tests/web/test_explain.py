"""What the settings of a node mean, from its menu, a button above it or a command."""

from __future__ import annotations

import pytest

pytest.importorskip("editing", reason="conftest.py of the browser tests is not here")

ADD = """
app.graph.clear();
const node = LiteGraph.createNode(given);
app.graph.add(node);
app.canvas.select(node);
return node.id;
"""
FIT = "await app.extensionManager.command.execute('Comfy.Canvas.FitView')"
# Where a widget is on the page, on the canvas.
PLACE_OF = """
const node = app.graph.nodes[0];
const widget = node.widgets.find(({name}) => name === given);
const {left, top} = app.canvas.canvas.getBoundingClientRect();
const {scale, offset} = app.canvas.ds;
const [x, y] = [node.pos[0] + 60, node.pos[1] + widget.y + 10];
return [left + (x + offset[0]) * scale, top + (y + offset[1]) * scale];
"""
OVER = "return app.canvas.getWidgetAtCursor(app.graph.nodes[0])?.name"
COMMAND = "await app.extensionManager.command.execute('Hypernet.Explain')"


@pytest.fixture
def explained(editor):
    """A function that adds a node, and the dialog that shall explain it."""

    def add(kind):
        editor.run(ADD, kind)
        editor.settle()
        editor.run(FIT)
        editor.settle()
        return editor.page.locator("dialog.hypernet-explained")

    yield add
    editor.run("document.querySelectorAll('dialog.hypernet-box').forEach((each) => each.close())")


def test_the_nodes_menu_leads_to_the_setting_under_the_pointer(editor, explained):
    dialog = explained("HypernetTrain")
    page = editor.page
    if on_canvas := "canvas" in editor.look:
        for _ in range(50):  # what is above it may still grow
            page.mouse.move(*editor.run(PLACE_OF, "learning_rate"))
            if editor.run(OVER) == "learning_rate":
                break
            page.wait_for_timeout(100)
        page.mouse.click(*editor.run(PLACE_OF, "learning_rate"), button="right")
    else:
        # A menu of older editors knows nothing of a node that a script has selected.
        editor.run("app.canvas.deselectAll()")
        page.locator(".lg-node-header").first.click(button="right")
    page.get_by_text("What the settings mean").first.click()
    rate = dialog.locator("[data-name=learning_rate]")
    rate.get_by_text("auto: the preset's. Or a rate").wait_for()
    editor.shot("explained")
    if on_canvas:
        assert editor.run("return document.activeElement.dataset.name") == "learning_rate"
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")


def test_a_command_explains_the_selected_node_in_the_order_of_its_settings(editor, explained):
    dialog = explained("HypernetTrain")
    editor.run(COMMAND)
    dialog.wait_for()
    names = [each.get_attribute("data-name") for each in dialog.locator("section").all()]
    assert names[:3] == ["model", "clip", "vae"]
    assert names.index("preview_prompt") < names.index("preview_steps") < names.index("if_taken")
    assert all(dialog.locator("p").all_inner_texts())


def test_the_words_are_the_editors(open_editor):
    editor = open_editor(language="zh")
    editor.run(ADD, "HypernetCaption")
    editor.settle()
    editor.run(COMMAND)
    dialog = editor.page.locator("dialog.hypernet-explained")
    dialog.wait_for()
    told = dialog.locator("p").all_inner_texts()
    assert all(any("\u4e00" <= letter <= "\u9fff" for letter in each) for each in told), told


def test_the_command_wants_a_node_of_ours(editor, explained):
    dialog = explained("EmptyLatentImage")
    editor.run(COMMAND)
    editor.page.get_by_text("Select a node of Hypernet.").first.wait_for()
    assert dialog.count() == 0
