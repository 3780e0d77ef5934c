"""From a tagger's scores to the words of a caption."""

import pytest

from hypernet.tags import (
    Tag,
    TagEdits,
    TagRules,
    caption_of_tags,
    edit_caption,
    meaning,
    read_list,
    read_replacements,
    split_tags,
    with_trigger,
)

SEEN = [
    Tag("smile_(expression)", 0.7),
    Tag("1girl", 0.98),
    Tag("long_hair", 0.5),
    Tag("hat", 0.4999),
    Tag("rating:safe", 0.99, "rating"),
    Tag("reimu", 0.9, "character"),
]


@pytest.mark.parametrize(
    ("rules", "caption"),
    [
        ({}, r"1girl, long hair, smile \(expression\)"),
        ({"order": "score"}, r"1girl, smile \(expression\), long hair"),
        ({"underscores_to_spaces": False}, r"1girl, long_hair, smile_\(expression\)"),
        ({"escape": False}, "1girl, long hair, smile (expression)"),
        ({"scores": True}, r"(1girl:0.980), (long hair:0.500), (smile \(expression\):0.700)"),
        ({"thresholds": {"general": 0.6}}, r"1girl, smile \(expression\)"),
        ({"thresholds": {"general": 0.8, "character": 0.85}}, "1girl, reimu"),
        ({"thresholds": {"rating": 0.9}}, "rating:safe"),
        ({"thresholds": {}}, ""),
        ({"allow": ("Long Hair", "hat")}, "long hair"),
    ],
)  # fmt: skip
def test_tags_are_chosen_and_written_by_the_rules(rules, caption):
    assert caption_of_tags(SEEN, TagRules(**rules)) == caption


def test_an_order_that_is_none_is_quoted():
    with pytest.raises(ValueError, match='"size"'):
        TagRules(order="size")


def test_blocked_tags_go_and_replaced_ones_are_said_in_other_words():
    others = {"long hair": "very_long_hair, hair", "smile (expression)": ""}
    edits = TagEdits(block=("1GIRL",), replacements=others)
    assert caption_of_tags(SEEN, TagRules(), edits) == "very long hair, hair"
    assert edit_caption("(long_hair:1.2), a fox, 1girl", edits) == "very_long_hair, hair, a fox"
    assert edit_caption("a  fox,snow", edits) == "a  fox,snow", "what nothing fits stays as it is"
    assert edit_caption(r"smile \(expression\), hair, long hair", edits) == "hair, very_long_hair"


def test_a_sentence_stands_before_the_tags_and_is_not_escaped():
    seen = [Tag("hat", 0.9), Tag("a fox (red_one)", 1.0, "sentence")]
    assert caption_of_tags(seen, TagRules()) == "a fox (red_one), hat"


def test_the_trigger_word_comes_first_and_once():
    assert with_trigger("a fox, snow", "sks fox") == "sks fox, a fox, snow"
    assert with_trigger("a fox, SKS_fox, snow", "sks fox") == "sks fox, a fox, snow"
    assert with_trigger("", "sks") == "sks" and with_trigger("a fox", " ") == "a fox"


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("a, b ,,c,", ["a", "b", "c"]),
        ("(red, blue:1.2), [a, b], c", ["(red, blue:1.2)", "[a, b]", "c"]),
        (r"smile \(a, b\), c", [r"smile \(a", r"b\)", "c"]),
        (":(, a, b", [":(", "a", "b"]),
        (":), a", [":)", "a"]),
        ("a\\", ["a\\"]),
        ("", []),
    ],
)
def test_a_caption_is_split_where_a_prompt_may_be(text, tags):
    assert split_tags(text) == tags


@pytest.mark.parametrize("tag", ["long_hair", "Long Hair", "(long hair:1.2)", " long_hair "])
def test_ways_to_write_a_tag_mean_the_same(tag):
    assert meaning(tag) == "long hair"


def test_lists_and_replacements_are_read_from_text():
    assert read_list("a, b\nc (d),\n") == ("a", "b", "c (d)")
    text = "grey hair -> gray hair\n\n=_= ->\n"
    assert read_replacements(text) == {"grey hair": "gray hair", "=_=": ""}
    with pytest.raises(ValueError, match='"cat = dog"; "-> x"'):
        read_replacements("a -> b\ncat = dog\n-> x")
