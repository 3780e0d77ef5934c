"""Pictures of a folder in the editor: what is shown, what is written, and what is refused."""

import pytest
from hypernet_pack.compat.standalone import folders
from hypernet_pack.nodes.data import load_dataset
from hypernet_pack.nodes.data.caption import Caption
from hypernet_pack.nodes.data.load_dataset import LoadDataset
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
    assert said == {"saved": ["a.png", "b.png"], "faults": {}, "kept": 1}
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


def test_each_says_where_its_words_come_from_and_whether_it_has_a_mask(pictures):
    Image.new("L", (200, 100)).save(pictures / "b_mask.png")
    (pictures / "metadata.jsonl").write_text('{"file_name": "b.png", "text": "bear"}')
    found = ask("pictures", HERE | ALL)["pictures"]
    assert [(each["name"], each["source"], each["mask"]) for each in found] == [
        ("10_more/c.png", "", ""),
        ("a.png", "a.txt", ""),
        ("b.png", "metadata.jsonl", "b_mask.png"),
    ]
    given = {"folder": "my_pictures", "subfolders": "true", "mask": "true", "side": "384"}
    file = ask("thumbnail", method="GET", **given, name="b.png")
    with Image.open(file) as mask:
        assert mask.size == (200, 100) and mask.getpixel((5, 5)) == (0, 0, 0)
    with pytest.raises(FileNotFoundError, match='no mask of "a.png"'):
        ask("thumbnail", method="GET", **given, name="a.png")


@pytest.mark.parametrize("side", ["5", "x", "-128", "99999999999999999999"])
def test_thumbnails_have_few_sizes(pictures, side):
    given = {"folder": "my_pictures", "subfolders": "true", "name": "a.png"}
    with pytest.raises(ValueError, match="give (one of 128|a number)"):
        ask("thumbnail", method="GET", **given, side=side)


def test_what_cannot_be_opened_says_why_and_counts_until_it_is_excluded(pictures):
    (pictures / "bad.png").write_bytes(b"no picture")
    (pictures / "nowhere.png").symlink_to(pictures / "gone")
    assert set(ask("unreadable", HERE)["faults"]) == {"bad.png", "nowhere.png"}
    found = ask("pictures", HERE | ALL | {"state": "faulty"})
    assert [each["name"] for each in found["pictures"]] == ["bad.png"]
    assert found["pictures"][0]["unreadable"] and found["faults"] == 1
    found = ask("pictures", HERE | ALL | {"exclude": "bad.png\nnowhere.png\nz.png"})
    assert (found["faults"], found["excluded"], found["unmatched"]) == (0, 1, ["z.png"])


def test_a_search_leaves_tags_out_and_knows_states(pictures):
    def names(**asked):
        return [each["name"] for each in ask("pictures", HERE | ALL | asked)["pictures"]]

    assert names(without=["fox", "c"]) == ["b.png"]
    assert names(state="unwritten") == ["10_more/c.png", "b.png"]
    assert names(state="unwritten", edits={"b.png": "bear"}) == ["10_more/c.png"]
    assert names(state="edited", edits={"b.png": "bear"}) == ["b.png"]
    assert names(state="excluded", exclude="*/c.png") == ["10_more/c.png"]
    with pytest.raises(ValueError, match='State "odd": give one of edited'):
        names(state="odd")


def test_tags_of_all_that_are_found_are_changed_and_nothing_is_written(pictures):
    asked = HERE | ALL | {"text": "o", "way": "add last", "tags": "snow", "by": ""}
    said = ask("retag", asked | {"edits": {"b.png": "bear"}})
    assert said == {
        "edits": {"b.png": "bear", "10_more/c.png": "c, snow", "a.png": "fox, red, snow"},
        "changed": 2,
    }
    said = ask("retag", asked | {"way": "remove", "edits": {"a.png": "fox, red, snow"}})
    assert said == {"edits": {}, "changed": 1}
    assert (pictures / "a.txt").read_text() == "fox, red"


def test_old_captions_are_kept_only_where_there_were_any(pictures):
    assert ask("captions", HERE | {"edits": {"b.png": "bear"}})["kept"] == 0
    assert ask("captions", HERE | {"edits": {"b.png": "bear"}})["kept"] == 0
    assert ask("captions", HERE | {"edits": {"b.png": "wolf"}})["kept"] == 1


def test_folders_with_pictures_can_be_chosen(pictures):
    (pictures.parent / "empty").mkdir()
    (pictures.parent / ".hidden").mkdir()
    (pictures.parent / "only_inside" / "deep").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(pictures.parent / "only_inside" / "deep" / "a.webp")
    assert ask("folders", method="GET")["folders"] == [
        "my_pictures",
        "my_pictures/10_more",
        "only_inside",
        "only_inside/deep",
        "pictures [demo]",
    ]


def test_advice_does_not_count_what_is_excluded(pictures):
    given = {
        "pictures": 30, "learning_rate": "", "steps": 0, "batch_size": 1, "accumulation": 1,
        "optimizer": "AdamW", "preset": "auto", "dataset": HERE | {"exclude": "a*"},
        "config": DEEP,
    }  # fmt: skip
    assert "2 pictures are few for structure" in ask("learning_rate", given)["said"]


def test_what_caption_made_can_be_reviewed_before_it_is_saved(pictures):
    assert ask("review", HERE) == {"captions": {}, "made": 0}
    dataset = LoadDataset.execute("my_pictures", 64, 64).result[0]
    Caption.execute(
        dataset=[dataset], source=["sidecar, then fixed text"], fixed_text=["a bear"],
        template=["[filewords]"],
    )  # fmt: skip
    assert ask("review", HERE) == {
        "captions": {"b.png": "a bear", "10_more/c.png": "a bear"},
        "made": 3,
    }
    assert not (pictures / "b.txt").exists()
    (pictures / "b.png").unlink()
    Image.new("RGB", (8, 8)).save(pictures / "new.png")
    found = ask("captions", HERE | {"edits": {"10_more/c.png": "a bear"}})
    assert found["saved"] and ask("review", HERE) == {"captions": {}, "made": 2}
