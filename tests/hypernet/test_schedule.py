"""A1111's schedule grammar, case by case."""

import pytest

from hypernet import parse_schedule


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
