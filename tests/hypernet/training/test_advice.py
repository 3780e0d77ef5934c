"""What is warned of, case by case."""

import pytest

from hypernet import HypernetSpec
from hypernet.training.advice import model_warnings, settings_warnings, spec_warnings
from hypernet.training.plots import range_picture, schedule_picture
from hypernet.training.range_test import Band, Point, useful_band
from hypernet.training.schedule import parse_schedule
from hypernet.training.settings import TrainSettings


def spec(structure=(1, 2, 1), **given):
    return HypernetSpec(layer_structure=structure, **given)


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
        (
            dict(learning_rate="1e-2"),
            "0.01 is high for AdamW and this network, where auto takes 2.2e-05",
        ),
        (dict(learning_rate="1e-9"), "1e-09 is low for AdamW and this network, where auto takes"),
        (dict(learning_rate="cosine 1e-5 warmup 5000"), "is shortened to 200"),
        (dict(learning_rate="1e-4, 5e-5:100"), '"5e-5:100" can never count'),
        (dict(gradient_clip="norm", clip_limit="1:5000, 0.5"), '"0.5" can never count'),
        (dict(gradient_clip="off", clip_limit="1:5000, 0.5"), None),
        (dict(ema=0.9999), "hardly follows in 2000 steps"),
        (dict(optimizer="Prodigy", learning_rate="cosine 1"), None),
    ],
)
def test_settings_that_are_probably_not_meant_are_named(given, words):
    warnings = settings_warnings(TrainSettings(**given), spec())
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


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("flux1-schnell.safetensors", "schnell"),
        ("z_image_turbo_bf16.safetensors", "turbo"),
        ("flux-2-klein-4b.safetensors", "klein"),
        ("flux-2-klein-base-4b.safetensors", None),
        ("v1-5-pruned-emaonly-fp16.safetensors", None),
        ("", None),
    ],
)
def test_a_distilled_model_is_told_by_its_name(name, found):
    said = " ".join(model_warnings(name))
    assert (f"({found})" in said and "Train on the base model" in said) if found else not said
