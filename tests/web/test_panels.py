"""Panels on nodes: what they show is the server's, changes as one types, and goes into no file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hypernet import HypernetSpec, Hypernetwork
from hypernet.formats.networks import save_network
from hypernet.network.hypernetwork import Record

pytest.importorskip("editing", reason="conftest.py of the browser tests is not here")

REPOSITORY = Path(__file__).resolve().parents[2]
WALKED_AGAIN = 2500  # milliseconds, after which the server walks through a folder again
HOSTILE = '<img src=x onerror="window.caught = true">'
ADD = """
const [kind, place, values] = given;
const node = LiteGraph.createNode(kind);
node.pos = [place * 360, 0];
app.graph.add(node);
for (const [name, value] of Object.entries(values))
  node.widgets.find((widget) => widget.name === name).value = value;
return node.id;
"""
CONNECT = """
const [from, to, input] = given;
app.graph.getNodeById(from).connect(0, app.graph.getNodeById(to), input);
"""


def add(editor, kind, place=0, **values):
    return editor.run(ADD, [kind, place, values])


def fit(editor):
    editor.run("await app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    editor.page.wait_for_timeout(300)


def panels(editor):
    return editor.page.locator(".hypernet-box:not(dialog)")


@pytest.fixture
def folder(editor):
    """Six pictures with captions, one of which is hostile."""
    folder = editor.host.base / "input" / "leafing"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    pictures = sorted((REPOSITORY / "demo" / "pictures").glob("*.png"))[:6]
    for name, picture in zip(["alien", "bee", "cat", "dog", "eel", "fox"], pictures, strict=True):
        shutil.copy(picture, folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(name)
    (folder / "alien.txt").write_text(f"{HOSTILE}, green")
    return folder


@pytest.fixture
def network(editor):
    """In the folder of the host, with a hostile name in its record."""
    file = editor.host.base / "models" / "hypernetworks" / "shown.safetensors"
    spec = HypernetSpec(widths=(32,), activation="mish")
    save_network(Hypernetwork(spec, Record(name=HOSTILE, step=7)), file, overwrite=True)
    yield file
    file.unlink()


def test_the_network_is_drawn_anew_when_the_structure_changes(editor):
    node = add(editor, "HypernetConfig", layer_structure="1, 2, 1")
    fit(editor)
    panel = panels(editor)
    panel.get_by_text("21,939,840").wait_for()
    assert panel.locator("rect").count() == 3
    change = "app.graph.getNodeById(given[0]).widgets[0].value = given[1]"
    editor.run(change, [node, "1, 2, 4, 2, 1"])
    panel.get_by_text("109,663,104").wait_for()
    assert panel.locator("rect").count() == 5
    editor.run(change, [node, "2, 1"])
    panel.get_by_text('"2, 1" must begin and end with 1').wait_for()
    editor.shot("config-panel")


def test_the_curve_of_a_schedule_is_drawn_with_what_is_said_about_it(editor):
    node = add(editor, "HypernetLearningRate", learning_rate="1e-2:50", steps=100)
    fit(editor)
    panel = panels(editor)
    panel.get_by_text("is high for AdamW").wait_for()
    assert panel.locator("path.hypernet-line").count() == 1
    editor.run("app.graph.getNodeById(given).widgets[4].value = '1e-2:x'", node)
    panel.get_by_text('"1e-2:x" should be a rate').wait_for()


def test_what_is_left_open_is_shown_as_it_will_be_chosen(editor):
    config = add(editor, "HypernetConfig", layer_structure="1, 2, 1")
    train = add(editor, "HypernetTrain", 1)
    editor.run(CONNECT, [config, train, "config"])
    fit(editor)
    panels(editor).get_by_text("2,000 steps for layers with 1128 inputs").wait_for()
    editor.shot("train-auto")
    change = """for (const widget of app.graph.getNodeById(given[0]).widgets)
        if (widget.name === "preset") widget.value = given[1]"""
    editor.run(change, [train, "guide"])
    panels(editor).get_by_text("steps 10000: StableDiffusionBook's guide").wait_for()


def test_a_file_says_what_it_is_also_where_it_is_applied(editor, network):
    load = add(editor, "HypernetLoad", name=network.name)
    apply = add(editor, "HypernetApply", 1)
    editor.run(CONNECT, [load, apply, "hypernet"])
    fit(editor)
    panels(editor).first.get_by_text("mish").wait_for()
    panels(editor).last.get_by_text("steps 7").wait_for()
    assert panels(editor).get_by_text(HOSTILE).count() == 2
    assert not editor.run("return window.caught")
    editor.shot("file-panels")


def test_a_long_complaint_makes_no_node_higher(editor):
    load = add(editor, "HypernetLoad", name=f"{'_'.join(100 * ['long'])}.pt")
    apply = add(editor, "HypernetApply", 1)
    editor.run(CONNECT, [load, apply, "hypernet"])
    fit(editor)
    last = editor.page.locator(".hypernet-box").last
    last.get_by_text("long_long").wait_for()
    assert last.evaluate("(box) => box.offsetHeight") <= 80


ESTIMATE = """
const [config, estimate] = ["HypernetConfig", "HypernetEstimate"].map((kind, place) => {
    const node = LiteGraph.createNode(kind);
    node.pos = [400 * place, 80];
    app.graph.add(node);
    return node;
});
config.connect(0, estimate, "config");
"""


def test_what_a_node_says_of_its_result_is_on_the_node(editor):
    editor.load({"nodes": [], "links": [], "version": 0.4})
    editor.run(ESTIMATE)
    assert editor.end_of(editor.queue()) == "success"
    said = editor.page.get_by_text("beside the model and its activations")
    said.wait_for()
    saved = next(node for node in editor.saved()["nodes"] if node["type"] == "HypernetEstimate")
    assert not saved.get("widgets_values"), "it is not part of the workflow"
    editor.shot("result")


def test_the_report_on_a_folder_is_on_the_node_before_and_after_it_has_run(editor, folder):
    (folder / "film.mp4").write_bytes(b"?")
    (folder / "bee.txt").write_bytes("红色的狐狸".encode("gbk"))
    editor.page.wait_for_timeout(WALKED_AGAIN)
    editor.start_over()
    data = add(editor, "HypernetLoadDataset", folder="leafing")
    fit(editor)
    told = panels(editor).first.locator(".hypernet-report")
    told.get_by_text('1 videos are not read: "film.mp4".').wait_for()
    assert told.get_by_text('1 caption files are read as GBK: "bee.txt".').count() == 1
    assert told.get_by_text("Sizes").count() == 0
    save = add(editor, "HypernetSavePrepared", 1, name=f"reported {editor.look}")
    editor.run(CONNECT, [data, save, "dataset"])
    assert editor.end_of(editor.queue()) == "success"
    told.get_by_text("Sizes: 64×64.").wait_for()
    assert told.get_by_text("1 videos are not read").count() == 1
    (folder / "film.mp4").unlink()
    editor.page.wait_for_timeout(WALKED_AGAIN)
    editor.run("app.graph.getNodeById(given).widgets[0].value = 'nowhere'", data)
    panels(editor).first.get_by_text("There is no folder").wait_for()
    editor.run("app.graph.getNodeById(given).widgets[0].value = 'leafing'", data)
    told.get_by_text("1 videos are not read").wait_for(state="detached")


def test_workflows_gain_nothing_from_panels(editor):
    add(editor, "HypernetLoadDataset", folder="nowhere")
    add(editor, "HypernetConfig", 1)
    fit(editor)
    panels(editor).first.get_by_text("There is no folder").wait_for()
    saved = editor.saved()
    assert [len(node["widgets_values"]) for node in saved["nodes"]] == [8, 11]
    prompt = editor.run("return (await app.graphToPrompt()).output")
    assert not any("hypernet_panel" in node["inputs"] for node in prompt.values())


def test_a_dropped_network_becomes_a_node_and_a_run_that_saves_says_so(editor, network):
    before = network.read_bytes()
    target = network.with_name("dropped.safetensors")
    target.unlink(missing_ok=True)
    editor.run(
        """
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(given)], "dropped.safetensors"));
        const place = { bubbles: true, cancelable: true, clientX: 400, clientY: 300 };
        const drop = new DragEvent("drop", { dataTransfer: data, ...place });
        document.elementFromPoint(400, 300).dispatchEvent(drop);
        """,
        list(before),
    )
    editor.until("app.graph.nodes.some((node) => node.widgets[0].value === 'dropped.safetensors')")
    assert target.read_bytes() == before
    load = editor.run("return app.graph.nodes[0].id")
    save = add(editor, "HypernetSave", 1, name="kept")
    editor.run(CONNECT, [load, save, "hypernet"])
    kept = network.with_name("kept.pt")
    kept.unlink(missing_ok=True)
    assert editor.end_of(editor.queue()) == "success"
    editor.page.get_by_text("Hypernet: finished").last.wait_for()
    assert kept.is_file()
    assert editor.end_of(editor.queue()) == "success", "nothing was made again"


def test_what_was_said_of_a_run_goes_when_the_next_is_asked_for(editor):
    editor.start_over()  # a page begins with a graph of the editor's own
    config, estimate = add(editor, "HypernetConfig"), add(editor, "HypernetEstimate", 1)
    editor.run(CONNECT, [config, estimate, "config"])
    said = editor.page.get_by_text("it failed for a reason", exact=True)
    editor.run(
        """
        const {notice} = await import("/extensions/hypernet/desk.js");
        notice("error", "it failed for a reason", "which is long gone");
        notice("warn", "it failed for a reason", "and another");
        """
    )
    said.nth(1).wait_for()
    editor.queue()
    said.first.wait_for(state="detached")


def test_a_command_lists_files(editor, network):
    dialog = editor.page.locator("dialog[open]")
    editor.run("app.extensionManager.command.execute('Hypernet.Inspect')")
    dialog.get_by_role("listbox").select_option(network.name)
    dialog.get_by_text("mish").wait_for()
    editor.shot("inspect-dialog")
    editor.page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert not editor.run("return window.caught")


@pytest.mark.parametrize("language", ["zh"])
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_panels_speak_chinese_too(open_editor, renderer, theme, language):
    editor = open_editor(renderer, theme=theme, language=language)
    editor.start_over()  # a page begins with a graph of the editor's own
    add(editor, "HypernetConfig", activation="swish", layer_norm=True)
    add(editor, "HypernetLearningRate", 1)
    add(editor, "HypernetApply", 2)
    add(editor, "HypernetLoadDataset", 3, folder="nowhere")
    fit(editor)
    panels(editor).get_by_text("个参数").wait_for()
    panels(editor).get_by_text("使用 swish 时建议不用层归一化。").wait_for()
    panels(editor).get_by_text("按您的模型和步数选定").wait_for()
    panels(editor).get_by_text("加载超网络").wait_for()
    panels(editor).get_by_text("nowhere”。请填 input 目录里的文件夹").wait_for()
    editor.shot("panels")


@pytest.mark.parametrize("language", ["zh"])
def test_a_run_that_fails_says_why_in_chinese(open_editor, renderer, network, language):
    editor = open_editor(renderer, language=language)
    editor.start_over()
    load = add(editor, "HypernetLoad", name=network.name)
    convert = add(editor, "HypernetConvert", 1, name="narrow", keep_widths="5")
    editor.run(CONNECT, [load, convert, "hypernet"])
    fit(editor)
    panels(editor).get_by_text("没有记录").wait_for()
    assert editor.end_of(editor.queue()) == "error"
    said = f"超网络“{HOSTILE}”没有要保留的宽度 5；它的宽度是 32。"
    editor.page.get_by_text(said).first.wait_for()
    assert not editor.run("return window.caught")
    editor.shot("failed-run")


def test_an_english_editor_loads_no_chinese(editor):
    editor.open()
    loaded = list(editor.asked)
    editor.start_over()
    add(editor, "HypernetConfig", layer_structure="2, 1")
    fit(editor)
    panels(editor).get_by_text('"2, 1" must begin and end with 1').wait_for()
    assert loaded
    assert not [address for address in [*loaded, *editor.asked] if "sentences" in address]
