"""How the quality bench reads its curves, and what it measures on."""

import json
from pathlib import Path

import pytest
import torch
from hypernet_pack.compat.standalone.model.checkpoint import load_checkpoint
from hypernet_pack.compat.standalone.model.models import denoiser

from benchmarks.methods import Recipe, applied, learn
from benchmarks.quality import ALL_SEEDS, BOTH_STYLES, MAIN, ROWS, cells
from benchmarks.tables import spread, style_at_content, style_at_drift, until_learnt
from demo.drawing import MODEL
from hypernet.training.diffusion import Batch
from hypernet.training.preservation import WORDS

ROOT = Path(__file__).parents[2]


def point(style, content, drift):
    return {"style": style, "content": content, "drift": drift}


CELL = {
    "bare": point(0.0, 1.0, 0.0),
    "points": {
        "1@1": point(0.8, 0.9, 0.2),
        "1@0.5": point(0.2, 1.0, 0.1),
        "0.5@1": point(0.6, 0.9, 0.2),
        "0.25@1": point(0.4, 0.9, 0.2),
    },
    "reached": [{"done": 2000, "seconds": 100.0}],
}


@pytest.mark.parametrize(
    ("drift", "style"), [(0.0, 0.0), (0.05, 0.1), (0.1, 0.2), (0.15, 0.5), (0.2, 0.8), (0.3, 0.8)]
)
def test_style_is_the_best_that_drifts_no_further(drift, style):
    assert style_at_drift(CELL, drift) == pytest.approx(style)


@pytest.mark.parametrize(("content", "style"), [(1.0, 0.2), (0.95, 0.5), (0.9, 0.8), (0.5, 0.8)])
def test_style_is_the_best_that_still_shows_what_was_asked_for(content, style):
    assert style_at_content(CELL, content) == pytest.approx(style)


def test_updates_until_it_is_learnt_lie_between_two_lengths():
    assert until_learnt(CELL) == pytest.approx((1500, 75))
    assert until_learnt(CELL | {"points": {"1@1": point(0.6, 1, 0)}}) is None


@pytest.mark.parametrize(
    ("values", "text"), [([0.5], "0.50"), ([0.5, 0.7], "0.60 ± 0.14"), ([None], "–")]
)
def test_a_mean_has_its_spread(values, text):
    assert spread(values) == text


def test_every_row_is_measured_and_the_main_ones_with_all_seeds():
    found = list(cells())
    assert {cell.row for cell in found} == set(ROWS) and set(MAIN) < set(ALL_SEEDS)
    for row in ALL_SEEDS:
        assert sum(cell.row == row for cell in found) == (6 if row in BOTH_STYLES else 3)
    assert len({cell.file for cell in found}) == len(found)


def test_what_drift_is_measured_on_is_nothing_that_is_preserved():
    others = json.loads((ROOT / "benchmarks" / "others.json").read_text("utf-8"))
    words = {word for name in others for word in name["caption"].split()}
    assert len(others) >= 64 and not words & set(WORDS)


def test_every_open_setting_of_a_row_can_be_settled():
    for recipe in ROWS.values():
        assert recipe.train_settings(0).schedule.rate_at(0)


def test_lora_learns_and_leaves_the_model_as_it_was():
    """What peft adds begins as nothing; after two updates it changes the prediction."""
    settings = {"steps": 2, "batch_size": 2, "learning_rate": "1e-2"}
    recipe = Recipe(settings=settings, lora={"rank": 2, "targets": "attention"})
    model, *_ = load_checkpoint(MODEL)
    chance = torch.Generator().manual_seed(0)
    latents, words = (torch.randn(2, *size, generator=chance) for size in ((4, 8, 8), (77, 96)))
    batch = Batch(latents, {"context": words})

    def says() -> torch.Tensor:
        with torch.no_grad():
            return model.module(latents, torch.tensor([500, 500]), words).sample

    bare = says()
    with denoiser(model) as opened:
        (reached,) = learn(recipe, 0, model, opened, lambda first, number: batch, {}, {1.0})
    assert reached.done == 2 and torch.equal(says(), bare)
    with applied(recipe, reached.weights, 1.0, model):
        assert not torch.allclose(says(), bare, atol=1e-4)
