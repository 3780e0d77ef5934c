"""A training that is started, watched, left alone, and stopped from the graph editor."""

from __future__ import annotations

import struct

from hypernet.formats.networks import open_network

STEPS = 6
PREVIEW_WITH_METADATA = 4


def node_of(editor, kind: str) -> str:
    return editor.run("return String(app.graph.nodes.find((node) => node.type === given).id)", kind)


def of_trainer(event: str, trainer: str):
    return lambda name, data: name == event and data.get("node") == trainer


def test_the_run_button_trains_to_the_end_and_shows_how_far_it_is(editor):
    name = f"run_{editor.look}"
    editor.load_training(name, STEPS)
    trainer, saver = (node_of(editor, kind) for kind in ("HypernetTrain", "SaveImage"))
    assert editor.end_of(editor.queue(), seconds=300) == "success", editor.host.words()[-2000:]

    bars = [data for event, data in editor.events if of_trainer("progress", trainer)(event, data)]
    steps = [data["value"] for data in bars if data["max"] == STEPS]
    assert steps and steps == sorted(steps) and steps[-1] == STEPS
    pictures = [data for event, data in editor.events if event == "preview"]
    assert pictures and struct.unpack(">I", pictures[0][:4]) == (PREVIEW_WITH_METADATA,)
    assert editor.hear(of_trainer("executed", trainer))["output"]["saved"]
    (file,) = editor.hear(of_trainer("executed", saver))["output"]["images"]
    assert (editor.host.base / "output" / file["subfolder"] / file["filename"]).is_file()
    network = editor.host.base / "models" / "hypernetworks" / f"{name}.pt"
    assert open_network(network).record.step == STEPS
    editor.page.wait_for_timeout(500)
    editor.shot("trained")


def test_the_first_template_trains_and_draws_with_what_the_pack_brings(editor):
    name = f"first_{editor.look}"
    editor.load("first_network_demo")
    editor.set("HypernetTrain", name=name)
    trainer = node_of(editor, "HypernetTrain")
    prompt_id = editor.queue()
    assert editor.end_of(prompt_id, seconds=400) == "success", editor.host.words()[-2000:]

    network = editor.host.base / "models" / "hypernetworks" / f"{name}.pt"
    assert open_network(network).record.step == 150
    assert editor.hear(of_trainer("executed", trainer))["output"]["saved"]
    drawn = [data["output"]["images"] for event, data in editor.events if is_drawn(event, data)]
    assert [len(images) for images in drawn] == [4, 4], "before and after"
    show_the_trainer_and_its_pictures(editor)
    view = editor.page.locator(".hypernet-training")
    assert "150 of 150" in view.locator(".count").inner_text()
    assert view.locator(".row button").count() == 4, "without, after 50, 100 and 150"
    editor.shot("first-network")  # docs/first_network.jpg is the left of one in Nodes 2.0


def is_drawn(event: str, data: dict) -> bool:
    output = (data.get("output") or {}) if event == "executed" else {}
    return "images" in output and "saved" not in output


def show_the_trainer_and_its_pictures(editor) -> None:
    """The view of the training at the left, Before and After at the right."""
    editor.run(
        """
        const node = app.graph.nodes.find((each) => each.type === "HypernetTrain");
        const view = app.canvas.ds;
        view.scale = 0.68;
        const [[left, top], [, high]] = [node.pos, node.size];
        view.offset = [90 / view.scale - left, 920 / view.scale - top - high];
        app.canvas.setDirty(true, true);
        """
    )
    editor.page.wait_for_timeout(800)


def test_a_run_goes_on_while_the_page_is_loaded_anew_and_stops_when_asked(editor):
    name, steps = f"long_{editor.look}", 4000  # ComfyUI tells of every 200th part
    editor.load_training(name, steps, preview_every=0)
    trainer = node_of(editor, "HypernetTrain")

    def is_update(event: str, data: dict) -> bool:
        return of_trainer("progress", trainer)(event, data) and data["max"] == steps

    prompt_id = editor.queue()
    first = editor.hear(is_update)["value"]
    editor.touch()
    before = editor.saved()

    editor.events.clear()
    editor.reload()
    assert editor.hear(of_trainer("executing", trainer)), "the editor hears again what runs"
    assert editor.hear(is_update)["value"] > first
    editor.until("app.graph.nodes.length === given", len(before["nodes"]))
    assert kinds(editor.saved()) == kinds(before)
    editor.shot("running")

    editor.interrupt()
    assert editor.end_of(prompt_id) == "interrupted"
    assert editor.host.get("/queue") == {"queue_running": [], "queue_pending": []}
    kept = editor.host.base / "output" / "hypernet" / name
    assert (kept / "manifest.json").is_file()
    assert max(open_network(file).record.step for file in kept.glob(f"{name}-*.pt")) > first


def kinds(workflow: dict) -> dict:
    return {node["id"]: node["type"] for node in workflow["nodes"]}


def test_a_setting_that_cannot_be_used_is_named_in_the_editor(editor):
    editor.load_training("never", STEPS, learning_rate="very fast")
    with editor.page.expect_response(lambda answer: answer.url.endswith("/api/prompt")) as posted:
        editor.page.get_by_test_id("queue-button").click()
    assert posted.value.status == 400
    editor.page.get_by_test_id("error-overlay").wait_for()
    editor.page.get_by_test_id("error-overlay-see-errors").click()
    reason = editor.page.get_by_text('schedule "very fast"').first
    more = editor.page.get_by_role("button", name="Info for Train Hypernet - learning_rate")
    more.or_(reason).first.wait_for()  # older editors show the reason at once
    if more.count():
        more.click()
    reason.wait_for()
    editor.shot("refused")
