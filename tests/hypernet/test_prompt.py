"""Tags in prompts: what is read, what stays, what is refused."""

import pytest

from hypernet.prompt import Tag, find_files, read_tags

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
def test_tags_are_read_in_order_and_everything_else_stays(prompt, clean, tags):
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
def test_a_wrong_tag_is_refused_with_its_words(prompt, words):
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
