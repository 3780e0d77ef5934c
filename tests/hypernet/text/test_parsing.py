"""Numbers and lists, as typed on any keyboard or pasted from word processors and web pages."""

import random

import pytest

from hypernet import parse_structure
from hypernet.apply.effect import parse_strength_curve
from hypernet.apply.effect import parse_widths as parse_factors
from hypernet.network.spec import parse_dropout, read_widths
from hypernet.text.parsing import number_in, single_number_in, visible_text, whole_in
from hypernet.tools.compare import read_strengths
from hypernet.tools.merge import read_factors
from hypernet.training.range_test import read_rates


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5e-5", 5e-5),
        ("+.5", 0.5),
        ("5.", 5.0),
        ("１．５", 1.5),
        ("1。5", 1.5),
        ("5e−5", 5e-5),  # a minus sign
        ("5E–5", 5e-5),  # a dash
        ("5е-5", 5e-5),  # a Cyrillic е
        ("５ｅ－５", 5e-5),
        ("٥", 5.0),
        ("5×10⁻⁵", 5e-5),
        ("5 * 10^-5", 5e-5),
        ("\u00a05e-5\u200b", 5e-5),
        ("1_000", 1000.0),
        ("1_2_1", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("50%", None),
        ("0x10", None),
        ("1 000", None),
        ("0,5", None),
        ("5 e-5", None),
        ("--5", None),
        ("²", None),
        ("", None),
    ],
)
def test_a_number_from_any_keyboard_is_read_and_other_text_gives_none(text, number):
    assert number_in(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0,8", 0.8),
        ("−0,5", -0.5),
        ("0,005", 0.005),
        ("1,5", 1.5),
        ("1,000", None),
        ("1,2,3", None),
    ],
)
def test_a_comma_in_a_single_number_is_decimal_unless_it_may_separate_thousands(text, number):
    assert single_number_in(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [("100", 100), ("-1", -1), ("１００", 100), ("−1", -1), ("1_000", 1000), ("5.5", None),
     ("1e3", None), ("1.000", None), ("1,000", None), ("9" * 5000, None), ("1 000", None)],
)  # fmt: skip
def test_a_whole_number_consists_only_of_digits(text, number):
    assert whole_in(text) == number


STRUCTURES = [
    "1 2 1", "1,2,1", "1， 2， 1", "１，２，１", "1、2、1", "1;2;1", "1；2；1", "[1, 2, 1]",
    "(1, 2, 1)", "“1, 2, 1”", "`1, 2, 1`", "1, 2, 1,", "1\t2\t1", "1\n2\n1", "1\u00a02\u00a01",
    "1, 2, 1。", "1, 2,1", "1,2, 1", "1.0, 2.0, 1.0", "「1、2、1」", " 1 , 2 , 1 ", "\ufeff1, 2, 1",
    "1&nbsp;2&nbsp;1",
]  # fmt: skip


@pytest.mark.parametrize("text", STRUCTURES)
def test_a_structure_is_read_however_it_is_typed(text):
    assert parse_structure(text) == (1, 2, 1)


@pytest.mark.parametrize(
    ("read", "text", "numbers"),
    [
        (parse_structure, "1; 1,5; 1", (1, 1.5, 1)),  # ; separates, so the comma is decimal
        (parse_structure, "1 0,05 1", (1, 0.05, 1)),  # 05 is no number
        (parse_structure, "1,2,4,2,1", (1, 2, 4, 2, 1)),
        (lambda text: parse_dropout(text, 3), "0, 0,3, 0", (0, 0.3, 0)),  # 3 is no probability
        (lambda text: parse_dropout(text, 3), "0，0.3，0", (0, 0.3, 0)),
        (lambda text: parse_dropout(text, 3), "0, 0,0", (0, 0, 0)),
        (lambda text: parse_dropout(text, 2), " ", ()),
        (read_strengths, "0,1", (0, 1)),
        (read_strengths, "−1, 0, 1", (-1, 0, 1)),
        (read_strengths, "0,25 0,75 1", (0.25, 0.75, 1)),  # 25 and 75 are too large for strengths
        (read_strengths, "0,75", (0.75,)),
        (read_widths, "768，320", (768, 320)),
        (read_widths, "1,280", (1280,)),  # no width is 1
        (read_widths, "768, 1,280", (768, 1280)),
        (read_widths, "320,640", (320, 640)),
        (lambda text: read_factors(text, 2), "0,5, 0,5", (0.5, 0.5)),
        (lambda text: read_factors(text, 3), "1, 1,1", (1, 1, 1)),
        (lambda text: read_factors(text, 2), "1,1", (1, 1)),
        (parse_factors, "７６８：０．５；320: 0", ((768, 0.5), (320, 0.0))),
        (parse_strength_curve, "0：1，0.5：0.3、1：−0.5", ((0.0, 1.0), (0.5, 0.3), (1.0, -0.5))),
    ],
)
def test_a_comma_means_whatever_makes_sense_in_the_field(read, text, numbers):
    assert read(text) == numbers


@pytest.mark.parametrize(
    ("read", "text", "words"),
    [
        (parse_structure, "1, 1,5, 1", 'two things. Write "1, 1, 5, 1" or "1, 1.5, 1".'),
        (parse_structure, "1,,1", '"" is not a number'),
        (parse_structure, "1-2-1", '"1-2-1" is not a number'),
        (parse_structure, "1:2:1", '"1:2:1" is not a number'),
        (parse_structure, "1, 2x, 1", '"2x" is not a number'),
        (parse_structure, "1, nan, 1", '"nan" is not a number'),
        (parse_structure, "", '"" is not a number'),
        (lambda text: parse_dropout(text, 3), "0, 30%, 0", 'Dropout structure "0, 30%, 0": "30%"'),
        (read_strengths, "a", 'Strengths "a": "a" is not a number'),
        (read_factors, "a", 'Factors "a": "a" is not a number'),
        (read_strengths, "0,5", 'Strengths "0,5" can mean two things. Write "0, 5" or "0.5".'),
        (read_strengths, "0,5, 1", 'two things. Write "0, 5, 1" or "0.5, 1".'),
        (read_strengths, "0, nan", 'Strengths "0, nan": "nan" is not a number'),
        (read_strengths, "1, -11", "-11 is beyond ±10"),
        (read_widths, "768.5", "whole numbers above 0"),
        (read_widths, "768,1,280", "1 is too narrow"),
        (read_widths, "-768", "whole numbers above 0"),
        (lambda text: read_factors(text, 2), "1, inf", 'Factors "1, inf": "inf" is not a number'),
        (lambda text: read_factors(text, 2), "0,5,0,5", "4 for 2 networks"),
        (parse_factors, "768: 0,5", '"5" is not two numbers'),
        (parse_factors, "768: 0.5 320: 0", "is not a number"),
        (parse_strength_curve, "0: 1, 50%: 0", '"50%" is not a number'),
        (parse_strength_curve, "0: 1, 1: nan", '"1: nan" is not two numbers'),
    ],
)
def test_meaningless_and_ambiguous_lists_are_refused_with_the_text_quoted(read, text, words):
    with pytest.raises(ValueError) as fault:
        read(text)
    assert words in str(fault.value) and f'"{text}"' in str(fault.value)


def test_any_structure_is_read_back_however_it_is_typed():
    chance = random.Random(1)
    full_width = str.maketrans("0123456789.,", "０１２３４５６７８９．，")
    for _ in range(300):
        inner = [chance.choice((0.5, 1, 1.5, 2, 4, 8)) for _ in range(chance.randint(0, 4))]
        joint = chance.choice((", ", " ", ";", "、", "，", "\n", "\t"))
        text = joint.join(f"{factor:g}" for factor in (1, *inner, 1))
        text = text.translate(full_width) if chance.random() < 0.5 else text
        assert parse_structure(text) == (1, *inner, 1), text


def test_folding_signs_keeps_the_letters_of_words():
    assert visible_text("红发， ｒｅｄ＿ｈａｉｒ – “été” &gt;_&lt;") == '红发, red_hair - "été" >_<'


@pytest.mark.parametrize(
    "text",
    ["1e-7 to 1e-2", "１ｅ－７　ｔｏ　１ｅ－２", "1E−7 TO 1E−2", "1e-7 - 1e-2", "1e-7~1e-2",
     "1e-7～1e-2", "1e-7 到 1e-2", "1e-7至1e-2", "1e-7 → 1e-2", "“1e-7 to 1e-2”"],
)  # fmt: skip
def test_two_rates_are_read_however_they_are_typed(text):
    assert read_rates(text) == (1e-7, 1e-2)


@pytest.mark.parametrize(
    "text", ["1e-7", "1e-7 1e-2", "0,0001 to 0,01", "1e-7 to nan", "1e-7 to 1e-2 to 1", "1e-7-1e-2"]
)
def test_anything_but_two_rates_is_refused(text):
    with pytest.raises(ValueError, match="write them as 1e-7 to 1e-2") as fault:
        read_rates(text)
    assert f'"{text}"' in str(fault.value)
