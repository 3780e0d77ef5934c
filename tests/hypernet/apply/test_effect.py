"""How strongly a network acts: factors by side, width and prompt, and over the noise levels."""

import math

import pytest
import torch

from hypernet.apply.effect import (
    PROMPTS,
    Effect,
    StrengthCurve,
    make_schedule,
    on_curve,
    parse_strength_curve,
    parse_widths,
)


def percent_to_sigma(percent):
    """10 at pure noise, 0 at the picture; at both ends beyond all levels, as hosts have it."""
    return math.inf if percent <= 0 else 0.0 if percent >= 1 else 10 * (1 - percent)


def at(sigma):
    return torch.tensor([sigma])


# --- a number for each side and width ---------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "width", "on_keys", "on_values"),
    [
        ({}, 320, 1, 1),
        (dict(strength=0.5), 320, 0.5, 0.5),
        (dict(strength=-2.0, keys=0.5), 320, -1, -2),
        (dict(strength=2.0, values=0.25), 320, 2, 0.5),
        (dict(strength=2.0, keys=3.0, widths=((320, 0.5),)), 320, 3, 1),
        (dict(strength=2.0, keys=3.0, widths=((320, 0.5),)), 768, 6, 2),
        (dict(widths=((320, 0.0), (768, 2.0))), 768, 2, 2),
    ],
)
def test_strength_side_and_width_are_multiplied(given, width, on_keys, on_values):
    effect = Effect(**given)
    assert (effect.on_keys(width), effect.on_values(width)) == (on_keys, on_values)


@pytest.mark.parametrize(
    ("given", "widths", "nothing"),
    [
        (dict(strength=0.0), (320, 768), True),
        (dict(keys=0.0, values=0.0), (320, 768), True),
        (dict(keys=0.0), (320,), False),
        (dict(values=0.0), (320,), False),
        (dict(widths=((320, 0.0),)), (320,), True),
        (dict(widths=((320, 0.0),)), (320, 768), False),
        ({}, (), True),
        (dict(strength=-1e-9), (320,), False),
    ],
)
def test_nothing_is_done_only_where_every_factor_is_0(given, widths, nothing):
    assert Effect(**given).does_nothing(widths) == nothing


@pytest.mark.parametrize(
    ("prompts", "chunks", "chosen"),
    [
        ("both", None, (True,)),
        ("both", [1, 0], (True,)),
        ("positive", None, (True,)),
        ("positive", [1, 0], (False, True)),
        ("negative", [1, 0], (True, False)),
        ("negative", [0], (False,)),
        ("positive", [0, 0, 1], (True, True, False)),
    ],
)
def test_chunk_0_is_the_positive_prompt_and_all_others_are_negative(prompts, chunks, chosen):
    assert Effect(prompts=prompts).chosen(chunks) == chosen


@pytest.mark.parametrize("wrong", ["Both", "", "neither"])
def test_an_unknown_choice_of_prompts_is_refused_with_those_there_are(wrong):
    with pytest.raises(ValueError, match=f'"{wrong}" is none of {", ".join(PROMPTS)}'):
        Effect(prompts=wrong)


# --- a factor for each noise level ------------------------------------------------------------

CURVE = ((0.1, 1.0), (0.5, -0.5), (0.9, 0.25))


@pytest.mark.parametrize(
    ("percent", "factor"),
    [(0, 1), (0.1, 1), (0.3, 0.25), (0.5, -0.5), (0.7, -0.125), (0.9, 0.25), (1, 0.25)],
)
def test_a_curve_is_even_between_its_points_and_flat_outside(percent, factor):
    assert on_curve(CURVE, percent) == pytest.approx(factor)


@pytest.mark.parametrize("percent", [0.003, 0.1, 0.2, 0.333, 0.5, 0.77, 0.95, 0.999])
def test_the_table_gives_what_the_curve_says(percent):
    schedule = make_schedule(percent_to_sigma, curve=CURVE)
    found = schedule.factor(at(percent_to_sigma(percent)))
    assert found.item() == pytest.approx(on_curve(CURVE, percent), abs=1e-3)


@pytest.mark.parametrize(
    ("sigma", "factor"), [(9.1, 0), (8, 1), (5, 1), (2, 1), (1.9, 0), (0, 0), (1e9, 0)]
)
def test_a_window_acts_from_its_start_to_its_end_both_included(sigma, factor):
    assert StrengthCurve(8.0, 2.0).factor(at(sigma)).item() == factor


def test_a_window_cuts_the_curve_off():
    schedule = make_schedule(percent_to_sigma, 0.2, 0.8, ((0.0, 2.0), (1.0, 2.0)))
    found = [schedule.factor(at(sigma)).item() for sigma in (9.0, 5.0, 1.0)]
    assert found == [0, 2, 0]


@pytest.mark.parametrize("sigma", [0.0, 1e-9, 20.0, 1e9])
def test_levels_outside_the_table_have_the_factor_of_its_nearer_end(sigma):
    schedule = make_schedule(percent_to_sigma, curve=CURVE)
    assert schedule.factor(at(sigma)).item() == pytest.approx(1.0 if sigma > 10 else 0.25)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 1.01, 10.0])
def test_several_percents_of_one_level_give_a_number(sigma):
    """Distilled models have few noise levels, and the last percents share the lowest of them."""
    schedule = make_schedule(lambda percent: max(percent_to_sigma(percent), 1.0), curve=CURVE)
    expected = on_curve(CURVE, 1 - sigma / 10) if sigma >= 1 else 0
    assert schedule.factor(at(sigma)).item() == pytest.approx(expected, abs=1e-2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_factor_is_one_float32_whatever_the_levels_are(dtype):
    schedule = make_schedule(percent_to_sigma, curve=CURVE)
    found = schedule.factor(torch.full((4,), 5.0, dtype=dtype))
    assert found.shape == (1,) and found.dtype == torch.float32
    assert found.item() == pytest.approx(-0.5, abs=0.02)


@pytest.mark.parametrize(
    ("start", "end", "curve"), [(0, 1, ()), (-1, 2, ()), (0.0, 1.0, [])], ids=str
)
def test_acting_all_the_way_needs_no_schedule(start, end, curve):
    assert make_schedule(percent_to_sigma, start, end, curve) is None


def test_a_schedule_made_in_inference_mode_is_of_ordinary_tensors():
    with torch.inference_mode():
        schedule = make_schedule(percent_to_sigma, curve=CURVE)
    assert not schedule.sigmas.is_inference() and not schedule.factors.is_inference()


def test_one_curve_gives_one_table():
    one, other = (make_schedule(percent_to_sigma, curve=CURVE) for _ in range(2))
    assert torch.equal(one.sigmas, other.sigmas) and torch.equal(one.factors, other.factors)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (dict(start=0.5, end=0.5), "start 0.5 is not before end 0.5: nothing would be changed"),
        (dict(start=math.nan), "start nan is not before end 1"),
        (dict(curve=((0.5, 1), (0.5, 0))), 'Curve "0.5: 1, 0.5: 0": .* must rise from 0 to 1'),
        (dict(curve=((0.5, 1), (0.2, 0))), "must rise from 0 to 1"),
        (dict(curve=((-0.1, 1),)), 'Curve "-0.1: 1"'),
        (dict(curve=((0, 1), (1.1, 1))), 'Curve "0: 1, 1.1: 1"'),
        (dict(curve=((math.nan, 1),)), 'Curve "nan: 1"'),
    ],
    ids=str,
)
def test_a_window_or_curve_that_cannot_be_is_refused_with_its_numbers(given, words):
    with pytest.raises(ValueError, match=words):
        make_schedule(percent_to_sigma, **given)


# --- as people write it -----------------------------------------------------------------------


@pytest.mark.parametrize("curve", [(), ((0, 1),), CURVE, ((0.25, 1e-9), (0.75, -1e9))], ids=str)
def test_a_curve_that_is_written_is_read_again(curve):
    assert parse_strength_curve(", ".join(f"{p!r}: {f!r}" for p, f in curve)) == curve


@pytest.mark.parametrize("widths", [(), ((320, 0.5),), ((768, -1.5), (320, 0.0))], ids=str)
def test_widths_that_are_written_are_read_again(widths):
    assert parse_widths("; ".join(f"{w}: {f!r}" for w, f in widths)) == widths


@pytest.mark.parametrize(
    ("parse", "text", "words"),
    [
        (
            parse_strength_curve,
            "0: 1, one: 0",
            '"one" is not a number. Write it like "0: 1, 0.5: 0.3',
        ),
        (parse_strength_curve, "0 1", '"0 1" is not a number'),
        (parse_strength_curve, "0.5", '"0.5" is not two numbers'),
        (parse_strength_curve, "0: 1: 2", '"0: 1: 2" is not two numbers'),
        (parse_strength_curve, "0: nan", '"0: nan" is not two numbers'),
        (parse_strength_curve, "0: 1, 2: 1", "must rise from 0 to 1"),
        (parse_widths, "320", '"320" is not two numbers. Write them like "768: 0.5, 320: 0"'),
        (parse_widths, "wide: 1", '"wide" is not a number'),
        (parse_widths, "320.5: 1", "320.5 is not a width; 320 or 768 would be"),
        (parse_widths, "0: 1", "0 is not a width"),
        (parse_widths, "-320: 1", "-320 is not a width"),
        (parse_widths, "320: 1, 320.0: 2", "width 320 has more than one factor"),
    ],
)
def test_a_typo_is_refused_with_the_text_quoted(parse, text, words):
    with pytest.raises(ValueError) as fault:
        parse(text)
    assert words in str(fault.value) and f'"{text}"' in str(fault.value)
