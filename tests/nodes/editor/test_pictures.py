"""Pictures of a folder in the editor: what is shown, what is written, and what is refused."""

import pytest
from hypernet_pack.compat.standalone import folders
from hypernet_pack.nodes.data import load_dataset
from hypernet_pack.nodes.editor import ROUTES
from hypernet_pack.nodes.shared.demo_model import DEMO
from PIL import Image

HERE = {"folder": "my_pictures", "subfolders": True}
DEEP = {
    "layer_structure": "1, 2, 4, 2, 1", "activation": "linear", "weight_initialization": "auto",
    "layer_norm": False, "dropout_structure": "", "activate_output": False, "widths": "",
}  # fmt: skip
ALL = {"text": "", "tag": "", "offset": 0, "count": 50, "edits": {}}
RULES = {
    "source": "sidecar, then file name", "fixed_text": "", "existing": "ignore",
    "trigger_word": "sks", "block_tags": "red", "replace_tags": "", "source_order": "sidecar",
    "name_pattern": "", "name_joint": " ", "joint": ", ",
}  # fmt: skip


def ask(path, body=None, method="POST", **query):
    return ROUTES[method, f"/hypernet/{path}"](query, body)


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "input" / "my_pictures"
    (folder / "10_more").mkdir(parents=True)
    for name in ("a.png", "b.png", "10_more/c.png"):
        Image.new("RGB", (200, 100), "red").save(folder / name)
    (folder / "a.txt").write_text("fox, red")
    (tmp_path / "input" / "secret.png").write_bytes((folder / "a.png").read_bytes())
    with folders.configured(input=tmp_path / "input", output=tmp_path / "output"):
        yield folder


def test_a_page_of_pictures_has_their_words_and_the_tags_of_all(pictures):
    found = ask("pictures", HERE | ALL | {"offset": 1, "count": 1})
    assert (found["total"], found["found"], found["offset"]) == (3, 3, 1)
    assert [(each["name"], each["words"]) for each in found["pictures"]] == [("a.png", "fox, red")]
    assert found["tags"] == [("b", 1), ("c", 1), ("fox", 1), ("red", 1)]
    assert found["notes"] == ['Shown in a pass, by folders\' names: "10_more" 10 times.']
    (pictures / "b.mp4").write_bytes(b"?")
    without = ask("pictures", HERE | {"subfolders": False} | ALL)
    assert without["total"] == 2 and '1 videos are not read: "b.mp4".' in without["notes"]


def test_captions_rules_say_what_becomes_of_each(pictures):
    found = ask("pictures", HERE | ALL | {"rules": RULES, "text": "fox"})
    assert [each["becomes"] for each in found["pictures"]] == ["sks, fox"]
    with pytest.raises(ValueError, match='Source "magic"'):
        ask("pictures", HERE | ALL | {"rules": RULES | {"source": "magic"}})


def test_thumbnails_are_small_files(pictures):
    given = {"folder": "my_pictures", "subfolders": "true"}
    file = ask("thumbnail", method="GET", **given, name="10_more/c.png")
    with Image.open(file) as picture:
        assert picture.size == (128, 64)


@pytest.mark.parametrize("name", ["", "../secret.png", "/etc/passwd", "a.txt", "10_more/../a.png"])
def test_no_other_file_is_shown_or_written_to(pictures, name):
    given = {"folder": "my_pictures", "subfolders": "true"}
    with pytest.raises(FileNotFoundError, match="has no picture"):
        ask("thumbnail", method="GET", **given, name=name)
    with pytest.raises(FileNotFoundError, match="has no picture"):
        ask("captions", HERE | {"edits": {"a.png": "changed", name: "x"}})
    assert (pictures / "a.txt").read_text() == "fox, red"


def test_edits_are_written_and_what_stood_there_is_kept(pictures):
    said = ask("captions", HERE | {"edits": {"a.png": "fox,\n blue", "b.png": "<b>bear</b>"}})
    assert said == {"saved": ["a.png", "b.png"], "faults": {}}
    assert (pictures / "a.txt").read_text() == "fox, blue\n"
    assert (pictures / "a.txt.bak").read_text() == "fox, red"
    found = ask("pictures", HERE | ALL | {"text": "bear"})
    assert [each["words"] for each in found["pictures"]] == ["<b>bear</b>"]


def test_one_that_cannot_be_written_does_not_keep_the_others(pictures):
    (pictures / "b.txt").mkdir()
    said = ask("captions", HERE | {"edits": {"b.png": "bear", "a.png": "blue fox"}})
    assert said["saved"] == ["a.png"] and "cannot be written" in said["faults"]["b.png"]


@pytest.mark.parametrize("edits", [{"a.png": 5}, {"a.png": "x" * 300_000}, []])
def test_words_that_are_none_are_refused(pictures, edits):
    with pytest.raises(ValueError, match=r"no text|edits \(dict\)"):
        ask("captions", HERE | {"edits": edits})


def test_only_folders_that_graphs_may_read_are_listed(pictures, monkeypatch):
    monkeypatch.setattr(load_dataset, "dataset_folders", lambda: [pictures.parent])
    with pytest.raises(ValueError, match="outside of the folders"):
        ask("pictures", {"folder": str(pictures.parent.parent), "subfolders": True} | ALL)
    assert ask("pictures", HERE | ALL)["total"] == 3


def test_advice_counts_the_pictures_of_a_folder(pictures):
    given = {
        "pictures": 30, "learning_rate": "", "steps": 0, "batch_size": 1, "accumulation": 1,
        "optimizer": "AdamW", "preset": "auto", "dataset": HERE, "config": DEEP,
    }  # fmt: skip
    assert "3 pictures are few for structure" in ask("learning_rate", given)["said"]


def test_the_pictures_of_the_pack_keep_their_captions(pictures):
    file = DEMO / "pictures" / "heart.txt"
    before = file.read_bytes()
    body = {"folder": "pictures [demo]", "subfolders": True, "edits": {"heart.png": "a dog"}}
    with pytest.raises(ValueError, match=r"pictures \[demo\].*Copy them"):
        ask("captions", body)
    assert file.read_bytes() == before
