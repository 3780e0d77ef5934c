"""What the numbers of a training mean, case by case."""

import math
import re

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork
from hypernet.training.diffusion import Batch, Denoiser, diffusion_levels
from hypernet.training.health import Health, after_loss, after_probe, blow_up, steered
from hypernet.training.probe import Measure, measure_loss

SPEC = HypernetSpec()
NORMED = HypernetSpec(layer_norm=True)


def after(losses, health=None):
    health = health or Health()
    for loss in losses:
        health = after_loss(health, loss)
    return health


def jumping(number, middle=0.13):
    """Like the losses of batch 1: a hundredth of the middle to four times it."""
    chance = torch.Generator().manual_seed(1)
    sizes = torch.rand(number, generator=chance).mul(3).exp()  # 1 … 20
    return (sizes / sizes.mean() * middle).tolist()


def test_the_smoothed_loss_is_a_mean_of_the_last_ones():
    assert math.isnan(Health().smoothed)
    assert after([0.3]).smoothed == pytest.approx(0.3)
    assert after([2.0] * 500).smoothed == pytest.approx(2.0)
    assert after([2.0] * 500 + [1.0] * 300).smoothed == pytest.approx(1.0, abs=0.01)


def test_jumping_losses_are_no_blow_up_for_ten_thousand_steps():
    health = Health()
    for loss in jumping(10_000):
        assert not blow_up(health, loss, 1.0)
        health = after_loss(health, loss)
    assert health.is_steady


@pytest.mark.parametrize(
    ("before", "loss", "gradient", "words"),
    [
        (0, math.nan, 1.0, "the loss became nan"),
        (0, math.inf, 1.0, "the loss became inf"),
        (0, 0.1, math.nan, "the gradient became nan"),
        (0, 99.0, 1.0, ""),
        (0, 1e4, 1.0, "the loss jumped to 1e+04"),
        (200, 1.0, 1.0, ""),
        (200, 50.0, 1.0, "the loss rose to 1.1"),
    ],
)
def test_a_blow_up_is_named(before, loss, gradient, words):
    health = after(jumping(before))
    found = blow_up(health, loss, gradient)
    assert found.startswith(words) if words else found == ""


def test_a_rise_is_noticed_before_it_lasts_long():
    health, lasted = after(jumping(500)), 0
    while not blow_up(health, 1.0, 1.0):  # 1 is what an answer of zeros gets
        health, lasted = after_loss(health, 1.0), lasted + 1
    assert 5 < lasted < 40
    assert not health.is_steady


def probes(losses, residuals, spec=SPEC, held_out=True, every=250):
    """(health, notes) after probes at steps 0, every, 2·every, …"""
    health, notes = Health(), []
    for place, (loss, residual) in enumerate(zip(losses, residuals, strict=True)):
        found = Measure(loss, {320: residual / 2, 768: residual})
        health, said = after_probe(health, place * every, found, spec, held_out)
        notes += said
    return health, notes


def test_the_best_is_the_lowest_probe():
    health, notes = probes([1.0, 0.9, 0.95, 0.8, 1.1], [0.1, 0.12, 0.14, 0.15, 0.15])
    assert not notes
    assert (health.best_loss, health.best_step) == (0.8, 750)


BLANK = r"^Step 500: nothing has been learnt so far.* by 0.00% since the beginning\. "


@pytest.mark.parametrize(
    ("losses", "residuals", "spec", "words"),
    [
        ([1] * 6, [0.1] * 6, SPEC, BLANK + "Raise the learning rate, or leave it to auto.$"),
        ([1] * 6, [0.01] * 6, NORMED, BLANK + "Layer norm .*most of all with linear: use about 10"),
        ([1] * 2, [0.1] * 2, SPEC, ""),  # step 250: too early
        ([1, 0.99, 0.99, 0.99], [0.2] * 4, SPEC, ""),  # it learns
        ([1] * 4, [0.15, 0.15, 0.18, 0.22], SPEC, ""),  # it moves
        ([1, 0.9, 0.7], [0.01, 0.04, 0.07], SPEC, "^Step 500: pictures hardly.* 5.3% .* to auto.$"),
        ([1, 0.9, 0.9, 0.9], [0.2, 0.5, 2.2, 2.3], SPEC, "^Step 500: the network burns.*768: 2.20"),
        ([1, 0.9, 0.9], [2.0, 2.5, 3.0], SPEC, ""),  # it began like that
        ([1, 0.5] + [0.6] * 5, [0.2] * 7, SPEC, r"overfits.* lowest at step 250 \(0.5\).* now 0.6"),
        ([1, 0.5, 0.6, 0.51, 0.6, 0.6], [0.2] * 6, SPEC, ""),
    ],
)
def test_troubles_are_named_once_and_only_when_they_are_there(losses, residuals, spec, words):
    _, notes = probes(losses, residuals, spec)
    assert len(notes) == bool(words)
    if words:
        assert re.search(words, notes[0])


def test_pictures_that_are_trained_on_say_nothing_of_overfitting():
    losses, residuals = [1, 0.5, 0.6, 0.6, 0.6], [0.1, 0.2, 0.3, 0.4, 0.5]
    assert probes(losses, residuals)[1] and not probes(losses, residuals, held_out=False)[1]


def test_a_probe_measures_loss_and_residual_with_timesteps_all_over_the_range():
    network = Hypernetwork(HypernetSpec(widths=(8, 16), layer_structure=(1, 1)))
    seen = []
    for width, size in ((8, 0.5), (16, 3.0)):
        for side in "kv":
            layer = network.pairs[str(width)][side].linear[0]
            with torch.no_grad():
                layer.weight.copy_(torch.eye(width) * size)

    def predict(noisy, timesteps, condition, acting):
        seen.extend(timesteps.tolist())
        for tokens in (condition["context"], condition["context"].repeat(1, 1, 2)):
            acting.attn2(tokens[:, :1], tokens, tokens, {})
        return noisy * 0 + 2.0

    denoiser = Denoiser(
        predict=predict, levels=diffusion_levels(torch.linspace(0.9, 0.1, 1000)), prediction="v",
        device=torch.device("cpu"), dtype=torch.float32,
    )  # fmt: skip
    batch = Batch(torch.zeros(2, 4, 2, 2), {"context": torch.ones(2, 3, 8)})
    first = measure_loss(denoiser, network, [batch, batch], 0, 1000)
    assert seen == [125, 375, 625, 875]
    assert first.residual == pytest.approx({8: 0.5, 16: 3.0})
    assert measure_loss(denoiser, network, [batch, batch], 0, 1000) == first
    hidden = batch._replace(weights=torch.zeros(2, 1, 2, 2))
    assert measure_loss(denoiser, network, [hidden, hidden], 0, 1000).loss == 0


@pytest.mark.parametrize(
    ("done", "residual", "before", "after", "words"),
    [
        (100, {8: 0.01}, 0, 0, ""),  # too early to say
        (250, {8: 0.01, 16: 0.05}, 0, -1, "Step 250: the network adds 3% .* rate is doubled."),
        (250, {8: 0.01, 16: 0.05}, -3, -3, ""),  # it has not helped three times
        (250, {8: 0.02, 16: 0.5}, 0, 0, ""),
        (100, {8: 0.1, 16: 2.5}, 0, 1, "Step 100: the network adds 250% .* rate is halved."),
        (100, {8: 0.1, 16: 2.5}, 3, 3, ""),
    ],
)
def test_what_the_network_adds_steers_the_rate(done, residual, before, after, words):
    health, note = steered(Health(steered=before), done, 1000, residual)
    assert health == Health(steered=after) and re.match(words or "$", note)
    assert health.factor == 0.5**after
