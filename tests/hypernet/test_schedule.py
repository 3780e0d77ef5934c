"""A1111's schedule grammar, case by case, and the named curves."""

import math

import pytest

from hypernet import parse_schedule
from hypernet.schedule import held_rate


@pytest.mark.parametrize(
    ("text", "start", "rates", "end"),
    [
        ("0.001:4, 1e-5:8", 0, {0: 1e-3, 3: 1e-3, 4: 1e-5, 7: 1e-5}, 8),
        ("0.001:4, 1e-5", 0, {3: 1e-3, 4: 1e-5, 19: 1e-5}, 20),
        ("0.001:4, 1e-5:-1", 0, {3: 1e-3, 4: 1e-5, 19: 1e-5}, 20),
        ("1e-3:5,1e-4:10,1e-5", 7, {7: 1e-4, 9: 1e-4, 10: 1e-5, 19: 1e-5}, 20),
        ("1e-3:5,1e-4:5,1e-5:10", 0, {4: 1e-3, 5: 1e-4, 6: 1e-5, 9: 1e-5}, 10),
        ("1e-3,1e-4:10", 0, {0: 1e-3, 19: 1e-3}, 20),
        ("1e-3:0,1e-4:10", 0, {0: 1e-4, 9: 1e-4}, 10),
        ("5e-6", 0, {0: 5e-6, 19: 5e-6}, 20),
        (" 1e-3 : 5 , , 1e-4 ", 0, {4: 1e-3, 5: 1e-4}, 20),
        ("1e-3:4:9", 0, {0: 1e-3, 19: 1e-3}, 20),
        ("1e-3:50, 1e-4:60", 0, {0: 1e-3, 19: 1e-3}, 20),
        ("1e-3:20, 1e-4", 0, {19: 1e-3}, 20),
    ],
)
def test_rates_are_those_of_a1111(text, start, rates, end):
    schedule = parse_schedule(text, 20, start)
    assert {step: schedule.rate_at(step) for step in rates} == rates
    assert schedule.rate_at(end) is None
    assert schedule.rate_at(end - 1) is not None


@pytest.mark.parametrize("text", ["", "abc", "1e-3:5.5", "1e-3:x", "5e-5;100", "nan", "-1e-3"])
def test_a_typo_is_refused_with_the_text_quoted(text):
    with pytest.raises(ValueError, match="Learning rate schedule") as fault:
        parse_schedule(text, 20)
    assert f'"{text}"' in str(fault.value)


def test_resuming_behind_the_last_entry_is_refused():
    with pytest.raises(ValueError, match="no rate for step 10"):
        parse_schedule("1e-3:5,1e-4:10", 20, start=10)


HALF = math.cos(math.pi / 4) / 2 + 0.5  # a quarter of the way down a cosine


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("constant 2", {0: 2, 19: 2, 20: None}),
        ("constant 2 warmup 4", {0: 0.5, 1: 1, 3: 2, 4: 2, 19: 2}),
        ("linear 19", {0: 19, 1: 18, 19: 0}),
        ("linear 19 to 38", {0: 19, 1: 20, 19: 38}),
        ("linear 15 warmup 5", {0: 3, 4: 15, 5: 15, 12: 7.5, 19: 0}),
        ("cosine 2 to 1 warmup 3", {0: 2 / 3, 3: 2, 7: 1 + HALF, 11: 1.5, 19: 1}),
        ("Cosine 2, to 1, warmup 3", {0: 2 / 3, 3: 2, 11: 1.5, 19: 1}),
        ("cosine_with_restarts 1 cycles 2", {0: 1, 5: 0.5, 9: 0.0245, 10: 1, 15: 0.5}),
        ("cosine_with_restarts 1 period 4 decay 0.5", {0: 1, 2: 0.5, 4: 0.5, 6: 0.25, 8: 0.25}),
        ("cosine_with_restarts 1 period 4 mult 2", {0: 1, 2: 0.5, 4: 1, 8: 0.5, 12: 1, 19: 0.598}),
        ("exponential 1 to 1e-19", {0: 1, 1: 0.1, 19: 1e-19}),
        ("exponential 1e-19 to 1", {0: 1e-19, 18: 0.1, 19: 1}),
    ],
)
def test_a_curve_is_a_pure_function_of_the_step_whatever_the_start(text, rates):
    for start in (0, 7, 20):
        schedule = parse_schedule(text, 20, start)
        for step, rate in rates.items():
            expected = rate if rate is None else pytest.approx(rate, abs=1e-3, rel=1e-3)
            assert schedule.rate_at(step) == expected, step


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cosin 1e-4", '"cosin" is not known. Known: constant, linear, cosine'),
        ("cosine", "has no rate"),
        ("cosine fast", '"fast" should be a number'),
        ("cosine -1", '"-1" should be a number, 0 or more'),
        ("cosine 1e-4 warmup", 'give "warmup" once, and a number after it'),
        ("cosine 1e-4 warmup 5.5", '"5.5" should be a whole number'),
        ("cosine 1e-4 warmup 20", "a warmup of 20 steps leaves none of 20"),
        ("cosine 1e-4 cycles 3", '"cycles" means nothing after "cosine", which takes to, warmup'),
        ("constant 1e-4 to 1e-5", '"to" means nothing after "constant"'),
        ("exponential 1e-4", "from one rate above 0"),
        ("cosine_with_restarts 1 cycles 2 period 3", "cycles or period, not both"),
        ("cosine_with_restarts 1 cycles 0", "at least one step"),
        ("cosine_with_restarts 1 period 5 mult 0.5", "mult 0.5"),
    ],
)
def test_a_curve_with_a_typo_is_refused_with_the_text_quoted(text, words):
    with pytest.raises(ValueError, match="Learning rate schedule") as fault:
        parse_schedule(text, 20)
    assert f'"{text}"' in str(fault.value) and words in str(fault.value)


def test_a_limit_keeps_its_last_value_when_its_schedule_has_run_out():
    limit = parse_schedule("1:3, 0.5:6", 20, what="Clip limit")
    assert [held_rate(limit, step) for step in (0, 2, 3, 5, 6, 19)] == [1, 1, 0.5, 0.5, 0.5, 0.5]
