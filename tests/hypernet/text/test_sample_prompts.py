"""Prompts for previews as kohya's sample files write them: what is read, and what is refused."""

import pytest

from hypernet.text.sample_prompts import SamplePrompt, prompt_lines, read_sample_prompt

KOHYA = "1girl, best quality --n low quality, worst --w 768 --h 512 --d 1 --l 7.5 --s 28"


def read(line):
    found = read_sample_prompt(line)
    assert found.line == line.strip()
    return {name: value for name, value in vars(found).items() if value is not None}


def test_empty_lines_and_comments_hold_no_prompt():
    text = "\ufeff# sample prompts\n\n a fox \r\n   # another\n--w 8\na #1 dog\n"
    assert prompt_lines(text) == ["a fox", "--w 8", "a #1 dog"]
    assert prompt_lines("") == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a fox", dict(prompt="a fox")),
        (KOHYA, dict(prompt="1girl, best quality", negative="low quality, worst", width=768,
                     height=512, seed=1, cfg=7.5, steps=28)),
        ("a fox --neg wolf --seed 5 --cfg 3 --steps 9",
         dict(prompt="a fox", negative="wolf", seed=5, cfg=3, steps=9)),
        ("a fox --W 64 --N Wolf", dict(prompt="a fox", width=64, negative="Wolf")),
        ("a fox --n", dict(prompt="a fox", negative="")),
        ("a fox   --w\t64", dict(prompt="a fox", width=64)),
        ("a fox --l 7,5", dict(prompt="a fox", cfg=7.5)),
        ("a fox --w ６４", dict(prompt="a fox", width=64)),
        ("a fox --d -1 --w 0", dict(prompt="a fox", seed=-1, width=0)),
        ("a fox —w 64 –s 5 ――h 8", dict(prompt="a fox", width=64, steps=5, height=8)),
        ("一只狐狸 --n 狼", dict(prompt="一只狐狸", negative="狼")),
        ("a well-known fox -- red", dict(prompt="a well-known fox -- red")),
        ("the fox — a drawing", dict(prompt="the fox — a drawing")),
        ("half--timbered", dict(prompt="half--timbered")),
    ],
)  # fmt: skip
def test_a_line_is_read_with_the_flags_of_kohya_and_longer_ones(line, expected):
    assert read(line) == expected | {"line": line.strip()}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a fox --x 5", '"a fox --x 5": there is no --x. Write --n or --neg, --d'),
        ("a fox --ss euler_a", "there is no --ss"),
        ("a fox --w=64", "there is no --w=64"),
        ("a fox --w 64px", '--w "64px" is not a whole number. Write it like --w 512.'),
        ("a fox --h", '--h "" is not a whole number'),
        ("a fox --s 2.5", '--s "2.5" is not a whole number'),
        ("a fox --l high", '--l "high" is not a number. Write it like --l 7.5.'),
        ("a fox --l nan", '--l "nan" is not a number'),
        ("a fox --w 500", "--w 500 is not a multiple of 8 pixels. Write 496 or 504."),
        ("a fox --w 9000", "--w 9000 is not from 0 to 8192"),
        ("a fox --s 0", "--s 0 is not from 1 to 1000"),
        ("a fox --w 64 --w 72", "--w gives a second width; leave one of them."),
        ("a fox --n wolf --neg dog", "--neg gives a second negative"),
        ("--w 64 --d 5", '"--w 64 --d 5" has no prompt.'),
        ("—w 64", '"—w 64" has no prompt.'),
    ],
)
def test_what_is_wrong_is_quoted_with_what_would_be_right(line, words):
    with pytest.raises(ValueError) as raised:
        read_sample_prompt(line)
    assert words in str(raised.value) and line in str(raised.value)


def test_all_faults_of_a_line_are_said_at_once():
    with pytest.raises(ValueError, match=r"there is no --x.*--s 0 is not from 1") as raised:
        read_sample_prompt("a fox --x 1 --s 0")
    assert str(raised.value).count('"a fox --x 1 --s 0"') == 2


def test_what_a_line_does_not_say_is_left_open():
    assert read_sample_prompt("a fox") == SamplePrompt(line="a fox", prompt="a fox")
