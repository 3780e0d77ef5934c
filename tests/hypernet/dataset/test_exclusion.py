"""Pictures that the user leaves out: which lines mean which, and what becomes of the folder."""

import pytest
from PIL import Image

from hypernet.dataset.exclusion import matching
from hypernet.dataset.reading import read_dataset

NAMES = ["a[1].png", "a1.png", "old/fox.png", "fox.png", "Fox.png"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("a[1].png", {"a[1].png"}),  # the picture of that name, not what it means as a pattern
        ("a[12].png", {"a1.png"}),
        ("fox.png", {"fox.png"}),
        ("old/*", {"old/fox.png"}),
        ("f*", {"fox.png", "old/fox.png"}),
        ("  fox.png  ", {"fox.png"}),
        ("*.png", set(NAMES)),
        ("", set()),
    ],
)
def test_a_line_is_a_name_or_a_pattern(line, found):
    meant, lost = matching(f"\n{line}\n", NAMES)
    assert (set(meant), lost) == (found, [])
    assert all(lines == [line.strip()] for lines in meant.values())


def test_lines_that_mean_nothing_are_named():
    assert matching("wolf.png\nfox.png\n*.gif", NAMES) == (
        {"fox.png": ["fox.png"]},
        ["wolf.png", "*.gif"],
    )


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "b.png", "c.png", "c_mask.png"):
        Image.new("RGB", (64, 64), "red").save(tmp_path / name)
    (tmp_path / "b.txt").write_text("bee")
    return tmp_path


def test_excluded_pictures_are_neither_trained_on_nor_opened(folder):
    (folder / "bad.png").write_bytes(b"no picture")
    (folder / "worse.txt").write_bytes(b"x" * 300_000)
    Image.new("RGB", (64, 64)).save(folder / "worse.png")
    (folder / "nowhere.png").symlink_to(folder / "gone")
    dataset = read_dataset(folder, 64, 64, exclude="b.png\nbad.png\nworse.*\nnowhere.png\nz.png")
    assert [item.path.name for item in dataset.items] == ["a.png", "c.png"]
    assert dataset.items[1].mask == folder / "c_mask.png"
    assert dataset.notes == (
        "1 pictures have a mask beside them.",
        '4 pictures are left out by exclude: "b.png", "bad.png", "nowhere.png", "worse.png".',
        '1 lines of exclude name no picture here: "z.png".',
    )


def test_tables_may_speak_of_excluded_pictures(folder):
    (folder / "metadata.jsonl").write_text(
        '{"file_name": "a.png", "text": "ant"}\n{"file_name": "c.png", "text": "cat"}\n'
    )
    dataset = read_dataset(folder, 64, 64, exclude="a.png")
    assert [item.caption for item in dataset.items] == ["bee", "cat"]
    assert '"metadata.jsonl" gives the words of 1 pictures.' in dataset.notes
    assert not [note for note in dataset.notes if "name no picture" in note]


def test_if_all_are_excluded_it_says_so(folder):
    with pytest.raises(ValueError, match=r"holds no pictures.*3 pictures are left out by exclude"):
        read_dataset(folder, 64, 64, exclude="*")
