"""A curve keeps its shape and its extremes in a thousand points, however long it gets."""

import random

import pytest

from hypernet.runs.downsampling import MOST, Pace, Series


def curve_of(values, first=1, most=MOST):
    curve = Series(most)
    for step, value in enumerate(values, first):
        curve.add(step, value)
    return curve


def test_a_short_curve_is_kept_as_it_is():
    points = curve_of([3.0, 1.0, 2.0]).points("low", "high", "mean", "last")
    assert points == {
        "step": [1, 2, 3], "low": [3, 1, 2], "high": [3, 1, 2], "mean": [3, 1, 2],
        "last": [3, 1, 2],
    }  # fmt: skip


@pytest.mark.parametrize("count", [1000, 1001, 2000, 2001, 100_000])
def test_a_long_curve_has_between_500_and_1000_points_and_loses_no_extreme(count):
    values = [random.Random(0).gauss(0, 1) for _ in range(count)]
    values[count // 3], values[count // 2] = 99.0, -99.0
    curve = curve_of(values)
    points = curve.points("low", "high", "mean", "last")
    assert MOST / 2 < len(points["step"]) <= MOST
    assert curve.width == next(2**n for n in range(20) if count <= MOST * 2**n)
    assert max(points["high"]) == 99 and min(points["low"]) == -99
    assert points["step"][-1] == count
    assert points["last"][-1] == pytest.approx(values[-1], rel=1e-4)


def test_a_point_is_the_mean_of_its_bucket():
    curve = curve_of(range(1, 9), most=4)
    assert curve.points("mean", "low", "high") == {
        "step": [2, 4, 6, 8], "mean": [1.5, 3.5, 5.5, 7.5], "low": [1, 3, 5, 7],
        "high": [2, 4, 6, 8],
    }  # fmt: skip


def test_steps_far_apart_do_not_widen_the_buckets_before_they_are_many():
    curve = Series()
    for step in range(0, 100_000, 100):
        curve.add(step + 1, 0.5)
    assert curve.width == 1 and len(curve.buckets) == 1000


def test_what_was_undone_is_forgotten_up_to_the_bucket_around_it():
    curve = curve_of([1.0, 2.0, 3.0])
    curve.forget_after(1)
    curve.add(2, 9.0)
    assert curve.points("mean") == {"step": [1, 2], "mean": [1, 9]}
    wide = curve_of(range(1, 9), most=4)
    wide.forget_after(5)
    assert wide.points("mean") == {"step": [2, 4, 5], "mean": [1.5, 3.5, 5.5]}
    wide.forget_after(0)
    assert wide.buckets == []


def test_what_cannot_be_drawn_is_left_out():
    assert curve_of([1.0, float("nan"), float("inf"), 2.0]).points() == {"step": [1, 4]}


def test_the_speed_is_of_updates_alone_and_the_time_left_counts_what_comes_between():
    pace = Pace()
    assert (pace.speed, pace.seconds_left(5)) == (None, None)
    for _ in range(10):
        pace.update_took(0.5)
        pace.between_took(1.5)
    assert pace.speed == 2
    assert pace.seconds_left(5) == 10
