"""A network that had better not act at first says so in its file, and Apply Hypernet heeds it."""

import pytest
import torch
from hypernet_pack.compat.standalone.model.checkpoint import load_checkpoint
from hypernet_pack.nodes.use.apply import ApplyHypernet

from hypernet import HypernetSpec, Hypernetwork, open_network, save_network


def network(start=0.0):
    found = Hypernetwork(HypernetSpec(widths=(16, 24, 32)))
    found.record.start = start
    return found


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("start", [0.0, 0.3])
def test_a_file_keeps_the_start(tmp_path, suffix, start):
    file = save_network(network(start), tmp_path / f"style{suffix}")
    assert open_network(file).record.start == start


def test_a_network_without_a_start_has_the_file_of_before(tmp_path):
    plain = Hypernetwork(HypernetSpec(widths=(16, 24, 32)))
    files = [save_network(each, tmp_path / f"{n}.pt") for n, each in enumerate((plain, network()))]
    first, second = (torch.load(file, weights_only=True) for file in files)
    assert first.keys() == second.keys()


@pytest.mark.parametrize("strange", ["soon", -1.0, 7.0, True, None])
def test_what_is_no_share_of_sampling_is_no_start(strange):
    found = network()
    found.record.extra["hypernet_start"] = strange
    assert found.record.start == 0.0


def test_it_is_taken_back():
    found = network(0.3)
    found.record.start = 0.0
    assert not found.record.extra


@pytest.mark.parametrize(
    ("recorded", "given", "starts"), [(0.3, {}, 0.3), (0.3, {"start_percent": 0.6}, 0.6)]
)
def test_apply_takes_the_recorded_start_unless_it_is_given_another(
    checkpoint, recorded, given, starts
):
    model, *_ = load_checkpoint(checkpoint)
    (patched,) = ApplyHypernet.execute(model, network(recorded), 1.0, **given).result
    (patch,) = patched.model_options["transformer_options"]["patches"]["attn1_patch"]
    sigma = model.get_model_object("model_sampling").percent_to_sigma(starts)
    assert patch.effect.schedule.first == pytest.approx(sigma)


def test_apply_acts_at_once_where_nothing_is_recorded(checkpoint):
    model, *_ = load_checkpoint(checkpoint)
    (patched,) = ApplyHypernet.execute(model, network(), 1.0).result
    (patch,) = patched.model_options["transformer_options"]["patches"]["attn1_patch"]
    assert patch.effect.schedule is None


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_file_keeps_the_strength_curve_of_its_training(tmp_path, suffix):
    made = network()
    made.record.curve = "0: 0.3, 1: 1"
    file = save_network(made, tmp_path / f"style{suffix}")
    assert open_network(file).record.curve == "0: 0.3, 1: 1"


@pytest.mark.parametrize(("given", "factor"), [({}, 0.5), ({"curve": "0: 1"}, 1.0)])
def test_apply_follows_the_recorded_curve_unless_it_is_given_another(checkpoint, given, factor):
    model, *_ = load_checkpoint(checkpoint)
    made = network()
    made.record.curve = "0: 0, 1: 1"
    (patched,) = ApplyHypernet.execute(model, made, 1.0, **given).result
    (patch,) = patched.model_options["transformer_options"]["patches"]["attn1_patch"]
    half_way = torch.tensor(model.get_model_object("model_sampling").percent_to_sigma(0.5))
    assert patch.effect.schedule.factor(half_way).item() == pytest.approx(factor, abs=0.01)
