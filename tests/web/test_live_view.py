"""The live view of Train Hypernet: what is seen while it learns, and what its buttons do."""

from __future__ import annotations

import json

import pytest
from editing import REPOSITORY

from hypernet.formats.networks import open_network

STATE = "document.querySelector('.hypernet-training')?.shadowRoot.querySelector('section').dataset"
SECTION = "document.querySelector('.hypernet-training').shadowRoot.querySelector('section')"
# How far they are, by all views but those of nodes inside of subgraphs.
SEEN = """
[...document.querySelectorAll(".hypernet-training")].filter((each) => each.checkVisibility())
  .map((each) => each.shadowRoot.querySelector(".count")?.innerText).join()
"""
LOG_HEAD = "step,epoch,epoch_step,loss,learn_rate"
CONTRASTS = f"""
const pen = new OffscreenCanvas(1, 1).getContext("2d", {{ willReadFrequently: true }});
const light = (colour) => {{
  pen.fillStyle = colour;
  pen.fillRect(0, 0, 1, 1);
  const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data].map((each) => each / 255)
    .map((each) => (each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}};
const section = {SECTION};
const behind = light(getComputedStyle(section).backgroundColor);
const found = {{}};
const kinds = ["strong", ".count", ".facts", ".fault", ".loss", ".probe", ".rate", ".notes"];
for (const kind of kinds) {{
  const [low, high] = [light(getComputedStyle(section.querySelector(kind)).color), behind]
    .sort((a, b) => a - b);
  found[kind] = Math.round(((high + 0.05) / (low + 0.05)) * 100) / 100;
}}
return found;
"""


def look_at_view(editor) -> None:
    """Move the canvas so that the view is in the window: first to the lower end of the trainer,
    where it is drawn, then to where it really is."""
    editor.run(
        """
        const node = app.graph.nodes.find((each) => each.type === "HypernetTrain");
        const view = app.canvas.ds;
        view.scale = 0.9;
        const [left, top] = node.pos;
        view.offset = [100 - left, 850 / view.scale - top - node.size[1]];
        app.canvas.setDirty(true, true);
        """
    )
    editor.page.locator(".hypernet-training section").wait_for()
    editor.page.wait_for_timeout(300)
    editor.run(
        """
        const { top } = document.querySelector(".hypernet-training").getBoundingClientRect();
        app.canvas.ds.offset[1] += (200 - top) / app.canvas.ds.scale;
        app.canvas.setDirty(true, true);
        """
    )
    editor.page.wait_for_timeout(300)


def top_of_view(editor) -> int:
    return round(
        editor.run(
            "return document.querySelector('.hypernet-training').getBoundingClientRect().top"
        )
    )


def wait_for(editor, state: str, seconds: float = 120) -> None:
    editor.until(f"{STATE}?.state === given", state, seconds)


def view(editor, what: str):
    return editor.page.locator(f".hypernet-training {what}")


def button(editor, name: str):
    return view(editor, ".buttons").get_by_role("button", name=name)


def log_line(step: int) -> str:
    return f"{step},0,{step - 1},{0.05 + step % 7 / 100 + 1 / (step + 9):.7f},5e-06"


def write_run(host, name: str, steps: int, notes: list[str]) -> None:
    """A finished run as it lies on the disk."""
    folder = host.base / "output" / "hypernet" / name
    folder.mkdir(parents=True, exist_ok=True)
    lines = [LOG_HEAD, *map(log_line, range(1, steps + 1))]
    (folder / "loss.csv").write_text("\n".join(lines) + "\n")
    seen = [{"step": n, "probe": 0.05} for n in range(100, steps + 1, 100)]
    seen += [{"step": steps, "note": note} for note in notes]
    seen += [{"step": steps, "ended": "failed", "why": notes[0]}]
    (folder / "seen.jsonl").write_text("\n".join(map(json.dumps, seen)) + "\n")
    (folder / "manifest.json").write_text(json.dumps({"settings": {"steps": steps}}))


def test_a_subgraph_that_trains_shows_it_on_its_own_node(editor):
    blueprint = json.loads(
        (REPOSITORY / "subgraphs" / "Train a Hypernetwork.json").read_text("utf-8")
    )
    editor.load(blueprint)
    name = f"inside_{editor.look}"
    editor.run(
        """
        const outer = app.graph.nodes[0];
        const add = (type, left) => {
          const node = LiteGraph.createNode(type);
          app.graph.add(node);
          node.pos = [left, 0];
          return node;
        };
        const model = add("HypernetLoadDemoModel", -300);
        [0, 1, 2].forEach((output) => model.connect(output, outer, output));
        outer.connect(1, add("PreviewImage", 450), 0);
        const set = (node, values) => Object.entries(values).forEach(([key, value]) =>
          (node.widgets.find(({name}) => name === key).value = value));
        set(outer, given);
        const loader = outer.subgraph.nodes.find(({type}) => type === "HypernetLoadDataset");
        set(loader, {width: 64, height: 64});
        """,
        {"folder": editor.few_pictures(), "name": name, "steps": 3},
    )
    editor.settle()
    assert editor.end_of(editor.queue()) == "success", editor.host.words()[-2000:]
    editor.until(f"({SEEN}) === '3 of 3'", seconds=120)
    editor.shot("live-subgraph")
    editor.load(editor.saved())
    editor.until(f"({SEEN}) === '3 of 3'")
    kept = "return app.graph.nodes.find((each) => each.subgraph).widgets.map(({value}) => value)"
    assert editor.run(kept)[1:3] == [name, 3]


def test_a_training_is_watched_paused_reloaded_resumed_and_ended_with_what_it_has(editor):
    name = f"watched_{editor.look}"
    editor.load_training(name, 100_000)
    look_at_view(editor)
    before = editor.saved()
    wait_for(editor, "none")
    top = top_of_view(editor)
    prompt_id = editor.queue()
    wait_for(editor, "training")
    view(editor, ".row button").nth(1).wait_for(timeout=120_000)  # two previews
    moved = abs(top_of_view(editor) - top)
    assert moved < 20, "less than a button is high: none slips from under the pointer"
    assert "of 100,000" in view(editor, ".count").inner_text()
    view(editor, "canvas").wait_for()
    assert view(editor, "canvas").get_attribute("aria-label").startswith("Curve from step 1 to")
    editor.shot("live-training")

    button(editor, "Pause").focus()
    editor.page.keyboard.press("Enter")
    wait_for(editor, "paused")
    held = view(editor, ".count").inner_text()
    editor.page.wait_for_timeout(1000)  # the editor keeps drafts a moment after the last change
    editor.reload()
    editor.until("app.graph.nodes.length === given", len(before["nodes"]))
    look_at_view(editor)
    wait_for(editor, "paused")
    assert view(editor, ".count").inner_text() == held
    step = int(held.split()[0].replace(",", ""))
    button(editor, "Save now").click()
    editor.page.get_by_text(f"Saved after step {step}, as you asked.").wait_for()
    kept = editor.host.base / "output" / "hypernet" / name / f"{name}-{step}.pt"
    assert open_network(kept).record.step == step
    button(editor, "Resume").click()
    wait_for(editor, "training")

    button(editor, "Stop and keep").click()
    wait_for(editor, "finished")
    assert editor.end_of(prompt_id) == "success"
    network = editor.host.base / "models" / "hypernetworks" / f"{name}.pt"
    assert open_network(network).record.step >= step
    assert not button(editor, "Pause").is_visible()
    editor.shot("live-ended")

    view(editor, ".row button").first.click()
    dialog = view(editor, "dialog")
    dialog.locator("img").wait_for()
    editor.until("document.querySelector('.hypernet-training').shadowRoot"
                 ".querySelector('dialog img').naturalWidth > 0")  # fmt: skip
    first = dialog.locator("output").inner_text()
    editor.page.keyboard.press("ArrowRight")
    assert dialog.locator("output").inner_text() != first
    editor.shot("live-preview")
    editor.page.keyboard.press("Escape")
    assert not dialog.is_visible()

    def widgets(workflow):
        return {each["id"]: each.get("widgets_values") for each in workflow["nodes"]}

    assert widgets(editor.saved()) == widgets(before)
    asked = editor.run("return (await app.graphToPrompt()).output")
    assert asked and all("training" not in each["inputs"] for each in asked.values())


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(open_editor, renderer, theme):
    editor = open_editor(renderer, theme=theme)
    write_run(editor.host, "contrast", 300, ["note"])
    editor.load_training("contrast", 300)
    look_at_view(editor)
    wait_for(editor, "failed")
    found = editor.run(CONTRASTS)
    faint = {kind: contrast for kind, contrast in found.items() if contrast < 4.5}  # WCAG 2.2, AA
    assert found and not faint
    editor.shot("live-themes")


def test_words_of_a_run_never_become_markup(editor):
    hostile = ["<img src=x onerror=\"document.title='caught'\"><b>bold</b>"]
    write_run(editor.host, "hostile", 300, hostile)
    editor.load_training("hostile", 300)
    look_at_view(editor)
    wait_for(editor, "failed")
    assert view(editor, ".notes li").inner_text() == hostile[0]
    assert view(editor, ".fault").inner_text() == hostile[0]
    assert view(editor, ".notes img, .notes b, .fault img").count() == 0
    assert editor.page.title() != "caught"


def test_a_name_is_followed_as_it_is_typed(editor):
    write_run(editor.host, "one", 300, ["words of one"])
    write_run(editor.host, "two", 500, ["words of two"])
    editor.load_training("one", 300)
    look_at_view(editor)
    view(editor, ".notes").get_by_text("words of one").wait_for()
    editor.set("HypernetTrain", name="two")
    view(editor, ".notes").get_by_text("words of two").wait_for()
    editor.set("HypernetTrain", name="nobody")
    wait_for(editor, "none")


def test_a_long_run_is_a_thousand_points_and_a_view_at_rest_does_nothing(editor):
    write_run(editor.host, "long", 100_000, ["long"])
    found = editor.host.get("/hypernet/runs/state?name=long")
    assert found["curves"]
    for line in found["curves"].values():
        assert all(len(column) <= 1000 for column in line.values())
    editor.load_training("long", 100_000)
    look_at_view(editor)
    wait_for(editor, "failed")
    editor.page.wait_for_timeout(1500)
    busy = """
        const found = [];
        const ours = () => new Error().stack.includes("/hypernet/train/");
        const known = {};
        for (const name of ["setTimeout", "setInterval", "requestAnimationFrame", "fetch"]) {
          known[name] = window[name];
          window[name] = (...given) => {
            if (ours()) found.push(name);
            return known[name].apply(window, given);
          };
        }
        const tell = () => window.comfyAPI.api.api.dispatchCustomEvent("hypernet.step",
          { name: "long", node: "0", state: "training", step: 1, total: 100000 });
        if (given === "told") for (let n = 0; n < 20; n++) tell();
        await new Promise((done) => known.setTimeout.call(window, done, 2500));
        Object.assign(window, known);
        return found;
    """
    assert any(editor.run(busy, "at rest") == [] for _ in range(5)), "it comes to rest"
    told = editor.run(busy, "told")
    assert 1 <= told.count("fetch") <= 3, "twenty events, one or two fetches"
    editor.run("app.canvas.ds.offset = [9000, 9000]; app.canvas.setDirty(true, true)")
    editor.page.wait_for_timeout(1000)
    assert editor.run(busy, "told") == [], "nobody sees it"
    editor.shot("live-away")


@pytest.mark.parametrize("language", ["zh"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_view_speaks_chinese_in_both_themes(open_editor, renderer, theme, language):
    editor = open_editor(renderer, theme=theme, language=language)
    fault = "At step 9 the loss became nan (learning rate 0.1): back to step 5, at half the rate "
    said = [f"{fault}from here on (1 of 3 times).", "<b>unknown</b>"]
    write_run(editor.host, "zhongwen", 2000, said)
    editor.load_training("zhongwen", 2000)
    look_at_view(editor)
    wait_for(editor, "failed")
    assert view(editor, "header strong").inner_text() == "失败"
    assert "损失" in view(editor, ".legend").inner_text()
    why = (
        "第 9 步，损失变成了 nan（学习率 0.1）：退回第 5 步，此后学习率减半（第 1 次，最多 3 次）。"
    )
    assert view(editor, ".fault").inner_text() == why
    assert view(editor, ".notes li").all_inner_texts() == [said[1], why]
    editor.shot("live-words")
