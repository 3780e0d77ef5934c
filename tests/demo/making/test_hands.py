"""Other hands' pictures are found by whatever name their package calls them."""

import pytest

from demo.making import hands
from demo.pictures import Emoji

PACKAGE = {
    "width": 4,
    "height": 4,
    "icons": {"pizza": {"body": '<path fill="#f00" d="M0 0h4v4H0z"/>'}, "redheart": {"body": ""}},
    "aliases": {"slice": {"parent": "pizza"}, "piece": {"parent": "slice"}},
}


def emoji(file: str, *captions: str) -> Emoji:
    return Emoji(key="any", captions=captions, subcategory="any", file=file)


@pytest.mark.parametrize("key", ["pizza", "slice", "piece", "piz-za"])
def test_names_aliases_and_words_written_as_one_lead_to_the_icon(key):
    assert hands.find_icon(PACKAGE, ["unheard-of", key]) is PACKAGE["icons"]["pizza"]


def test_a_name_that_the_hand_did_not_draw_has_no_icon():
    assert hands.find_icon(PACKAGE, ["unheard-of"]) is None


def test_a_code_point_says_more_than_a_caption():
    called = {"2764": ["red-heart"], "a9": ["copyright"]}
    found = hands.possible_keys(emoji("2764-fe0f.png", "heavy black heart"), called)
    assert found == ["red-heart", "heavy-black-heart"]
    assert hands.possible_keys(emoji("00a9-fe0f.png", "c"), called) == ["copyright", "c"]


def test_an_icon_is_drawn_on_white():
    pytest.importorskip("resvg_py", reason="draws SVG: pip install resvg-py")
    picture = hands.draw_icon(PACKAGE, {"body": '<path fill="#f00" d="M0 0h2v4H0z"/>'})
    assert picture.size == (128, 128)
    assert picture.getpixel((10, 64)) == (255, 0, 0)
    assert picture.getpixel((118, 64)) == (255, 255, 255)
