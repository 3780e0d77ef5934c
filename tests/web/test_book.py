"""The book of runs: a sidebar tab, and a dialog in which runs lie side by side."""

from __future__ import annotations

import json
import shutil

import pytest
from tiny_models.runs import make_run

pytest.importorskip("editing", reason="conftest.py of the browser tests is not here")

HOSTILE = "<img src=x onerror='window.caught = true'>"

NODE = {
    "id": 1, "type": "HypernetConfig", "pos": [0, 0], "size": [300, 300], "flags": {}, "order": 0,
    "mode": 0, "inputs": [], "outputs": [], "properties": {}, "widgets_values": [],
}  # fmt: skip
WORKFLOW = {
    "nodes": [NODE], "links": [], "version": 0.4, "last_node_id": 1, "last_link_id": 0,
}  # fmt: skip


@pytest.fixture
def runs(editor):
    folder = editor.host.base / "output" / "hypernet"
    trash = folder.with_name("hypernet_trash")
    networks = editor.host.base / "models" / "hypernetworks"
    make_run(folder, "book/one", learning_rate="1e-3", loss=0.5)
    make_run(folder, "book/two", learning_rate="1e-4", loss=0.25, ended="interrupted", steps=9)
    make_run(folder, "book/three", ended="", workflow=json.dumps(WORKFLOW))
    make_run(folder, "book/four").rename(folder / "book" / HOSTILE)  # no node does, but hands can
    why = json.dumps({"step": 4, "ended": "failed", "why": HOSTILE})
    (folder / "book" / "three" / "seen.jsonl").write_text(why + "\n")
    yield folder / "book"
    for each in (folder / "book", trash, networks / "book"):
        shutil.rmtree(each, ignore_errors=True)


def test_the_keyboard_alone_compares_publishes_and_deletes_runs(editor, runs):
    page = editor.page
    before = len(editor.asked)
    editor.run("app.extensionManager.command.execute('Hypernet.Runs')")
    find = page.get_by_role("searchbox", name="Find a run")
    find.press_sequentially("book/")
    lines = page.locator(".hypernet-book li")
    lines.nth(3).wait_for()
    assert lines.count() == 4 and page.get_by_text(HOSTILE).count() == 1
    assert page.get_by_text("Stopped · 4 of 9 · loss 0.25").count() == 1
    editor.shot("book")

    for name in ("book/one", "book/two"):
        page.get_by_role("checkbox", name=name, exact=True).press(" ")
    page.get_by_role("button", name="Compare 2", exact=True).press("Enter")
    dialog = page.locator("dialog[open]")
    dialog.get_by_text("training: learning_rate").wait_for()
    assert dialog.locator("tr").count() == 3, "steps and rate differ"
    assert dialog.locator("path").count() == 6  # loss, probe and rate of both
    assert dialog.locator("img").count() == 2
    editor.shot("book-compared")

    one = dialog.get_by_role("region", name="book/one")
    one.get_by_role("combobox").select_option("2")
    one.get_by_role("button", name="Publish").press("Enter")
    dialog.get_by_text("Published as").wait_for()
    assert (editor.host.base / "models" / "hypernetworks" / "book" / "one-2.pt").is_file()
    delete = one.get_by_role("button", name="Delete")
    delete.press("Enter")
    assert (runs / "one").is_dir()
    one.get_by_role("button", name="Really delete?").press("Enter")
    page.get_by_text("hypernet_trash").last.wait_for()
    editor.until("document.querySelectorAll('.hypernet-book li').length === 3")
    assert not (runs / "one").exists()
    assert (editor.host.base / "output" / "hypernet_trash" / "book" / "one").is_dir()
    dialog.wait_for(state="detached")

    page.get_by_role("button", name="book/three").press("Enter")
    dialog.get_by_text(HOSTILE).wait_for()
    dialog.get_by_role("button", name="Open its workflow").press("Enter")
    editor.until("app.graph.nodes.map((node) => node.type).join() === 'HypernetConfig'")
    dialog.wait_for(state="detached")
    page.get_by_role("button", name="book/three").press("Enter")
    dialog.wait_for()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    page.get_by_role("button", name="book/two").press("Enter")
    dialog.get_by_role("button", name="Use in the graph").press("Enter")
    dialog.wait_for(state="detached")
    found = "app.graph.nodes.map((node) => node.widgets?.[0].value)"
    (loaded,) = [name for name in editor.run(f"return {found}") if str(name).startswith("book/two")]
    assert (editor.host.base / "models" / "hypernetworks" / loaded).is_file()
    assert not editor.run("return window.caught")
    assert [address for address in editor.asked[before:] if "book.mjs" in address]
