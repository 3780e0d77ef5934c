"""A1111's schedule grammar, case by case, and the named curves."""

import math
import random

import pytest

from hypernet import parse_schedule
from hypernet.training.schedule import held_rate


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
        ("cosine 1e-4 cycles 3", '"cycles" means nothing after "cosine", which takes to, warmup'),
        ("constant 1e-4 to 1e-5", '"to" means nothing after "constant"'),
        ("exponential 1e-4", "from one rate above 0"),
        ("cosine_with_restarts 1 cycles 2 period 3", "cycles or period, not both"),
        ("cosine_with_restarts 1 cycles 0", "at least one step"),
        ("cosine_with_restarts 1 period 5 mult 0.5", "mult 0.5"),
        ("cosine_with_restarts 1 period 1 decay 1e20", "its rates grow beyond every number"),
        ("exponential 1e-300 to 1e300", "its rates grow beyond every number"),
        ("exponential 0 to 1", "from one rate above 0"),
    ],
)
def test_a_curve_with_a_typo_is_refused_with_the_text_quoted(text, words):
    with pytest.raises(ValueError, match="Learning rate schedule") as fault:
        parse_schedule(text, 20)
    assert f'"{text}"' in str(fault.value) and words in str(fault.value)


def test_a_limit_keeps_its_last_value_when_its_schedule_has_run_out():
    limit = parse_schedule("1:3, 0.5:6", 20, what="Clip limit")
    assert [held_rate(limit, step) for step in (0, 2, 3, 5, 6, 19)] == [1, 1, 0.5, 0.5, 0.5, 0.5]


def test_a_warmup_as_long_as_the_run_is_shortened_to_a_tenth_with_a_note():
    schedule = parse_schedule("cosine 2 to 1 warmup 50", 20)
    assert [schedule.rate_at(step) for step in (0, 1, 2, 19)] == [1, 2, 2, 1]
    assert schedule.notes == ("A warmup of 50 steps leaves none of 20: it is shortened to 2.",)
    assert parse_schedule("cosine 2 warmup 3", 3).rate_at(0) == 2
    assert not parse_schedule("cosine 2 warmup 19", 20).notes


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("0,00005", "0.00005"),
        ("5e-5:1,000", "5e-5:1000"),
        ("5e-5:100 5e-6:200", "5e-5:100, 5e-6:200"),
        ("5e-5:100\n5e-6:200", "5e-5:100, 5e-6:200"),
        ("5e-5:100-5e-6:200", "5e-5:100, 5e-6:200"),
    ],
)
def test_case_28_a_rate_that_a1111_misreads_is_refused_with_what_was_meant(text, meant):
    with pytest.raises(ValueError, match="should be a rate, or a rate and the whole step") as fault:
        parse_schedule(text, 2000)
    assert f'"{text}"' in str(fault.value)
    assert f'Perhaps you mean "{meant}".' in str(fault.value)


def test_case_28_entries_that_can_never_count_are_named():
    schedule = parse_schedule("1e-4, 5e-5:100", 2000)
    assert schedule.notes == (
        'In "1e-4, 5e-5:100" "5e-5:100" can never count: "1e-4" has no step, so it lasts to the '
        "end.",
    )


@pytest.mark.parametrize(
    "text",
    [
        "5e-5：100，5e-6：200", "５ｅ－５：１００，５ｅ－６：２００", "5e−5:100, 5e–6:200",
        "5e-5:100、5e-6:200", "“5e-5:100, 5e-6:200”", "[5e-5:100, 5e-6:200]",
        "5e-5\u00a0: 100,\u00a05e-6: 200", "5e-5:100,\n5e-6:200\n", "5е-5:100, 5е-6:200",
        "5e-5:100, 5e-6:200,", "5×10⁻⁵:100, 5x10^-6:200", "0.00005:100, .000005:200",
        "5E-5:100,\t5E-6:200", "`5e-5:100, 5e-6:200`", "5e-5:\u200b100, 5e-6:200",
        "5e-5∶100, 5e-6﹕200",
    ],
)  # fmt: skip
def test_a_list_is_read_in_every_hand(text):
    schedule = parse_schedule(text, 2000)
    assert [schedule.rate_at(step) for step in (0, 99, 100, 199, 200)] == [5e-5] * 2 + [
        5e-6, 5e-6, None,
    ]  # fmt: skip
    assert not schedule.notes


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("0,0001:100, 0,00005", "0.0001:100, 0.00005"),
        ("1,5e-5:100, 1e-6", "1.5e-5:100, 1e-6"),
        ("5e-5:100,2,5e-6", "5e-5:100,2.5e-6"),
        ("5e-5:1,000, 5e-6:10,000, 1e-6", "5e-5:1000, 5e-6:10000, 1e-6"),
        ("5e-5:1,000,000", "5e-5:1000000"),
        ("5e-5:1.500, 1e-6", "5e-5:1500, 1e-6"),
        ("5e-5:1 500, 1e-6", "5e-5:1500, 1e-6"),
        ("5e-5:1'500, 1e-6", "5e-5:1500, 1e-6"),
        ("5e-5:100;5e-6:200", "5e-5:100, 5e-6:200"),
        ("5e-5:100；5e-6", "5e-5:100, 5e-6"),
        ("5e-5:100\t5e-6:200", "5e-5:100, 5e-6:200"),
        ("5e-5:100 | 5e-6:200", "5e-5:100, 5e-6:200"),
        ("5e-5:100/5e-6:200", "5e-5:100, 5e-6:200"),
        ("5e-5:100 5e-6:200 1e-6", "5e-5:100, 5e-6:200, 1e-6"),
        ("5e-5:100:5e-6:200", None),
        ("5e-5@100", None),
        ("100:5e-5", None),
        ("5e-5 5e-6", None),
        ("5e-5:1e3", None),
        ("5e-5:50%", None),
        ("5e-5:100 steps", None),
        ("5e-5:", None),
        (":100", None),
        ("5 e-5", None),
        ("inf", None),
        ("5e-5:100, inf", None),
    ],
)
def test_a_list_that_could_be_misread_is_refused_with_what_was_meant(text, meant):
    with pytest.raises(ValueError, match="should be a rate, or a rate and the whole step") as fault:
        parse_schedule(text, 2000)
    assert ("Perhaps you mean" in str(fault.value)) == (meant is not None)
    assert meant is None or f'Perhaps you mean "{meant}".' in str(fault.value)


@pytest.mark.parametrize(
    "text",
    ["0", "0.0", "0:100", "0:100, 1e-4", "1e-4:100, 0", "1e-400", "constant 0", "cosine 0 warmup 5",
     "linear 0 to 0", "００"],
)  # fmt: skip
def test_a_rate_of_0_is_refused_for_nothing_would_be_learnt(text):
    with pytest.raises(ValueError, match="nothing would be learnt") as fault:
        parse_schedule(text, 2000)
    assert f'"{text}"' in str(fault.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1e-3:4:9", 'the steps of "1e-3:4:9" do not count'),
        ("1e-3:-1, 1e-4:10, 1e-5", '"1e-4:10", "1e-5" can never count: "1e-3:-1" has no step'),
        ("1e-3:0, 1e-4:10", '"1e-3:0" can never count: it ends before the first step'),
        ("1e-3:-5, 1e-4:10", '"1e-3:-5" can never count'),
        ("1e-3:9, 1e-4:5, 1e-5", '"1e-4:5" counts for one step only: it ends at step 5'),
        ("1e-3:20, 1e-4", '"1e-4" can never count: the run ends after step 20'),
        ("1e-3:50, 1e-4:60", '"1e-4:60" can never count: the run ends after step 20'),
        ("1e-3:5, 1e-4:10, 1e-5", None),
        ("1e-3:5", None),
        ("cosine 1e-3 warmup 5", None),
    ],
)
def test_what_counts_for_less_than_it_seems_to_is_named(text, words):
    notes = parse_schedule(text, 20).notes
    assert len(notes) == (words is not None)
    assert words is None or words in notes[0]


def rates_of_a1111(pairs, steps, start):
    """Its grammar (docs of this module), written down a second time: [rate by step]."""
    kept, found = [], []
    for rate, until in pairs:
        if until is not None and until != -1 and until <= steps:
            if until > start:
                kept.append((rate, until))
            continue
        kept.append((rate, steps))
        break
    place = 0
    for step in range(start, steps):
        if kept and place < len(kept) and step >= kept[place][1]:
            place += 1
        if place >= len(kept):
            break
        found.append(kept[place][0])
    return found


def test_lists_of_any_length_and_order_have_the_rates_of_a1111():
    chance = random.Random(3)
    for _ in range(500):
        pairs = [
            (float(f"{chance.uniform(0.1, 9):.2g}e-{chance.randint(3, 7)}"),
             chance.choice([None, -1, *range(31)] if chance.random() < 0.3 else range(31)))
            for _ in range(chance.randint(1, 6))
        ]  # fmt: skip
        written = [f"{rate:g}" + ("" if until is None else f":{until}") for rate, until in pairs]
        text = chance.choice((",", ", ", " ,")).join(written)
        start = chance.randint(0, 19)
        wanted = rates_of_a1111(pairs, 20, start)
        if not wanted:
            with pytest.raises(ValueError, match="no rate for step"):
                parse_schedule(text, 20, start)
            continue
        schedule = parse_schedule(text, 20, start)
        assert [schedule.rate_at(step) for step in range(start, schedule.end)] == wanted, text
