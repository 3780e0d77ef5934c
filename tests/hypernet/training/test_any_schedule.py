"""Whatever is typed as a schedule is refused with the text quoted, or has a rate for every step."""

import math
import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hypernet import parse_schedule
from hypernet.training.schedule import LIMIT, RATE, SHAPES, WORDS, Curve, sampled

NUMBERS = [
    "0", "1", "2", "5", "10", "100", "0.5", "1e-4", "5e-5", "1e-400", "1e300", "1e-300", "-1",
    "nan", "inf", "1_000", "9" * 29, "½", "1e", "x",
]  # fmt: skip
SIGNS = "0123456789.,:;-+e xX×·^_/|'\"()[]to节５：，、−\u200b\n"
TYPED = st.one_of(
    st.text(max_size=30),
    st.text(alphabet=SIGNS, max_size=24),
    st.lists(st.sampled_from([*SHAPES, *WORDS, *NUMBERS, ",", ":", ";"]), max_size=8).map(" ".join),
)


@st.composite
def curves(draw):
    """A curve with any of the words that it takes, and any numbers."""
    name = draw(st.sampled_from([*SHAPES]))
    known = [word for word, (names, _) in WORDS.items() if name in names]
    words = draw(st.lists(st.sampled_from(known), unique=True, max_size=3))
    first, *others = (draw(st.sampled_from(NUMBERS)) for _ in range(len(words) + 1))
    given_words = (f"{word} {number}" for word, number in zip(words, others, strict=True))
    return " ".join([name, first, *given_words])


@st.composite
def lists(draw):
    """[(rate, the step it lasts until)], in order."""
    steps = draw(st.lists(st.integers(1, 10**6), min_size=1, max_size=6, unique=True).map(sorted))
    rates = draw(st.lists(st.floats(1e-12, 10), min_size=len(steps), max_size=len(steps)))
    return list(zip(rates, steps, strict=True))


def written(pairs):
    return ", ".join(f"{rate!r}:{step}" for rate, step in pairs)


STEPS = st.integers(1, 10**7)


def places(schedule, start):
    """Some steps that it serves, the first and the last among them."""
    end = schedule.end
    return sorted({start, end - 1, *(min(max(start, step), end - 1) for step in (1, 2, end // 2))})


@given(st.one_of(TYPED, curves()), STEPS, st.integers(0, 100), st.sampled_from([RATE, LIMIT]))
@example("cosine_with_restarts 1e-4 period 1 decay 10", 2000, 0, RATE)
@example("exponential 1e-300 to 1e300", 20, 0, RATE)
@example("cosine 1.7e308", 20, 0, RATE)
def test_any_text_is_refused_in_words_that_quote_it_or_has_finite_rates(text, steps, start, what):
    start = min(start, steps - 1)
    try:
        schedule = parse_schedule(text, steps, start, what)
    except ValueError as fault:
        assert str(fault).startswith(what) and f'"{text}"' in str(fault)
        return
    assert start < schedule.end <= steps
    for step in places(schedule, start):
        rate = schedule.rate_at(step)
        assert rate is not None and math.isfinite(rate) and rate >= 0, step
        assert rate > 0 or what == LIMIT or isinstance(schedule, Curve), step
    assert schedule.rate_at(schedule.end) is None is schedule.rate_at(10 * steps)
    assert all(note.endswith(".") for note in schedule.notes)


@given(lists(), st.integers(0, 10**6), STEPS)
def test_a_list_that_is_written_is_read_again_from_wherever_it_begins(pairs, start, steps):
    text, last = written(pairs), pairs[-1][1]
    steps = max(steps, start + 1)
    if start >= last:
        with pytest.raises(ValueError, match=f"no rate for step {start}"):
            parse_schedule(text, steps, start)
        return
    schedule = parse_schedule(text, steps, start)
    assert schedule.end == min(last, steps)
    begins = (0, *(step for _, step in pairs))
    for (rate, _), (first, end) in zip(pairs, pairwise(begins), strict=True):
        served = range(max(first, start), min(end, steps))
        for step in (served[:1], served[-1:]):
            assert [schedule.rate_at(each) for each in step] == [rate] * len(step)


HANDS = str.maketrans("0123456789:,-.", "０１２３４５６７８９：，－．")


@given(lists(), st.sampled_from([", ", ",", " , ", ",\n", "，", "、"]))
def test_a_list_means_the_same_in_every_hand(pairs, between):
    expected = parse_schedule(written(pairs), 10**6)
    text = between.join(f"{rate!r} :{step}" for rate, step in pairs)
    for each in (text, text.translate(HANDS), f"[{text}]", f" “{text}”"):
        assert parse_schedule(each, 10**6) == expected


@given(
    st.sampled_from([name for name in SHAPES if name in WORDS["to"][0]]),
    st.floats(1e-9, 10), st.floats(1e-9, 10), st.integers(0, 50), st.integers(60, 10**6),
)  # fmt: skip
def test_a_curve_that_is_written_is_read_again(name, high, low, warmup, steps):
    curve = parse_schedule(f"{name} {high!r} to {low!r} warmup {warmup}", steps)
    assert (curve.name, curve.high, curve.low) == (name, high, low)
    assert (curve.warmup, curve.end, curve.notes) == (warmup, steps, ())
    assert curve.rate_at(warmup) == pytest.approx(high)
    if name != "cosine_with_restarts":
        assert curve.rate_at(steps - 1) == pytest.approx(low)
    lowest, highest = sorted((high, low))
    for step in places(curve, warmup):
        assert lowest * (1 - 1e-9) <= curve.rate_at(step) <= highest * (1 + 1e-9)


@given(st.text(alphabet="0123456789.,:; e-", min_size=1, max_size=24))
@example("5e-5:100 5e-6:200")
@example("0,0001:100, 0,00005")
def test_what_is_said_to_be_meant_can_be_read(text):
    try:
        parse_schedule(text, 2000)
    except ValueError as fault:
        if meant := re.search(r'Perhaps you mean "(.*)"\.', str(fault), re.DOTALL):
            try:
                parse_schedule(meant[1], 2000)
            except ValueError as other:
                assert "should be a rate" not in str(other)


@given(lists(), st.integers(6, 40))
def test_a_drawing_of_a_schedule_has_its_ends_and_every_change(pairs, most):
    schedule = parse_schedule(written(pairs), 10**6)
    points = sampled(schedule, most)
    steps = [step for step, _ in points]
    assert steps == sorted(set(steps)) and steps[0] == 0 and steps[-1] == schedule.end - 1
    assert all(rate == schedule.rate_at(step) for step, rate in points)
    assert {rate for _, rate in points} == {rate for rate, _ in pairs}
