"""The Learning Rate node and the warnings of Hypernet Config, as a graph sees them."""

from dataclasses import fields
from types import SimpleNamespace

import pytest
from hypernet_pack.nodes.shared.sockets import Config, more_widgets
from hypernet_pack.nodes.train.hypernet_config import HypernetConfig
from hypernet_pack.nodes.train.learning_rate import LearningRate

from hypernet import HypernetSpec
from hypernet.training.auto import AutoSettings


def advise(**changes):
    given = dict(
        pictures=30, batch_size=1, accumulation=1, optimizer="AdamW", learning_rate="", steps=0
    )
    return LearningRate.execute(**given | changes).result


def test_the_choice_its_reasons_and_its_picture_come_out():
    rate, steps, advice, plot = advise()
    assert (rate, steps) == ("cosine 2.2e-05 warmup 100", 2000)
    assert "2,000 steps for layers with" in advice and "Note:" not in advice
    assert plot.shape[0] == 1 and plot.shape[-1] == 3


def test_every_preset_can_be_seen():
    rate, steps, advice, _ = advise(preset="guide")
    assert (rate, steps) == ("5e-6", 10_000) and "StableDiffusionBook" in advice


def test_a_schedule_of_ones_own_goes_through_and_is_judged():
    rate, steps, advice, _ = advise(learning_rate="1e-2:50", steps=100)
    assert (rate, steps) == ("1e-2:50", 100)
    assert "Note: Training ends after step 50 of 100" in advice
    assert "0.01 is high for AdamW" in advice


def test_config_and_dataset_are_read_where_they_are_connected():
    config = Config(HypernetSpec(layer_norm=True), open={"widths"})
    dataset = SimpleNamespace(items=[None] * 60, width=128, height=128)
    rate, _, advice, _ = advise(config=config, dataset=dataset)
    assert rate == "cosine 0.00022 warmup 100"
    assert "latents of 16 × 16" in advice and "may learn nothing" in advice


@pytest.mark.parametrize(
    ("text", "answer"),
    [("", True), ("5e-6", True), ("cosine 1e-4", True), ("5e-6;9", '"5e-6;9"')],
)
def test_a_wrong_schedule_is_refused_before_anything_runs(text, answer):
    found = LearningRate.validate_inputs(learning_rate=text)
    assert found is True if answer is True else answer in found


def test_hypernet_config_warns_in_its_summary():
    given = dict(
        layer_structure="1, 2, 1", activation="linear", weight_initialization="Normal",
        dropout_structure="", activate_output=False, widths="", seed=0,
    )  # fmt: skip
    _, quiet = HypernetConfig.execute(**given, layer_norm=False).result
    _, warned = HypernetConfig.execute(**given, layer_norm=True).result
    assert "Note:" not in quiet
    assert "\nNote: Layer norm with linear may learn nothing" in warned


def test_every_setting_has_a_widget_with_its_default_range_and_words():
    widgets = {each.id: each for each in more_widgets(AutoSettings, ["steps"])}
    described = [each.name for each in fields(AutoSettings) if each.metadata]
    assert ["steps", *widgets] == described
    assert all(each.tooltip and each.optional for each in widgets.values())
    assert {name: each.default for name, each in widgets.items()} == {
        name: getattr(AutoSettings(), name) for name in widgets
    }
    assert widgets["optimizer"].options[0] == "AdamW"
    assert (widgets["ema"].min, widgets["ema"].max, widgets["ema"].step) == (0, 0.99999, 0.0001)
