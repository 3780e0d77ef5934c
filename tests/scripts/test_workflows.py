"""The example workflows are what `python -m scripts.workflows` draws, laid out to be read."""

import json
import re
from itertools import combinations

import pytest
from PIL import Image

from scripts import workflows
from scripts.workflows.drawing import TITLE, Drawing, overlap

SMALL_WINDOW = 1280 - 80, 640 - 110  # less what the editor's bars take
WIDEST = 1860  # pixels of the graph: a window of 1,440 pixels shows them at three quarters

FILES = sorted(workflows.HERE.glob("*.json"))
(BLUEPRINT,) = (workflows.HERE.parent / "subgraphs").iterdir()


def test_they_are_as_the_nodes_are_now(tmp_path, monkeypatch):
    monkeypatch.setattr(workflows, "HERE", tmp_path / "example_workflows")
    workflows.main()
    drawn = {path.name: path.read_text("utf-8") for path in tmp_path.rglob("*.json")}
    kept = {path.name: path.read_text("utf-8") for path in (*FILES, BLUEPRINT)}
    assert drawn and drawn.keys() == kept.keys()
    for name in drawn:
        assert drawn[name] == kept[name], "run python -m scripts.workflows"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_has_groups_a_note_and_a_picture(file):
    content = json.loads(file.read_text("utf-8"))
    (note,) = (node for node in content["nodes"] if node["type"] == "MarkdownNote")
    (text,) = note["widgets_values"]
    assert [line[:2] for line in text.splitlines() if line[:1].isdigit()] == ["1.", "2.", "3."]
    assert len(content["groups"]) >= 2
    picture = file.with_suffix(".jpg")
    assert picture.stat().st_size <= 60_000
    with Image.open(picture) as opened:
        assert opened.format == "JPEG"
        assert min(opened.size) > 200


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_app_asks_for_what_a_user_chooses_and_shows_pictures(file):
    content = json.loads(file.read_text("utf-8"))
    kinds = {node["id"]: node["type"] for node in content["nodes"]}
    app = content["extra"]["linearData"]
    asked = [(kinds[number], name) for number, name in app["inputs"]]
    trains = "HypernetTrain" in kinds.values()
    assert (("HypernetTrain", "name") if trains else ("CLIPTextEncode", "text")) in asked
    assert {kinds[number] for number in app["outputs"]} <= {"SaveImage", "PreviewImage"}
    assert app["outputs"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_nothing_lies_on_anything_else(file):
    content = json.loads(file.read_text("utf-8"))
    nodes = [
        (
            node["pos"][0],
            node["pos"][1] - TITLE,
            node["size"][0],
            (0 if node["flags"].get("collapsed") else node["size"][1]) + TITLE,
        )
        for node in content["nodes"]
    ]
    groups = [tuple(group["bounding"]) for group in content["groups"]]
    for boxes in (nodes, groups):
        assert len(boxes) > 1
        for a, b in combinations(boxes, 2):
            assert not overlap(a, b), (a, b)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_note_and_the_training_are_seen_at_three_quarters_in_a_small_window(file):
    content = json.loads(file.read_text("utf-8"))
    first = min(content["nodes"], key=lambda node: (node["pos"][0], node["pos"][1]))
    assert first["type"] == "MarkdownNote"
    room = SMALL_WINDOW[0] / 0.75, SMALL_WINDOW[1] / 0.75
    for node in content["nodes"]:
        if node["type"] == "MarkdownNote":
            assert all(node["size"][side] < room[side] for side in (0, 1))
        if node["type"] == "HypernetTrain":
            assert node["pos"][0] + node["size"][0] < room[0] and node["pos"][1] == 0
        assert node["pos"][0] + node["size"][0] < WIDEST


def test_a_drawing_refuses_nodes_that_overlap(tmp_path):
    descriptions = {"Note": {"input": {}, "output": [], "output_name": []}}
    drawing = Drawing(descriptions)
    drawing.add("Note", (0, 0))
    drawing.add("Note", (100, 10))
    with pytest.raises(ValueError, match="node 1 and node 2 overlap"):
        drawing.save(tmp_path / "broken.json")


def test_each_has_a_title_and_a_sentence_in_the_order_of_the_list():
    words = workflows.HERE.parent / "locales" / "en" / "templates.json"
    assert list(json.loads(words.read_text("utf-8"))) == [
        draw.__name__ for draw in workflows.EXAMPLES
    ]


def test_a_chinese_editor_has_all_that_the_templates_say_and_no_more():
    said = set()
    for file in FILES:
        content = json.loads(file.read_text("utf-8"))
        said |= {group["title"] for group in content["groups"]}
        said |= {node["title"] for node in content["nodes"] if "title" in node}
        notes = [node for node in content["nodes"] if node["type"] == "MarkdownNote"]
        said |= {note["widgets_values"][0] for note in notes}
    words = workflows.HERE.parent / "web" / "words" / "templates.zh.json"
    table = json.loads(words.read_text("utf-8"))
    assert said == set(table)
    for english, chinese in table.items():
        assert english.count("\n") == chinese.count("\n")
        names = re.findall(r"\w+/\w+|\w+\.\w+", re.sub(r"\d\.", "", english))
        assert [name for name in names if "_" in name and name not in chinese] == []
