"""From a tagger's scores to the words of a caption."""

import pytest

from hypernet.captions.tags import (
    Tag,
    TagEdits,
    TagRules,
    caption_of_tags,
    edit_caption,
    has_several,
    meaning,
    read_list,
    read_replacements,
    split_tags,
    with_commas,
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


FACES = (
    "0_0 (o)_(o) +_+ +_- ._. <o>_<o> <|>_<|> =_= >_< 3_3 6_9 >_o @_@ ^_^ o_o u_u x_x |_| ||_||"
).split()  # as kohya's trainers and the WD taggers list them


@pytest.mark.parametrize("face", [*FACES, "(>_<)", "=^_^=", "^_^;", ";_;", "T_T", "-_-", "´_`"])
def test_tags_that_are_faces_keep_their_underscores(face):
    escaped = face.replace("(", r"\(").replace(")", r"\)")
    assert caption_of_tags([Tag(face, 0.9)], TagRules()) == escaped
    assert caption_of_tags([Tag(face, 0.9)], TagRules(escape=False)) == face


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("long_hair", "long hair"),
        ("v-shaped_eyebrows", "v-shaped eyebrows"),
        ("k-on!", "k-on!"),
        ("x_x_(eyes)", "x x (eyes)"),
        ("1_girl", "1 girl"),
        ("10_x", "10 x"),
        ("^_^_face", "^ ^ face"),
        ("赤_い", "赤 い"),
    ],
)
def test_tags_that_are_words_do_not(name, words):
    assert caption_of_tags([Tag(name, 0.9)], TagRules(escape=False)) == words


def test_case_06_faces_keep_their_underscores():
    names = ["^_^", ">_<", "o_o", "+_+", "(o)_(o)", "|_|", "long_hair"]
    caption = caption_of_tags([Tag(name, 0.9) for name in names], TagRules())
    assert caption == r"\(o\)_\(o\), +_+, >_<, ^_^, long hair, o_o, |_|"


def test_an_unknown_order_is_quoted():
    with pytest.raises(ValueError, match='"size"'):
        TagRules(order="size")


def test_blocked_tags_are_removed_and_others_replaced():
    others = {"long hair": "very_long_hair, hair", "smile (expression)": ""}
    edits = TagEdits(block=("1GIRL",), replacements=others)
    assert caption_of_tags(SEEN, TagRules(), edits) == "very long hair, hair"
    assert edit_caption("(long_hair:1.2), a fox, 1girl", edits) == "very_long_hair, hair, a fox"
    assert edit_caption("a  fox,snow", edits) == "a  fox,snow", "what nothing fits stays as it is"
    assert edit_caption(r"smile \(expression\), hair, long hair", edits) == "hair, very_long_hair"


def test_a_sentence_goes_before_the_tags_and_is_not_escaped():
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
def test_a_caption_is_split_at_commas_outside_brackets(text, tags):
    assert split_tags(text) == tags


@pytest.mark.parametrize("tag", ["long_hair", "Long Hair", "(long hair:1.2)", " long_hair "])
def test_different_spellings_of_a_tag_mean_the_same(tag):
    assert meaning(tag) == "long hair"


def test_lists_and_replacements_are_read_from_text():
    assert read_list("a, b\nc (d),\n") == ("a", "b", "c (d)")
    text = "grey hair -> gray hair\n\n=_= ->\n"
    assert read_replacements(text) == {"grey hair": "gray hair", "=_=": ""}
    with pytest.raises(ValueError, match='"cat = dog"; "-> x"'):
        read_replacements("a -> b\ncat = dog\n-> x")


@pytest.mark.parametrize(
    ("caption", "line"),
    [
        ("1girl\nsolo\nred hair\nsmile", "1girl, solo, red hair, smile"),
        ("1girl\r\n\r\nsolo\r\nred hair\r\n", "1girl, solo, red hair"),
        ("1girl，solo，red hair", "1girl, solo, red hair"),
        ("1girl、solo、red hair", "1girl, solo, red hair"),
        ("1girl；solo；red hair", "1girl, solo, red hair"),
        ("1girl, solo，red hair", "1girl, solo, red hair"),
        ("1girl, solo,\nred hair, smile,", "1girl, solo, red hair, smile"),
        ("红发，看向观众，白色连衣裙", "红发, 看向观众, 白色连衣裙"),
        ("赤い髪、笑顔、セーラー服", "赤い髪, 笑顔, セーラー服"),
        ("빨간 머리，미소", "빨간 머리, 미소"),
        ("1girl، solo، hat", "1girl, solo, hat"),
        ("(red，blue:1.2)，hat", "(red,blue:1.2), hat"),
        ("smile \\(a\\)，hat，:(", "smile \\(a\\), hat, :("),
        ("1girl, solo, red hair\na girl with red hair smiles",
         "1girl, solo, red hair, a girl with red hair smiles"),
        ("1girl; solo; red hair", "1girl, solo, red hair"),
        ("1girl | solo | red hair", "1girl, solo, red hair"),
        ("1girl\tsolo\tred hair", "1girl, solo, red hair"),
        ("- 1girl\n- solo\n- red hair", "1girl, solo, red hair"),
        ("1girl solo red_hair blue_eyes", "1girl, solo, red_hair, blue_eyes"),
        # prose, and a list that only uses commas
        ("A fox, in snow, looks back.", "A fox, in snow, looks back."),
        ("A red fox sits in the snow, looking\nback at the viewer.",
         "A red fox sits in the snow, looking back at the viewer."),
        ("A fox in the snow.\nIt looks back.", "A fox in the snow. It looks back."),
        ("一个红头发的女孩，微笑着，站在雪地里。", "一个红头发的女孩，微笑着，站在雪地里。"),
        ("a girl in a park，who looks at the camera", "a girl in a park，who looks at the camera"),
        ("1girl,solo ,  red hair", "1girl,solo ,  red hair"),
        ("a fox\nin snow", "a fox in snow"),
        ("a photo of sks_fox in my_house", "a photo of sks_fox in my_house"),
        ("a fox; it sleeps", "a fox; it sleeps"),
        ("smile ;d |_|", "smile ;d |_|"),
    ],
)  # fmt: skip
def test_line_ends_and_other_commas_separate_tags_but_not_prose(caption, line):
    assert with_commas(caption) == line
    assert with_commas(line) == line


@pytest.mark.parametrize(
    ("caption", "several"),
    [
        ("1girl, solo, red hair\na girl with red hair smiles", True),
        ("A fox.\nA red fox.", True),
        ("1girl, solo\n1boy, hat", True),
        ("1girl\nsolo\nred hair", False),
        ("1girl, solo,\nred hair", False),
        ("1girl，solo，\nred hair\n", False),
        ("a fox\n\n", False),
        ("", False),
    ],
)
def test_several_captions_in_one_file_are_noticed(caption, several):
    assert has_several(caption) is several


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("red hair, green hair，blue hair", ["red hair", "green hair", "blue hair"]),
        ("red hair、green hair；blue hair; hat", ["red hair", "green hair", "blue hair", "hat"]),
        ("red hair\tgreen hair\r\nblue hair", ["red hair", "green hair", "blue hair"]),
        (";d, ;), hat", [";d", ";)", "hat"]),
        ("• red hair\n• hat", ["red hair", "hat"]),
        ("1. red hair\n2) hat", ["red hair", "hat"]),
        ("red hair | hat, |_|", ["red hair", "hat", "|_|"]),
        ("“red hair”, \"hat\"", ["red hair", "hat"]),
        ("(red，blue:1.2)，hat,", ["(red,blue:1.2)", "hat"]),
        ("，,\n", []),
        ("looking at the viewer from behind a tree，hat",
         ["looking at the viewer from behind a tree", "hat"]),
    ],
)  # fmt: skip
def test_a_list_of_tags_accepts_commas_of_every_keyboard(text, tags):
    assert list(read_list(text)) == tags


@pytest.mark.parametrize(
    ("text", "replacements"),
    [
        ("gray hair → grey hair", {"gray hair": "grey hair"}),
        ("gray hair —> grey hair", {"gray hair": "grey hair"}),
        ("gray hair => grey hair", {"gray hair": "grey hair"}),
        ("gray hair －＞ grey hair", {"gray hair": "grey hair"}),
        ("gray hair -&gt; grey hair", {"gray hair": "grey hair"}),
        (
            "gray hair, silver hair -> grey hair",
            {"gray hair": "grey hair", "silver hair": "grey hair"},
        ),
        ("灰发，银发 -> 白发、长发", {"灰发": "白发, 长发", "银发": "白发, 长发"}),
    ],
)
def test_replacements_accept_arrows_of_every_keyboard(text, replacements):
    assert read_replacements(text) == replacements


@pytest.mark.parametrize("line", ["a -> b -> c", "a -> b, c -> d", "a -> b; c -> d", "a > b"])
def test_two_replacements_on_a_line_are_refused(line):
    with pytest.raises(ValueError, match="write one a line") as fault:
        read_replacements(line)
    assert f'"{line}"' in str(fault.value)


@pytest.mark.parametrize(
    "tag",
    [
        "ｒｅｄ　ｈａｉｒ",
        "red\u00a0hair",
        "Red  Hair",
        "red\u200b hair",
        "red_hair",
        "“red hair”"[1:-1],
    ],
)
def test_tags_typed_on_other_keyboards_are_found(tag):
    assert edit_caption("1girl, red hair", TagEdits(block=(tag,))) == "1girl"
    assert edit_caption(f"1girl, {tag}", TagEdits(block=("red hair",))) == "1girl"
