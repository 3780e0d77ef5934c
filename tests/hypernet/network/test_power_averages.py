"""Power averages: the formulas of EDM2, the averages by their definition, and what is rebuilt."""

import copy
from functools import cache

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork
from hypernet.network.power_averages import (
    WIDTHS,
    PowerAverages,
    Profile,
    combination,
    exponent_of,
    overlap,
    power_decay,
    width_of,
)

UPDATES = 400


def flat(network):
    return torch.cat([each.detach().flatten() for each in network.parameters()]).double()


@pytest.mark.parametrize(
    "width, exponent", [(0.05, 16.97), (0.1, 6.94), (0.01, 96.99), (0.25, 0.7226)]
)
def test_exponents_are_those_of_edm2(width, exponent):
    assert exponent_of(width) == pytest.approx(exponent, abs=0.005)
    assert width_of(exponent_of(width)) == pytest.approx(width, rel=1e-9)


@pytest.mark.parametrize("width", [0, -0.1, 0.29, float("nan")])
def test_a_width_that_no_average_has_is_refused_by_its_number(width):
    with pytest.raises(ValueError, match=f"width {width:g}: give more than 0, and at most 0.28"):
        exponent_of(width)


def test_an_overlap_is_the_integral_of_the_product():
    first, second = Profile(300, 16.97), Profile(400, 6.94)
    t = (torch.arange(400_000, dtype=torch.float64) + 0.5) / 1000

    def values(profile):
        inside = t < profile.end
        whole = (profile.exponent + 1) * (t / profile.end) ** profile.exponent / profile.end
        return whole * inside

    integral = float((values(first) * values(second)).sum() / 1000)
    assert overlap(first, second) == pytest.approx(integral, rel=1e-5)
    assert overlap(second, first) == overlap(first, second)


def test_a_snapshot_is_its_own_best_combination():
    given = [Profile(end, exponent_of(width)) for end in (100, 200) for width in WIDTHS]
    factors, misfit = combination(given, given[2])
    assert factors == pytest.approx([0, 0, 1, 0], abs=1e-9) and misfit < 1e-6


def test_two_snapshots_one_update_apart_do_no_harm():
    ends = [250_000, 500_000, 750_000, 999_999, 1_000_000]
    given = [Profile(end, exponent_of(width)) for end in ends for width in WIDTHS]
    factors, misfit = combination(given, Profile(1_000_000, exponent_of(0.075)))
    assert sum(factors) == pytest.approx(1) and max(map(abs, factors)) < 10 and misfit < 0.05


def a_moving_network(updates=UPDATES):
    """Yields a network after each update of Adam towards a goal that wanders."""
    network = Hypernetwork(HypernetSpec(widths=(8,), activation="mish"))
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    chance = torch.Generator().manual_seed(1)
    goal = torch.randn(8, 8, generator=chance)
    yield network
    for _ in range(updates):
        x = torch.randn(4, 8, generator=chance)
        goal += 0.02 * torch.randn(8, 8, generator=chance)
        (network.keys(x) - x @ goal).square().mean().backward()
        (network.values(x) + x @ goal).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        network.record.step += 1
        yield network


EVERY_50 = set(range(50, UPDATES + 1, 50))
STOPPED = {50, 100, 150, 200, 250, 300, 350, 351, UPDATES}


@cache
def followed(since=0):
    """(all weights by update, {(end, width): a kept average})"""
    moving = a_moving_network()
    network = next(moving)
    for _ in range(since):
        next(moving)
    averages, weights, kept = PowerAverages(network), [], {}
    for network in moving:
        averages.follow(network)
        weights.append(flat(network))
        done = network.record.step - since
        if done in EVERY_50 | STOPPED:
            kept |= {(done, width): flat(each) for width, each in averages.networks.items()}
    return torch.stack(weights), kept


def true_average(weights, width):
    """By the definition: update t counts as the share of t^γ between t − 1 and t."""
    edges = (torch.arange(len(weights) + 1, dtype=torch.float64) / len(weights)) ** (
        exponent_of(width) + 1
    )
    return edges.diff() @ weights


def error(found, true):
    return float((found - true).norm() / true.norm())


@pytest.mark.parametrize("since", [0, 100])
def test_the_kept_averages_are_those_of_the_definition(since):
    weights, kept = followed(since)
    for width in WIDTHS:
        assert error(kept[UPDATES - since, width], true_average(weights, width)) < 1e-6


def test_the_first_update_leaves_nothing_of_the_beginning():
    assert power_decay(exponent_of(0.1), 1) == 0


@pytest.mark.parametrize("width", [0.04, 0.06, 0.075, 0.09, 0.12, 0.15])
@pytest.mark.parametrize("steps", [EVERY_50, STOPPED])
def test_other_widths_are_rebuilt_to_a_thousandth(width, steps):
    weights, kept = followed()
    kept = {(end, of): each for (end, of), each in kept.items() if end in steps}
    given = [Profile(end, exponent_of(of)) for end, of in kept]
    factors, misfit = combination(given, Profile(UPDATES, exponent_of(width)))
    rebuilt = sum(factor * each for factor, each in zip(factors, kept.values(), strict=True))
    assert error(rebuilt, true_average(weights, width)) < 1e-3
    assert misfit < 0.05
    assert error(weights[-1], true_average(weights, width)) > 0.02  # the network has moved


def test_averages_go_on_from_their_state_bit_by_bit():
    moving = a_moving_network(60)
    averages = PowerAverages(next(moving))
    twin = None
    for network in moving:
        averages.follow(network)
        if twin is not None:
            twin.follow(network)
        if network.record.step == 30:
            twin = PowerAverages(network)
            twin.load_state_dict(copy.deepcopy(averages.state_dict()))
    assert twin.since == averages.since == 0
    for width in WIDTHS:
        assert torch.equal(flat(twin.networks[width]), flat(averages.networks[width]))
