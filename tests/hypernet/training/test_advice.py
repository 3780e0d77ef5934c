"""What is suggested and warned of, case by case."""

import re

import pytest

from hypernet import HypernetSpec
from hypernet.training.advice import settings_warnings, spec_warnings, suggest
from hypernet.training.optimizers import OPTIMIZERS
from hypernet.training.plots import range_picture, schedule_picture
from hypernet.training.range_test import Band, Point, useful_band
from hypernet.training.schedule import parse_schedule
from hypernet.training.settings import TrainSettings


def spec(structure=(1, 2, 1), **given):
    return HypernetSpec(layer_structure=structure, **given)


@pytest.mark.parametrize(
    ("given", "numbers", "rate", "steps", "source"),
    [
        ({}, (30,), "5e-05:100, 5e-06:1500, 1e-06", 10000, "issue 4965"),
        ({}, (60,), "2.5e-05:100, 2.5e-06:1500, 5e-07", 10000, "Japanese wiki"),
        ({}, (30, 4, 2), "0.0001:100, 1e-05:1500, 2e-06", 2500, "aria1th.*A1111's 3842"),
        ({}, (120, 4, 2), "5e-05:100, 5e-06:1500, 1e-06", 2500, "× 0.25: 120.*× 4: 8 pictures"),
        (dict(layer_norm=True), (30,), "0.0005:100, 5e-05:1500, 1e-05", 10000, "begins near 0"),
        (dict(activation="relu"), (30,), "1e-05:100, 1e-06:1500, 2e-07", 10000, "61492265"),
        (dict(activation="swish"), (30,), "0.0001:100, 1e-05:1500, 2e-06", 10000, "swish"),
        (
            dict(weight_initialization="ZeroOutput"),
            (30,),
            "3.3e-05:100, 3.3e-06:1500, 6.7e-07",
            10000,
            "× 0.667: ZeroOutput learns sooner",
        ),
        (
            dict(dropout_structure=(0, 0.3, 0)),
            (30,),
            "7.5e-05:100, 7.5e-06:1500, 1.5e-06",
            10000,
            "dropout",
        ),
        ({}, (30, 1, 1, "Adafactor"), "0.005:100, 0.0005:1500, 0.0001", 10000, "Adafactor"),
        ({}, (30, 1, 1, "Lion"), "1e-05:100, 1e-06:1500, 2e-07", 10000, "Lion"),
        ({}, (30, 1, 1, "Prodigy"), "constant 1", 10000, "Prodigy finds the rate itself"),
    ],
)
def test_a_suggestion_follows_the_recipes_and_names_them(given, numbers, rate, steps, source):
    found = suggest(spec(**given), *numbers)
    assert (found.learning_rate, found.steps) == (rate, steps)
    assert re.search(source, " ".join(found.reasons))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_whatever_is_suggested_can_be_trained_with(optimizer):
    for pictures, batch in ((1, 1), (10_000, 64)):
        found = suggest(spec(layer_norm=True), pictures, batch, 1, optimizer)
        TrainSettings(steps=found.steps, learning_rate=found.learning_rate, optimizer=optimizer)


def test_numbers_below_one_are_refused_together():
    with pytest.raises(ValueError, match="pictures 0: give at least 1. .*accumulation -1"):
        suggest(spec(), 0, 1, -1)


@pytest.mark.parametrize(
    ("found", "pictures", "words"),
    [
        (spec(), None, None),
        (spec((1, 2, 2, 1), activation="mish", dropout_structure=(0, 0.1, 0.1, 0)), 50, None),
        (spec(layer_norm=True), None, "may learn nothing: use about 10 times"),
        (spec(layer_norm=True, activation="swish"), None, "without layer norm"),
        (
            spec(layer_norm=True, activation="relu", weight_initialization="KaimingUniform"),
            None,
            "NaN even at 5e-7",
        ),
        (spec((1, 2, 2, 1), weight_initialization="KaimingNormal"), None, "begins loudly"),
        (spec(activation="softmax"), None, "mixes the pictures of a batch"),
        (spec(activation="gelu"), None, 'own loader does not know "gelu"'),
        (spec(dropout_structure=(0, 0, 0.3)), None, "End with 0"),
        (spec((1, 1), dropout_structure=(0, 0.3)), None, "no layer to act in between"),
        (spec(dropout_structure=(0, 0.3, 0)), 1000, "helps small sets; with 1000"),
        (spec(activation="relu", activate_output=True), None, "October 2022"),
        (spec(skip_connection=True), None, "aria1th's extension and by us alone"),
        (spec((1, 2, 4, 2, 1)), 5, "5 pictures are few for structure 1, 2, 4, 2, 1"),
    ],
)
def test_known_disappointments_are_named_and_nothing_else(found, pictures, words):
    warnings = spec_warnings(found, pictures)
    assert bool(warnings) == (words is not None)
    assert words is None or words in " ".join(warnings)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, None),
        (dict(learning_rate="1e-5:300"), 'ends after step 300 of 2000, where "1e-5:300" does'),
        (dict(learning_rate="1e-2"), "0.01 is high for AdamW"),
        (dict(learning_rate="1e-9"), "1e-09 is low for AdamW"),
        (dict(learning_rate="cosine 1e-5 warmup 5000"), "is shortened to 200"),
        (dict(learning_rate="1e-4, 5e-5:100"), '"5e-5:100" can never count'),
        (dict(gradient_clip="norm", clip_limit="1:5000, 0.5"), '"0.5" can never count'),
        (dict(gradient_clip="off", clip_limit="1:5000, 0.5"), None),
        (dict(ema=0.9999), "hardly follows in 2000 steps"),
        (dict(optimizer="Prodigy", learning_rate="cosine 1"), None),
    ],
)
def test_settings_that_are_probably_not_meant_are_named(given, words):
    warnings = settings_warnings(TrainSettings(**given))
    assert bool(warnings) == (words is not None)
    assert words is None or words in warnings[0]


# --- range test ----------------------------------------------------------------------------------


def points(losses, low=1e-7, factor=10 ** (1 / 4)):
    return [Point(low * factor**place, loss) for place, loss in enumerate(losses)]


def test_the_useful_band_is_where_the_loss_falls():
    losses = [1.0] * 8 + [0.98, 0.9, 0.8, 0.7, 0.6, 0.52, 0.5, 0.5, 0.7, 1.5]
    band = useful_band(points(losses))
    assert band.low == pytest.approx(1e-7 * 10 ** (9 / 4))
    assert band.high == pytest.approx(1e-7 * 10 ** (13 / 4))
    assert band.low < band.middle < band.high


def test_one_lucky_measurement_makes_no_band():
    losses = [1.0, 1.0, 0.2, 1.0, 1.0, 1.0, 0.9, 0.7, 0.5, 0.5, 0.5]
    assert useful_band(points(losses)).low > 1e-7 * 10 ** (5 / 4)


@pytest.mark.parametrize(
    ("losses", "words"),
    [([1.0] * 20, "No rate from 1e-07"), ([1.0, 0.5], "2 points are too few")],
)
def test_where_nothing_falls_there_is_no_band(losses, words):
    with pytest.raises(ValueError, match=words):
        useful_band(points(losses))


def test_plots_are_pictures_that_differ_with_what_they_show():
    rates = [
        schedule_picture(parse_schedule(text, 100), text)
        for text in ("1e-4:50, 1e-5", "cosine 1e-4")
    ]
    found = range_picture(points([1.0, 0.9, 0.5, 0.6]), Band(1e-6, 1e-5))
    for picture in (*rates, found):
        assert picture.shape == (1, 450, 800, 3) and 0 <= picture.min() < picture.max() <= 1
    assert not rates[0].equal(rates[1])
