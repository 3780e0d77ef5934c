"""The dataset desk: pictures looked at, captions edited, pictures left out, and Run that asks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("editing", reason="conftest.py of the browser tests is not here")

from PIL import Image

PICTURES = Path(__file__).resolve().parents[2] / "demo" / "pictures"
HOSTILE = '<img src=x onerror="window.caught = true">'
SHOW = """
app.graph.clear();  // a new page of ComfyUI has a graph already
for (const [kind, place, values] of given) {
  const node = LiteGraph.createNode(kind);
  node.pos = [place * 360, 0];
  app.graph.add(node);
  for (const [name, value] of Object.entries(values))
    node.widgets.find((widget) => widget.name === name).value = value;
}
const [data, next] = app.graph.nodes;
data.connect(next.type === "PreviewImage" ? 2 : 0, next, 0);
"""
VALUE = """
const data = app.graph.nodes.find(({type}) => type === "HypernetLoadDataset");
return data.widgets.find(({name}) => name === given).value;
"""
UNSAVED = "Captions of desk that are not saved: 1."
ASKS_BEFORE_IT_LEAVES = """
const asks = "Comfy.Window.UnloadConfirmation";  // the editor itself, about the workflow
await app.extensionManager.setting.set(asks, false);
const leaving = new Event("beforeunload", {cancelable: true});
dispatchEvent(leaving);
await app.extensionManager.setting.set(asks, true);
return leaving.defaultPrevented;
"""


SAVE_PREPARED = """
const save = LiteGraph.createNode("HypernetSavePrepared");
save.pos = [720, 0];
app.graph.add(save);
save.widgets.find(({name}) => name === "name").value = given;
app.graph.nodes.find(({type}) => type === "HypernetCaption").connect(0, save, "dataset");
"""
CLOSE = "document.querySelectorAll('dialog.hypernet-box').forEach((each) => each.close())"
FIT = "await app.extensionManager.command.execute('Comfy.Canvas.FitView')"


def show(editor, *nodes):
    """Two nodes, the dataset of the first connected to the second, in the middle of the page."""
    editor.run(SHOW, nodes)
    editor.settle()
    editor.run(FIT)
    editor.settle()


@pytest.fixture
def folder(editor):
    """Six pictures: one with a hostile caption, one with a mask, one that is none."""
    folder = editor.host.base / "input" / "desk"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, picture in zip(
        ["alien", "bee", "cat", "dog", "eel"], sorted(PICTURES.glob("*.png")), strict=False
    ):
        shutil.copy(picture, folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(f"{name}, animal")
    (folder / "alien.txt").write_text(f"{HOSTILE}, green")
    (folder / "eel.txt").unlink()
    Image.new("L", (64, 64)).save(folder / "bee_mask.png")
    (folder / "fox.png").write_bytes(b"no picture")
    editor.page.wait_for_timeout(2100)  # the server walks through a folder again
    return folder


@pytest.fixture
def table(editor, folder):
    """Load Dataset is in the graph with a node that shows it, and its desk is open."""
    data = ["HypernetLoadDataset", 0, {"folder": "desk", "unreadable": "skip"}]
    show(editor, data, ["PreviewImage", 1, {}])
    yield opened(editor)
    editor.run(CLOSE)  # the next test has the same page


def opened(editor):
    editor.page.get_by_role("button", name="Open the desk").click(timeout=8000)
    desk = editor.page.locator("dialog.hypernet-desk")
    desk.locator("textarea").nth(5).wait_for()
    return desk


def captions(desk):
    return [area.input_value() for area in desk.locator("textarea").all()]


def until(editor, holds, seconds=20):
    for _ in range(seconds * 10):
        if holds():
            return
        editor.page.wait_for_timeout(100)
    raise AssertionError("it never held")


def test_the_strip_says_what_the_folder_holds_and_no_name_becomes_markup(editor, table):
    editor.page.keyboard.press("Escape")
    table.wait_for(state="detached")
    strip = editor.page.locator(".hypernet-album")
    strip.get_by_text("6 pictures · 4 with captions").wait_for()
    strip.get_by_text("1 with faults").wait_for()
    assert strip.locator("img").count() == 6
    assert not editor.run("return window.caught")


def test_captions_are_found_edited_and_written_when_saved(editor, table, folder):
    table.get_by_role("searchbox").fill("green")
    table.get_by_text("1 of 6 shown").wait_for()
    area = table.locator("textarea")
    assert area.input_value() == f"{HOSTILE}, green"
    area.fill("green alien")
    assert (folder / "alien.txt").read_text() == f"{HOSTILE}, green"
    table.get_by_role("button", name="Save captions").click()
    table.get_by_text("Captions saved: 1. Old ones kept as .bak: 1.").wait_for()
    assert (folder / "alien.txt").read_text() == "green alien\n"
    assert (folder / "alien.txt.bak").read_text() == f"{HOSTILE}, green"
    table.get_by_role("searchbox").fill("eel")
    table.get_by_text("eel.png · from its name").wait_for()
    table.locator("textarea").fill("a long fish")
    table.get_by_role("button", name="Save captions").click()
    table.get_by_text("Captions saved: 1.", exact=True).wait_for()
    table.get_by_text("eel.png · .txt").wait_for()
    assert not editor.run("return window.caught")


def test_tags_of_all_that_are_shown_are_changed_at_once(editor, table, folder):
    table.get_by_role("button", name="Show only pictures with the tag animal").click()
    table.get_by_text("Change all 3 shown").wait_for()
    table.get_by_label("What to do").select_option("replace")
    table.get_by_label("Tags, with commas between").fill("animal")
    table.get_by_label("By these tags").fill("creature")
    table.get_by_role("button", name="Change", exact=True).click()
    table.get_by_text("Captions changed: 3. Nothing is saved yet.").wait_for()
    table.get_by_role("button", name="Show only pictures with the tag animal").click()
    until(editor, lambda: captions(table)[1:4] == [f"{x}, creature" for x in ("bee", "cat", "dog")])
    table.get_by_role("button", name="Show no pictures with the tag creature").click()
    table.get_by_text("3 of 6 shown").wait_for()
    editor.shot("desk-tags")
    assert (folder / "bee.txt").read_text() == "bee, animal"
    table.get_by_role("button", name="Discard").click()
    table.get_by_text("6 of 6 shown").wait_for()


def test_pictures_are_excluded_and_used_again(editor, table, folder):
    table.get_by_role("button", name="Exclude cat.png").click()
    again = table.get_by_role("button", name="Use cat.png again")
    again.wait_for()
    table.get_by_text("1 excluded").wait_for()
    assert editor.run(VALUE, "exclude") == "cat.png"
    table.get_by_text("Cannot be opened: 1").wait_for()
    table.get_by_role("button", name="Exclude them all").click()
    table.get_by_text("2 excluded").wait_for()
    assert editor.run(VALUE, "exclude") == "cat.png\nfox.png"
    editor.shot("desk-excluded")
    again.click()
    table.get_by_text("1 excluded").wait_for()
    editor.page.keyboard.press("Escape")
    assert editor.run(VALUE, "exclude") == "fox.png"
    assert editor.end_of(editor.queue()) == "success"
    told = editor.page.locator(".hypernet-report")
    told.get_by_text('1 pictures are left out by exclude: "fox.png".').wait_for()


def test_one_picture_is_shown_large_with_its_mask_by_the_keyboard_alone(editor, table):
    table.get_by_role("button", name="Show alien.png large").focus()
    editor.page.keyboard.press("Enter")
    large = table.locator(".hypernet-large")
    large.get_by_role("button", name="Next").focus()
    editor.page.keyboard.press("Enter")
    large.get_by_label("Caption of bee.png").wait_for()
    tick = large.get_by_label("Show the mask")
    assert tick.is_checked() and large.locator(".hypernet-mask").is_visible()
    editor.shot("desk-large")
    tick.focus()
    editor.page.keyboard.press("Space")
    assert not large.locator(".hypernet-mask").is_visible()
    editor.page.keyboard.press("Escape")
    assert table.count() == 1 and not large.is_visible()
    focused = "return document.activeElement.getAttribute('aria-label')"
    assert editor.run(focused) == "Show bee.png large"


def test_the_desk_asks_before_it_closes_and_run_asks_before_it_runs(editor, table, folder):
    page = editor.page
    question = page.locator("dialog.hypernet-question")
    table.get_by_label("Caption of bee.png").fill("busy bee")
    page.keyboard.press("Escape")
    question.get_by_text("Captions that are not saved: 1.").wait_for()
    page.keyboard.press("Escape")
    question.wait_for(state="detached")
    assert table.count() == 1
    page.keyboard.press("Escape")
    question.get_by_role("button", name="Close, save later").click()
    table.wait_for(state="detached")
    page.locator(".hypernet-album").get_by_text("1 not saved").wait_for()

    page.get_by_test_id("queue-button").click()
    question.get_by_text(UNSAVED).wait_for()
    editor.shot("desk-run-asks")
    page.keyboard.press("Escape")
    page.get_by_text("Nothing was queued").first.wait_for()
    assert not [name for name, _ in editor.events if name == "execution_start"]
    editor.complaints.clear()  # how the editor takes it that a widget has no value

    page.get_by_test_id("queue-button").click()
    question.get_by_role("button", name="Run without them").click()
    editor.hear(lambda name, data: name == "execution_success")
    assert (folder / "bee.txt").read_text() == "bee, animal"
    editor.events.clear()
    assert editor.end_of(editor.queue()) == "success", "it is asked once, and told from then on"
    page.get_by_text(UNSAVED).first.wait_for()

    table = opened(editor)
    table.get_by_label("Caption of bee.png").fill("busy bees")
    page.keyboard.press("Escape")
    question.get_by_role("button", name="Close, save later").click()
    editor.events.clear()
    page.get_by_test_id("queue-button").click()
    question.get_by_role("button", name="Save and run").click()
    editor.hear(lambda name, data: name == "execution_success")
    assert (folder / "bee.txt").read_text() == "busy bees\n"


def test_the_browser_asks_before_it_leaves_captions_that_are_not_saved(editor, table):
    table.get_by_label("Caption of bee.png").fill("busy bee")
    assert editor.run(ASKS_BEFORE_IT_LEAVES)
    table.get_by_role("button", name="Save captions").click()
    table.get_by_text("Captions saved: 1.").wait_for()
    assert not editor.run(ASKS_BEFORE_IT_LEAVES)
    editor.reload()  # the editor thinks that it was left


def test_a_folder_is_chosen_from_a_list_or_comes_by_a_drop(editor, table, folder):
    editor.page.keyboard.press("Escape")
    strip = editor.page.locator(".hypernet-album")
    choice = strip.get_by_label("Choose a folder")
    choice.focus()
    until(editor, lambda: "pictures [demo]" in choice.inner_text())
    choice.select_option("pictures [demo]")
    strip.get_by_text("64 pictures").wait_for()
    shutil.rmtree(editor.host.base / "input" / "my_pictures", ignore_errors=True)
    editor.run(
        """
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(given)], "dropped.png"));
        data.items.add(new File(["a drop"], "dropped.txt"));
        data.items.add(new File(["x"], "program.exe"));
        document.querySelector(".hypernet-album").dispatchEvent(
          new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
        """,
        list((folder / "bee.png").read_bytes()),
    )
    strip.get_by_text("1 pictures · 1 with captions").wait_for()
    taken = editor.host.base / "input" / "my_pictures"
    assert sorted(file.name for file in taken.iterdir()) == ["dropped.png", "dropped.txt"]
    assert editor.run(VALUE, "folder") == "my_pictures"


def test_caption_shows_what_becomes_of_the_words(editor, folder):
    caption = ["HypernetCaption", 1, {"trigger_word": "my style"}]
    show(editor, ["HypernetLoadDataset", 0, {"folder": "desk"}], caption)
    editor.page.locator(".hypernet-album").nth(1).get_by_text("6 pictures").wait_for()
    editor.page.get_by_role("button", name="Open the desk").last.click()
    desk = editor.page.locator("dialog.hypernet-desk")
    desk.get_by_role("button", name="Show bee.png large").click()
    desk.get_by_text("becomes: my style, bee, animal").wait_for()
    editor.run(CLOSE)


def test_what_caption_made_is_read_before_it_is_saved(editor, folder):
    data = ["HypernetLoadDataset", 0, {"folder": "desk", "unreadable": "skip"}]
    show(editor, data, ["HypernetCaption", 1, {"trigger_word": "my style"}])
    editor.run(SAVE_PREPARED, f"reviewed {editor.look}")
    assert editor.end_of(editor.queue()) == "success"
    editor.page.get_by_role("button", name="Open the desk").last.click()
    desk = editor.page.locator("dialog.hypernet-desk")
    desk.get_by_role("button", name="Take over what Caption made").click()
    desk.get_by_text("Captions taken over: 5.").wait_for()
    assert desk.get_by_label("Caption of bee.png").input_value() == "my style, bee, animal"
    assert (folder / "bee.txt").read_text() == "bee, animal"
    desk.get_by_role("button", name="Discard").click()
    desk.get_by_text("Captions taken over").wait_for(state="detached")
    assert desk.get_by_label("Caption of bee.png").input_value() == "bee, animal"
    editor.run(CLOSE)
