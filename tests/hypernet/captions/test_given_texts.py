"""Texts of a language model: talk is cut off, words stay, and every picture gets its own."""

from pathlib import Path

import pytest

from hypernet.captions.given_texts import by_picture, notes_on, read_answer
from hypernet.captions.sources import CaptionRules

PICTURES = [Path(f"{name}.png") for name in "abc"]


@pytest.mark.parametrize(
    ("text", "words", "talk"),
    [
        ("a red fox", "a red fox", ""),
        ("Sure! Here is a caption:\n\nA red fox.", "A red fox.", "Sure! Here is a caption:"),
        ("Certainly. A red fox.", "A red fox.", "Certainly."),
        ("Here's a short description: a fox", "a fox", "Here's a short description:"),
        ("**Caption:** a fox", "a fox", "Caption:"),
        ('"A fox in snow."<|im_end|>', "A fox in snow.", ""),
        ("<think>\nA fox? Yes.\n</think>\n\nA fox.", "A fox.", ""),
        ("It is a fox.</think>A fox.", "A fox.", ""),
        ("<think>I never come to an end", "", ""),
        ("好的，以下是描述：一只狐狸", "一只狐狸", "好的，以下是描述："),
        ("I'm sorry, but I can't help.", "", "I'm sorry, but I can't help."),
        ("  \n", "", ""),
        # words about the picture that only begin as talk does
        ("Here is where the fox lives", "Here is where the fox lives", ""),
        ("surely a fox", "surely a fox", ""),
        ("a sign that says 'hello'", "a sign that says 'hello'", ""),
        ("'hello' and 'bye' on a sign", "'hello' and 'bye' on a sign", ""),
        ("1girl, solo, tags: none", "1girl, solo, tags: none", ""),
    ],
)
def test_talk_around_a_caption_is_cut_off_and_nothing_else(text, words, talk):
    assert read_answer(text) == (words, talk)


def test_several_lines_become_one_caption():
    rules = CaptionRules(sources=("texts",))
    text = read_answer("A fox\nin the snow.\n\nIt sleeps.").words
    assert rules.caption(Path("a.png"), given=text) == "A fox in the snow. It sleeps."


def test_as_many_texts_as_pictures_are_needed():
    assert by_picture(PICTURES, ["x", "y", "z"])[PICTURES[1]] == "y"
    with pytest.raises(ValueError, match="There are 2 texts for 3 pictures"):
        by_picture(PICTURES, ["x", "y"])


def test_what_was_cut_off_and_who_is_silent_is_told():
    texts = ["Sure! A fox.", "", "a cat"]
    answers = {path: read_answer(text) for path, text in zip(PICTURES, texts, strict=True)}
    assert notes_on(answers) == [
        'The texts say nothing about 1 pictures: "b.png".',
        '1 texts began with talk that was cut off, such as "Sure!".',
    ]
    assert notes_on({PICTURES[0]: read_answer("a fox")}) == []
