"""Train Hypernet's settings on its node: their order, and the sections that open by a click."""

from __future__ import annotations

import re

from hypernet_pack.nodes.train.train_hypernet import TrainHypernet

NODE = "app.graph.nodes.find((each) => each.type === 'HypernetTrain')"
FIRST = ["name", "steps", "learning_rate", "batch_size", "preset", "seed", "preview_prompt"]
HEADERS = ["previews", "saving", "memory", "learning", "checks"]
SEEN = f"""
return {NODE}.widgets.filter((each) => !each.hidden).map((each) => each.name)
  .filter((name) => !["plan", "hypernet_panel"].includes(name));
"""
# As train_style.json had them, before seven more settings came.
OLD = [
    "ink", 2000, "5e-5:100, 5e-6:1500, 1e-6", 1, 1, 7, 500, True, "a fox\nin snow", 20, 7.5,
    "nothing", 3, False, 250, "blurry", -1, 0, 0, "AdamW", 0.01, "off", "0.1", 0.5, "Huber", 0.25,
    5.5, 0.05, "uniform", 10, 990, 100, -1, "auto", "deterministic", "its own", False, False, False,
    "to RAM", "stop",
]  # fmt: skip


def add(editor) -> None:
    editor.start_over()  # without the graph that the editor begins with
    editor.run("app.graph.add(LiteGraph.createNode('HypernetTrain'))")
    editor.run(f"{NODE}.pos = [100, 100]")
    fit(editor)


def fit(editor) -> None:
    editor.run("await app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    editor.settle()


def click(editor, section: str) -> None:
    """On its header, as a hand does."""
    if editor.look.startswith("vue"):
        words = re.compile(f"^[▸▾] {section}")
        editor.page.locator(".lg-node").get_by_role("button", name=words).click()
    else:
        editor.page.mouse.click(
            *editor.run(
                f"""
                const node = {NODE};
                const header = node.widgets.find((each) => each.label?.includes(given));
                const [x, y] = [node.pos[0] + node.size[0] / 2, node.pos[1] + header.y + 10];
                const {{ scale, offset }} = app.canvas.ds;
                const box = app.canvas.canvas.getBoundingClientRect();
                return [(x + offset[0]) * scale + box.left, (y + offset[1]) * scale + box.top];
                """,
                section,
            )
        )
    editor.page.wait_for_timeout(1000)
    editor.settle()


def high(editor) -> float:
    return editor.run(f"return {NODE}.size[1]")


def test_its_rare_settings_open_and_close_by_a_click(editor):
    add(editor)
    closed = editor.run(SEEN)
    headers = [f"section_{each}" for each in HEADERS]
    assert closed == [*FIRST, "preview_every", "training", *headers]
    editor.set("HypernetTrain", preview_cfg=3.0, preview_prompt="a fox")
    before = high(editor)
    canvas = editor.look.startswith("canvas")  # Nodes 2.0 measures by itself
    assert not canvas or before <= 972, "as high as templates have room for"
    editor.shot("trainer-closed")

    click(editor, "Previews")
    opened = editor.run(SEEN)
    assert opened[opened.index("section_previews") + 1] == "preview_steps"
    assert opened.index("preview_control") + 1 == opened.index("section_saving")
    title = f"return {NODE}.widgets.find((each) => each.name === 'section_previews').label"
    assert editor.run(title) == "▾ Previews · 1 changed"
    assert high(editor) > before + 150
    fit(editor)
    editor.shot("trainer-open")

    saved = editor.saved()
    editor.load(saved)
    assert editor.run(SEEN) == opened, "as it was saved"
    click(editor, "Previews")
    assert editor.run(SEEN) == closed
    assert high(editor) < before + (2 if canvas else 120)


def test_an_old_workflow_keeps_every_value_in_its_place(editor):
    names = [i.id for i in TrainHypernet.define_schema().inputs if hasattr(i, "default")]
    add(editor)
    workflow = editor.saved()
    [node] = workflow["nodes"]
    defaults = node["widgets_values"]
    assert len(defaults) == len(names)
    node.pop("widgets_values_named", None)

    for values in (OLD, [*OLD, 0.5, 4, "guide", "0:1", "a cat", 0.75, 3, "a\nb", "a dog"]):
        node["widgets_values"] = values
        editor.load(workflow)
        [saved] = editor.saved()["nodes"]
        assert saved["widgets_values"] == [*values, *defaults[len(values) :]]
        shown = editor.run(
            f"return Object.fromEntries({NODE}.widgets.map((each) => [each.name, each.value]))"
        )
        assert (shown["name"], shown["if_taken"], shown["seed"]) == ("ink", "stop", 7)
        assert (shown["preview_every"], shown["loss"]) == (250, "Huber")


def test_all_settings_are_shown_where_a_workflow_says_so(editor):
    add(editor)
    workflow = editor.saved()
    workflow["nodes"][0]["showAdvanced"] = True
    editor.load(workflow)
    shown = editor.run(SEEN)
    assert {"preview_cfg", "if_taken", "compile", "loss", "held_out"} <= set(shown)
    editor.shot("trainer-all")


def test_what_run_will_do_is_said_under_the_name_with_buttons_for_what_else(editor):
    name = f"foretold_{editor.look}"
    editor.load_training(name, 3)
    editor.run(
        f"""
        const node = {NODE};
        app.canvas.ds.scale = 0.9;
        app.canvas.ds.offset = [200 - node.pos[0], 20 - node.pos[1]];
        app.canvas.setDirty(true, true);
        """
    )
    editor.page.wait_for_timeout(500)
    plan = editor.page.locator(".hypernet-box", has_text="Run ").first
    plan.get_by_text(f'Run trains "{name}" anew.').wait_for()
    assert editor.end_of(editor.queue()) == "success"
    plan.get_by_text(f'Run loads "{name}", trained already for 3 updates').wait_for()
    editor.set("HypernetTrain", steps=4)
    taken = editor.page.locator(".hypernet-box", has_text="is taken by a network").first
    taken.get_by_text(f'saved as "{name}_2"').wait_for()
    editor.shot("trainer-taken")
    taken.get_by_role("button", name=f"Train {name} further").click()
    value = f"return {NODE}.widgets.find((each) => each.name === 'if_taken').value"
    assert editor.run(value) == "go on training it"
    further = editor.page.locator(".hypernet-box", has_text="is trained further").first
    further.get_by_role("button", name=f"Train anew as {name}_2").wait_for()
    header = f"return {NODE}.widgets.find((each) => each.name === 'section_saving').label"
    assert "1 changed" in editor.run(header)
