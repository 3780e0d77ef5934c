"""A device has only one name, so a network is on it only once."""

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork
from hypernet.apply.effect import Effect, make_schedule, parse_strength_curve
from hypernet.apply.patches import make_patches
from hypernet.devices import as_tensors_name_it

WIDTH = 8


def a_schedule():
    curve = parse_strength_curve("0: 1, 1: 0.5")
    return make_schedule(lambda percent: 100 * (1 - percent), curve=curve)


def patches_of(schedule=None):
    network = Hypernetwork(HypernetSpec(widths=(WIDTH,)))
    return make_patches(network, Effect(schedule=schedule))


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("cpu", torch.device("cpu")),
        ("cpu:0", torch.device("cpu")),
        ("meta", torch.device("meta")),
        ("meta:0", torch.device("meta")),
        (
            "cuda:0",
            torch.device("cuda", 0),
        ),  # a device with a number needs no tensor to find its name
        ("cuda:1", torch.device("cuda", 1)),
        ("mps:0", torch.device("mps", 0)),
    ],
)
def test_a_device_has_the_name_that_its_tensors_report(named, expected):
    found = as_tensors_name_it(torch.device(named))
    assert (found.type, found.index) == (expected.type, expected.index)


@pytest.mark.parametrize("names", [("cpu", "cpu:0"), ("meta", "meta:0"), ("meta:0", "meta")])
def test_a_network_is_copied_once_to_a_device_with_two_names(names):
    weights = patches_of()[0].weights
    one, other = (weights.on(torch.device(name)) for name in names)
    assert one is other
    for name in names:
        weights.go_to(torch.device(name))
    assert len(weights._copies) == (names[0][:4] == "meta")


def test_weights_are_not_copied_to_the_device_they_are_on():
    weights = patches_of()[0].weights
    assert weights.on(torch.device("cpu:0")) is weights.home and not weights._copies


@pytest.mark.parametrize("named", ["cpu:0", "meta:0"])
def test_a_schedule_is_on_the_device_of_the_noise_levels(named):
    patch = patches_of(a_schedule())[0]
    patch.to(torch.device(named))
    assert list(patch._schedules) == [torch.empty(0, device=named).device]


def test_a_schedule_is_not_copied_to_the_device_it_is_on():
    schedule = a_schedule()
    assert schedule.to(torch.device("cpu:0")) is schedule


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
def test_a_model_on_the_card_holds_each_network_and_schedule_once():
    patch = patches_of(a_schedule())[1]
    tokens = torch.randn(1, 5, WIDTH, device="cuda")
    patch.to(torch.device("cuda"))
    before = torch.cuda.memory_allocated()
    held = [*patch.weights._copies.values()], [*patch._schedules.values()]
    patch(tokens, tokens, tokens, {"sigmas": torch.tensor([5.0], device="cuda")})
    patch.to(torch.device("cuda", torch.cuda.current_device()))
    assert ([*patch.weights._copies.values()], [*patch._schedules.values()]) == held
    assert torch.cuda.memory_allocated() - before < 4096
