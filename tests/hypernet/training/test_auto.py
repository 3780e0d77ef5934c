"""What is chosen for settings that are left open, and what is said of it."""

from dataclasses import fields, replace

import pytest

from hypernet import HypernetSpec
from hypernet.training.auto import (
    AutoSettings,
    chosen_initialization,
    chosen_start,
    records_start,
    settle,
    usual_rate,
)
from hypernet.training.presets import PRESETS
from hypernet.training.settings import TrainSettings

SD15 = HypernetSpec(widths=(320, 640, 768, 1280), activation="mish")
SDXL = HypernetSpec(widths=(640, 1280, 2048), activation="mish")
DEMO = HypernetSpec(widths=(48, 96, 112, 128), activation="mish")


def chosen(spec=SD15, latent=(64, 64), **asked):
    return settle(AutoSettings(**asked), spec, latent).settings


def test_nothing_stays_open():
    for preset in PRESETS:
        found = chosen(preset=preset)
        assert type(found) is TrainSettings and found.steps == PRESETS[preset].steps
        assert found.schedule.rate_at(0) and found.noise_offset >= 0 and found.preserve >= 0


def test_the_same_inputs_give_the_same_choice():
    first, second = (settle(AutoSettings(), SD15, (64, 64)) for _ in range(2))
    assert first == second


FLUX = HypernetSpec(places=(("image", 3072), ("joint", 3072)), layer_structure=(1, 0.25, 1))


@pytest.mark.parametrize(
    ("spec", "low", "high"),
    [  # people's reports are from 5e-6 to 5e-5, for SD 1 (docs/recipes.md)
        (SD15, 5e-6, 5e-5),
        (SDXL, 3e-6, 5e-5),
        (DEMO, 5e-5, 1e-3),
        (FLUX, 5e-5, 4e-4),  # as people train LoRAs on it
    ],
)
def test_the_rate_suits_the_width_of_the_model(spec, low, high):
    assert low <= usual_rate(spec, 2000) <= high


def test_the_rate_falls_with_the_inputs_of_the_layers_and_with_the_root_of_the_steps():
    twice = replace(DEMO, widths=tuple(2 * width for width in DEMO.widths))
    assert usual_rate(twice, 2000) == pytest.approx(usual_rate(DEMO, 2000) / 2)
    assert usual_rate(DEMO, 8000) == pytest.approx(usual_rate(DEMO, 2000) / 2)
    assert usual_rate(DEMO, 1) == usual_rate(DEMO, 200)  # else one step would have no limit
    narrow = replace(DEMO, layer_structure=(1, 0.5, 1))  # 1 and 0.5 inputs instead of 1 and 2
    assert usual_rate(narrow, 2000) == pytest.approx(usual_rate(DEMO, 2000) * 2)


def test_a_larger_picture_needs_less_offset_and_starts_earlier():
    offsets = [chosen(latent=(side, side)).noise_offset for side in (8, 16, 64, 128)]
    assert offsets == [0.5, 0.5, 0.125, 0.062]

    def sigma(percent):  # falls from 14.6, as SD's levels do
        return 14.6 * (1 - percent) ** 4

    starts = [chosen_start(sigma, (side, side)) for side in (16, 32, 64, 128)]
    assert starts == sorted(starts, reverse=True) and starts[0] > 0.2 and starts[-1] == 0


@pytest.mark.parametrize(
    ("optimizer", "highest"),
    [("AdamW", 2.2e-5), ("Lion", 4.4e-6), ("Adafactor", 2.2e-3), ("Prodigy", 1.0)],
)
def test_the_rate_suits_the_optimizer(optimizer, highest):
    schedule = chosen(optimizer=optimizer).schedule
    assert max(schedule.rate_at(step) for step in range(2000)) == pytest.approx(highest, rel=0.02)


def test_what_is_typed_stays():
    typed = dict(steps=77, learning_rate="1e-4", noise_offset=0.1, preserve=0.2)
    for preset in PRESETS:
        found = chosen(preset=preset, **typed)
        assert {name: getattr(found, name) for name in typed} == typed


def test_beside_a_typed_rate_nothing_is_added():
    found = chosen(learning_rate="1e-4", steps=10)
    assert found == TrainSettings(learning_rate="1e-4", steps=10)
    assert not records_start(AutoSettings(learning_rate="1e-4"))
    assert not records_start(AutoSettings(preset="A1111")) and records_start(AutoSettings())


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (dict(), "learning_rate cosine 2.2e-05 warmup 100: 2,000 steps for layers with"),
        (dict(steps=500), "500 steps for layers with"),
        (dict(preset="guide"), "steps 10000: StableDiffusionBook"),
        (dict(preset="guide", steps=50), 'preset "guide" has steps 10000; yours, 50, is used'),
        (dict(preset="A1111", learning_rate="1e-3"), "yours, 1e-3, is used. Give auto for"),
    ],
)
def test_a_choice_is_told_with_its_reason(asked, words):
    assert words in " ".join(settle(AutoSettings(**asked), SD15, (64, 64)).reasons)


def test_a_preset_is_said_to_have_the_steps_that_small_pictures_need():
    asked = AutoSettings(preset="quick look", steps=50)
    first, *_ = settle(asked, SD15, (16, 16)).reasons
    assert 'preset "quick look" has steps 150; yours, 50, is used' in first


def test_typed_values_need_no_words_where_nothing_else_was_meant():
    typed = AutoSettings(steps=50, learning_rate="1e-3", noise_offset=0.1)
    assert settle(typed, SD15, (64, 64)).reasons == ()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (dict(noise_offset=-0.5), "noise_offset -0.5: give 0 or more, or -1 to leave it"),
        (dict(preserve=-0.1), "preserve -0.1: give 0 or more"),
        (dict(preset="best"), 'preset "best" is not known. Nearest:'),
        (dict(learning_rate="fast"), '"fast"'),
        (dict(steps=-1), "steps -1: give 0 to"),
    ],
)
def test_what_cannot_be_meant_is_refused(asked, words):
    with pytest.raises(ValueError, match=words):
        AutoSettings(**asked)


def test_auto_is_read_however_it_is_written():
    assert AutoSettings(learning_rate=" Auto ") == AutoSettings()


def test_an_open_rate_is_no_schedule():
    with pytest.raises(ValueError, match="auto"):
        _ = AutoSettings().schedule


@pytest.mark.parametrize(
    ("spec", "begins"),
    [
        (SD15, "ZeroOutput"),
        (replace(SD15, layer_norm=True), "Normal"),
        (replace(SD15, activation="relu", activate_output=True), "Normal"),
        (replace(SD15, skip_connection=True), "Normal"),
    ],
)
def test_weights_begin_where_they_can_learn(spec, begins):
    assert chosen_initialization("auto", spec) == begins
    assert chosen_initialization("A1111", spec) == "Normal"


def test_auto_settings_have_all_settings_in_their_order():
    names = [each.name for each in fields(TrainSettings)]
    assert [each.name for each in fields(AutoSettings)] == [*names, "preset"]


def test_flow_models_learn_at_middle_noise_levels_without_an_offset_unless_told_otherwise():
    for asked in (AutoSettings(), AutoSettings(learning_rate="1e-4")):
        choice = settle(asked, SD15, (64, 64), "flow")
        assert choice.settings.timesteps == "logit-normal"
        assert choice.settings.noise_offset == 0
        assert "timesteps logit-normal: flow models learn most" in " ".join(choice.reasons)
    typed = settle(AutoSettings(timesteps="uniform", noise_offset=0.1), SD15, (64, 64), "flow")
    assert (typed.settings.timesteps, typed.settings.noise_offset) == ("uniform", 0.1)
    assert chosen().timesteps == "uniform"


def test_a_flow_models_start_is_where_its_ratio_of_noise_to_signal_says_so():
    def share(percent):
        return 1 - percent

    def ratio(percent):
        return share(percent) / percent if percent else 999999999.9

    for side in (16, 64):
        assert chosen_start(share, (side, side)) == chosen_start(ratio, (side, side))


@pytest.mark.parametrize(
    ("latent", "given", "batch", "steps"),
    [
        ((64, 64), {}, 1, 2000),  # 512 × 512
        ((128, 128), {}, 1, 2000),
        ((32, 32), {}, 4, 800),
        ((16, 16), {}, 4, 800),
        ((48, 40), {}, 2, 1250),
        ((16, 16), {"preset": "quick look"}, 4, 150),
        ((16, 16), {"preset": "A1111"}, 1, 2000),
        ((16, 16), {"batch_size": 1}, 1, 2000),
        ((64, 64), {"batch_size": 2, "accumulation": 8}, 2, 300),
        ((16, 16), {"steps": 70}, 4, 70),
        ((16, 16), {"learning_rate": "1e-4"}, 1, 2000),  # a recipe of one's own
    ],
)
def test_small_pictures_are_learnt_several_at_a_time_in_fewer_steps(latent, given, batch, steps):
    choice = settle(AutoSettings(**given), SD15, latent)
    assert (choice.settings.batch_size, choice.settings.steps) == (batch, steps)
    said = " ".join(choice.reasons)
    assert ("batch_size 4: together no larger" in said) == (batch == 4)


def test_our_presets_learn_at_another_strength_than_they_are_applied_at():
    of_flux = settle(AutoSettings(), FLUX, (64, 64), "flow").settings
    assert of_flux.train_strength == 0.87
    assert chosen().train_strength == chosen(preset="quick look").train_strength == 1.15
    assert chosen(preset="A1111").train_strength == chosen(learning_rate="1e-4").train_strength == 1
