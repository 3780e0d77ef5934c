"""Tags in prompts: what is read, what stays, what is refused."""

import pytest

from hypernet.apply.prompt_tags import Tag, find_files, read_tags, take_out_tags

FILES = ["ink.pt", "styles/Ink wash.pt", "styles/pop.safetensors", "old/pop.pt", "a.b.pt"]


@pytest.mark.parametrize(
    ("prompt", "clean", "tags"),
    [
        ("a cat", "a cat", []),
        ("a <hypernet:ink:0.8> cat", "a  cat", [("ink", 0.8)]),
        ("<hypernet:ink>a cat", "a cat", [("ink", 1.0)]),
        ("a<hypernet: Ink wash : -0.5 >", "a", [("Ink wash", -0.5)]),
        ("<hypernet:b:1>,<hypernet:a:.5>, x", ",, x", [("b", 1.0), ("a", 0.5)]),
        ("<hypernet:a:1><hypernet:a:2>", "", [("a", 1.0), ("a", 2.0)]),
        ("<lora:ink:0.8> (cat:1.2) <hypernet>", "<lora:ink:0.8> (cat:1.2) <hypernet>", []),
        ("<hypernet:画:1>", "", [("画", 1.0)]),
        ("line\n<hypernet:a.b:0>\nline", "line\n\nline", [("a.b", 0.0)]),
    ],
)
def test_tags_are_read_in_order_and_the_rest_of_the_prompt_stays(prompt, clean, tags):
    found_clean, found = read_tags(prompt)
    assert found_clean == clean
    assert [(tag.name, tag.strength) for tag in found] == tags


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("<hypernet:ink:much>", ['"<hypernet:ink:much>"', '"much" is not a number']),
        ("<hypernet:ink:>", ['strength "" is not a number']),
        ("<hypernet::1>", ["names no hypernetwork"]),
        ("<hypernet:ink:1:2>", ["more than one strength"]),
        ("<hypernet:ink:11>", ["between -10 and 10"]),
        ("<hypernet:ink:nan>", ["between -10 and 10"]),
        ("<hypernet:a:x> <hypernet:b:y>", ['"x"', '"y"']),
    ],
)
def test_a_wrong_tag_is_refused_and_quoted(prompt, words):
    with pytest.raises(ValueError) as fault:
        read_tags(prompt)
    for word in words:
        assert word in str(fault.value)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("ink", "ink.pt"),
        ("ink.pt", "ink.pt"),
        ("INK", "ink.pt"),
        ("Ink wash", "styles/Ink wash.pt"),
        ("styles/Ink wash", "styles/Ink wash.pt"),
        ("styles/pop", "styles/pop.safetensors"),
        ("old/pop", "old/pop.pt"),
        ("a.b", "a.b.pt"),
    ],
)
def test_a_name_is_a_path_or_its_last_part(name, file):
    assert find_files([Tag(name, 1.0, f"<hypernet:{name}>")], FILES) == [file]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("inc", ['"<hypernet:inc>"', 'no hypernetwork "inc"', "Nearest: ink"]),
        ("pop", ["several files", "styles/pop.safetensors", "old/pop.pt"]),
    ],
)
def test_unknown_and_ambiguous_names_are_refused_with_what_there_is(name, words):
    with pytest.raises(ValueError) as fault:
        find_files([Tag(name, 1.0, f"<hypernet:{name}>")], FILES)
    for word in words:
        assert word in str(fault.value)


def test_several_unknown_names_make_one_message_and_an_empty_folder_is_named():
    tags = [Tag(name, 1.0, f"<hypernet:{name}>") for name in ("one", "two")]
    with pytest.raises(ValueError, match=r'"one".*the folder is empty.*"two"'):
        find_files(tags, [])


@pytest.mark.parametrize(
    "prompt",
    [
        "&lt;hypernet:one:1&gt;", "＜hypernet：one：1＞", "<hypernet：one：1>", "<Hypernet:one:1>",
        "< hypernet:one:1>", "<hypernetwork:one:1>",
    ],
)  # fmt: skip
def test_case_22_a_slightly_misspelt_tag_is_read_as_meant(prompt):
    clean, tags = read_tags(f"a cat, {prompt}")
    assert clean == "a cat, " and [(tag.name, tag.strength) for tag in tags] == [("one", 1.0)]


def test_case_22_an_unfinished_tag_is_refused_with_the_tag_that_was_meant():
    with pytest.raises(ValueError, match="looks like a tag and is none") as fault:
        read_tags("a cat, <hypernet:one:1")
    assert '"<hypernet:one:1"' in str(fault.value) and "<hypernet:one:1>." in str(fault.value)


@pytest.mark.parametrize(
    ("prompt", "clean", "name", "strength"),
    [
        ("《hypernet：one：0.5》画", "画", "one", 0.5),  # what < is on a Chinese keyboard
        ("〈hypernet：one〉", "", "one", 1.0),
        ("＜ｈｙｐｅｒｎｅｔ：ｏｎｅ：０．８＞", "", "ｏｎｅ", 0.8),
        ("<HYPERNET:one:1>", "", "one", 1.0),
        ("<hyper-net:one:1>", "", "one", 1.0),
        ("<Hypernetworks : one : 1 >", "", "one", 1.0),
        ("&amp;lt;hypernet:one:1&amp;gt;", "", "one", 1.0),
        ("&#60;hypernet:one:1&#62;", "", "one", 1.0),
        ("\\<hypernet:one:1\\>", "", "one", 1.0),  # as Discord escapes it
        ("%3Chypernet:one:1%3E", "", "one", 1.0),
        ("&lthypernet:one:1&gt", "", "one", 1.0),
        ("<超网络：one：1>", "", "one", 1.0),
        ("<\u200bhypernet:one:\u00a01>", "", "one", 1.0),
        ("<hypernet:one:0,8>", "", "one", 0.8),
        ("<hypernet:one:−0.5>", "", "one", -0.5),
        ("<hypernet:one:１>", "", "one", 1.0),
        ("<hypernet:Tom &amp; Jo:1>", "", "Tom & Jo", 1.0),
        ("<hypernet:《画》:1>", "", "《画》", 1.0),
        ("<hypernet:新（二）：1>", "", "新（二）", 1.0),
    ],
)
def test_a_tag_is_read_however_it_is_typed_and_keeps_its_name(prompt, clean, name, strength):
    found_clean, (tag,) = read_tags(prompt)
    assert (found_clean, tag.name, tag.strength) == (clean, name, strength)


@pytest.mark.parametrize(
    ("prompt", "meant"),
    [
        ("<hypernet:one:0.5, a cat", "<hypernet:one:0.5>"),
        ("<hypernet:one:1 a cat, <hypernet:two:1>", "<hypernet:one:1>"),
        ("<hypernet:Ink wash", "<hypernet:Ink wash:1>"),
        ("<hypernet:one:1》", "<hypernet:one:1>"),
        ("<hypernet;one;1>", "<hypernet:one:1>"),
        ("<hypernet=one>", "<hypernet:one:1>"),
        ("<hypernet one 1>", "<hypernet:name:1>"),
        ("hypernet:one:1>", "<hypernet:one:1>"),
        ("(hypernet:one:0.7)", "<hypernet:one:0.7>"),
        ("hypernet：one：1", "<hypernet:one:1>"),
        ("<hypernt:one:1>", "<hypernet:one:1>"),
        ("<hyper:one:1>", "<hypernet:one:1>"),
        ("<hypernetwrk:one:1>", "<hypernet:one:1>"),
    ],
)
def test_a_misspelt_tag_is_refused_with_the_tag_that_was_meant(prompt, meant):
    with pytest.raises(ValueError, match="looks like a tag and is none") as fault:
        read_tags(prompt)
    assert f"Write it like {meant}." in str(fault.value)


@pytest.mark.parametrize(
    "prompt",
    ["<hypernet>", "a hypernet of light", "(hypernet:1.2)", "I <3 cats: yes>", "a <b> c",
     "《书：画》", "<lora:hypernet:1>", "&lt;3", "hypernetwork", "<embedding:x>", "a > b < c"],
)  # fmt: skip
def test_other_words_are_left_alone(prompt):
    assert read_tags(prompt) == (prompt, [])


def test_full_width_letters_matter_only_if_names_differ_in_nothing_else():
    tag = Tag("ＩＮＫ", 1.0, "<hypernet:ＩＮＫ>")
    assert find_files([tag], FILES) == ["ink.pt"]
    assert find_files([tag], [*FILES, "ＩＮＫ.pt"]) == ["ＩＮＫ.pt"]


@pytest.mark.parametrize(
    ("prompt", "clean", "taken"),
    [
        ("heart <hypernet:one:0.5>", "heart", ["<hypernet:one:0.5>"]),
        ("heart <lora:foo:1>", "heart", ["<lora:foo:1>"]),
        (
            "<lyco:a:1> heart, ＜lora：foo：1＞ red",
            "heart,  red",
            ["<lyco:a:1>", "＜lora：foo：1＞"],
        ),
        ("《hypernet：one：1》", "", ["《hypernet：one：1》"]),
        ("heart &lt;lora:foo:1&gt;", "heart", ["&lt;lora:foo:1&gt;"]),
        ("heart <hypernet:one:much>", "heart", ["<hypernet:one:much>"]),
        ("heart <3, 《书：画》", "heart <3, 《书：画》", []),
        (" heart ", " heart ", []),
    ],
)
def test_tags_of_all_kinds_are_removed_where_none_is_applied(prompt, clean, taken):
    assert take_out_tags(prompt) == (clean, tuple(taken))


def test_a_tag_without_its_end_is_not_left_where_none_is_applied():
    with pytest.raises(ValueError, match="Write it like <lora:foo:1>"):
        take_out_tags("heart <lora:foo:1, red")
