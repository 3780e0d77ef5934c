"""Whatever is typed as a list of numbers is refused with the text quoted, or is what it says."""

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hypernet import HypernetSpec, parse_structure
from hypernet.network.spec import listed, parse_dropout, read_widths
from hypernet.text.parsing import read_numbers

SIGNS = "0123456789.,; e-+_xX×·^[]()\"'节１，；−\u200b\n"
TYPED = st.one_of(
    st.text(max_size=30),
    st.text(alphabet=SIGNS, max_size=24),
    st.lists(st.sampled_from(["1", "2", "0.5", "1280", "0,5", "nan", "inf", "1e400", "-1", "½"]))
    .map(", ".join),
)  # fmt: skip
READERS = {
    "Structure": parse_structure,
    "Dropout structure": lambda text: parse_dropout(text, 3),
    "Widths": read_widths,
}
WHAT = st.sampled_from([*READERS])

FACTORS = st.one_of(st.integers(1, 1024), st.integers(1, 102400).map(lambda n: n / 100))
STRUCTURES = st.lists(FACTORS, max_size=15).map(lambda inner: (1, *inner, 1))


@given(WHAT, TYPED)
@example("Widths", "1,280, 768")
@example("Structure", "1e400, 1")
def test_any_text_is_refused_in_words_that_quote_it_or_is_finite_numbers(what, text):
    try:
        numbers = READERS[what](text)
    except ValueError as fault:
        assert str(fault).startswith(f'{what} "{text}"')
        return
    assert all(math.isfinite(number) for number in numbers)
    assert not any(isinstance(number, float) and number.is_integer() for number in numbers)
    assert what != "Widths" or all(isinstance(number, int) for number in numbers)


@given(STRUCTURES)
def test_a_structure_that_is_written_is_read_again(structure):
    assert parse_structure(listed(structure)) == structure


@given(st.lists(st.integers(0, 99).map(lambda n: n / 100), min_size=2, max_size=9))
def test_a_dropout_structure_that_is_written_is_read_again(dropout):
    assert parse_dropout(listed(dropout), len(dropout)) == tuple(dropout)


@given(st.lists(st.integers(16, 10**5), min_size=1, max_size=9))
def test_widths_that_are_written_are_read_again(widths):
    assert read_widths(listed(widths)) == tuple(widths)


HANDS = str.maketrans("0123456789,.", "０１２３４５６７８９，．")


@given(STRUCTURES, st.sampled_from([", ", "; ", " ", "\n", "， ", "、 "]))
def test_a_structure_means_the_same_in_every_hand(structure, between):
    text = between.join(f"{factor:g}" for factor in structure)
    for each in (text, text.translate(HANDS), f"[{text}]", f"“{text}”", f"{text},"):
        assert parse_structure(each) == structure


@given(WHAT, st.text(alphabet="0123456789,; ", min_size=1, max_size=16))
@example("Widths", "1,280")
@example("Structure", "0,5")
def test_of_a_text_that_can_mean_two_things_both_are_shown_and_can_be_written(what, text):
    try:
        READERS[what](text)
    except ValueError as fault:
        if found := re.search(r'can mean two things\. Write "(.*)" or "(.*)"\.', str(fault)):
            one, other = (read_numbers(each, what, "1, 2, 1") for each in found.groups())
            assert one != other


@given(TYPED)
def test_of_what_is_read_a_spec_is_made_or_refused_in_words(text):
    try:
        structure = parse_structure(text)
    except ValueError:
        return
    try:
        spec = HypernetSpec(widths=(16,), layer_structure=structure)
    except ValueError as fault:
        assert f'"{listed(structure)}"' in str(fault)
        return
    assert spec.layer_structure == structure and spec.parameters > 0


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_dropout_and_widths_may_be_left_out_and_a_structure_may_not(text):
    assert parse_dropout(text, 3) == read_widths(text) == ()
    with pytest.raises(ValueError, match="Structure"):
        parse_structure(text)
