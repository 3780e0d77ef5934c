"""The names of previews, and the texts inside."""

import json

import pytest
from PIL import Image

from hypernet.runs.preview_files import (
    grid_file,
    key_of,
    preview_file,
    previewed_steps,
    read_about,
    thinned,
    write_picture,
)


def test_pictures_of_one_prompt_are_found_by_its_key(tmp_path):
    key, other = key_of({"prompt": "a fox"}), key_of({"prompt": "a dog"})
    assert key != other and key == key_of({"prompt": "a fox"})
    drawn = [(5, ""), (12, ""), (5, key), (None, key), (7, other), (None, other)]
    for step, each in drawn:
        write_picture(preview_file(tmp_path, "a[1]", step, each), Image.new("RGB", (8, 8)), {})
    write_picture(grid_file(tmp_path), Image.new("RGB", (8, 8)), {})
    assert previewed_steps(tmp_path, "a[1]") == [5, 12]
    assert previewed_steps(tmp_path, "a[1]", key) == [5]
    assert previewed_steps(tmp_path, "a[1]", other) == [7]
    assert previewed_steps(tmp_path / "none", "a[1]") == []
    assert preview_file(tmp_path, "ink", None, key).name == f"ink-without-{key}.png"


@pytest.mark.parametrize(
    ("count", "most", "expected"),
    [(0, 3, []), (3, 3, [1, 2, 3]), (4, 3, [2, 4]), (7, 3, [1, 4, 7]), (10, 3, [2, 6, 10])],
)
def test_of_many_steps_every_nth_is_left_with_the_newest(count, most, expected):
    assert thinned(list(range(1, count + 1)), most) == expected


def test_a_picture_says_what_it_shows_and_a_damaged_one_says_nothing(tmp_path):
    path = tmp_path / "previews" / "ink-1.png"
    write_picture(path, Image.new("RGB", (16, 8)), {"hypernet": json.dumps({"prompt": "犬"})})
    assert read_about(path) == {"prompt": "犬", "size": (16, 8)}
    path.write_bytes(path.read_bytes()[:20])
    assert read_about(path) == {}
    write_picture(path, Image.new("RGB", (16, 8)), {"hypernet": "[]"})
    assert read_about(path) == {}
    assert read_about(tmp_path / "none.png") == {}
