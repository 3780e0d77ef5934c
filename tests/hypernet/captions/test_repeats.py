"""How often pictures are shown."""

from fractions import Fraction

import pytest

from hypernet.captions.repeats import read_rules, weight_of, weighted


def test_the_first_rule_that_matches_name_path_or_tag_counts():
    rules = read_rules("*_bad* = 0\nportraits/* = 0.5\nclose-up = 2\n*hair = 3\n")
    for name, caption, weight in (
        ("1_bad.png", "close-up", 0),
        ("portraits/1.png", "close-up", Fraction(1, 2)),
        ("a/Portraits/1.png", "", 1),
        ("1.png", "1girl, (Close-Up:1.2)", 2),
        ("1.png", "long_hair", 3),
        ("1.png", "close-up of a hat", 1),
        ("1.png", "", 1),
    ):
        assert weight_of(name, caption, rules) == weight, (name, caption)


@pytest.mark.parametrize(
    ("repeats", "weights", "shown"),
    [
        ([1, 10], ["1", "1"], [1, 10]),
        ([2, 2], ["1", "1"], [2, 2]),
        ([1, 1], ["0.5", "1"], [1, 2]),
        ([10, 1], ["0.1", "1"], [1, 1]),
        ([1, 1, 1], ["0", "1.5", "1"], [0, 3, 2]),
        ([1, 1], ["0.333333", "1"], [1, 3]),
    ],
)
def test_weights_become_whole_numbers_in_the_same_proportion(repeats, weights, shown):
    found = [read_rules(f"x = {weight}")[0][1] for weight in weights]
    assert weighted(repeats, found) == shown


def test_weights_that_leave_no_picture_are_refused():
    with pytest.raises(ValueError, match="leave out every picture"):
        weighted([1, 2], [Fraction(0), Fraction(0)])


def test_every_line_that_is_no_rule_is_quoted():
    text = "close-up: 2\na = 1\n = 3\nb = -1\nc = 1e9\nd = 5000\ne = nan"
    with pytest.raises(ValueError) as fault:
        read_rules(text)
    for line in ('"close-up: 2"', '"= 3"', '"b = -1"', '"c = 1e9"', '"d = 5000" (at', '"e = nan"'):
        assert line in str(fault.value)
    assert '"a = 1"' not in str(fault.value)


@pytest.mark.parametrize(
    ("line", "weight"),
    [
        ("close-up = 0,5", Fraction(1, 2)),
        ("close-up ＝ ０．５", Fraction(1, 2)),
        ("close-up=2", 2),
        ("=_= = 3", 3),
        ("close-up\u00a0= 2", 2),
        ("close-up = 1,000", None),
        ("close-up == 2", None),
        ("close-up = 2, hat = 3", None),
        ("close-up = 2; hat = 3", None),
        ("close-up = 50%", None),
        ("close-up : 2", None),
        ("= 2", None),
    ],
)
def test_a_rule_is_read_however_it_is_typed_or_refused(line, weight):
    if weight is not None:
        assert [found for _, found in read_rules(line)] == [weight]
        return
    with pytest.raises(ValueError) as fault:
        read_rules(line)
    assert f'"{line}"' in str(fault.value)
