"""Snapshots of averages: written when due, read with the state, and made into other averages."""

import shutil
from dataclasses import replace

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork, open_network, save_network
from hypernet.network.hypernetwork import Record
from hypernet.network.power_averages import WIDTHS, exponent_of
from hypernet.runs.disk_check import check_disk
from hypernet.runs.run import Run
from hypernet.runs.snapshots import is_due, rebuild, snapshot_files, snapshots_in
from hypernet.runs.standing import standing_of
from hypernet.runs.state import newest_state
from hypernet.training.learner import Learner
from hypernet.training.settings import TrainSettings

STEPS = 160
SETTINGS = TrainSettings(steps=STEPS, learning_rate="1e-2", averages=8)
UNET = HypernetSpec(widths=(8,), activation="mish", weight_initialization="KaimingNormal")
PLACED = replace(UNET, places=(("joint", 8), ("text", 4)), groups=2)


class Training:
    """A network that moves, in the folder of a run."""

    def __init__(self, folder, settings=SETTINGS, spec=UNET):
        record = Record(name="style", architecture="flux" if spec.places else "")
        self.learner = Learner(Hypernetwork(spec, record), settings)
        self.run = Run(folder, "style", 5, settings)
        self.run.begin(self.learner.network, self.learner, newest_state(folder)[0])
        self.weights = []

    def step(self, times=1):
        for _ in range(times):
            chance = torch.Generator().manual_seed(self.learner.done)
            for parameter in self.learner.network.parameters():
                parameter.grad = 0.1 * torch.randn(parameter.shape, generator=chance) + parameter
            self.learner.optimizer.param_groups[0]["lr"] = 2e-3
            self.learner.optimizer.step()
            self.learner.count_update()
            self.weights.append(flat(self.learner.network))
            self.run.save_due_averages(self.learner)
        return self

    def save(self):
        self.run.save_state(self.learner.network, self.learner)
        return self


def flat(network):
    return torch.cat([each.detach().flatten() for each in network.parameters()]).double()


def error(found, weights, width):
    """Of the average of all these weights, by its definition."""
    times = torch.arange(len(weights) + 1, dtype=torch.float64) / len(weights)
    true = (times ** (exponent_of(width) + 1)).diff() @ torch.stack(weights)
    return float((flat(found) - true).norm() / true.norm())


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "style"


def steps_in(folder):
    return sorted({step for _, (_, step, _) in snapshot_files(folder)})


@pytest.mark.parametrize(
    ("given", "since", "due"),
    [
        (dict(steps=10, averages=2), 0, [5, 10]),
        (dict(steps=10, averages=3), 0, [4, 7, 10]),
        (dict(steps=3, averages=8), 0, [1, 2, 3]),
        (dict(steps=10, averages=2), 6, [8, 10]),  # begun later: spread over the rest
        (dict(steps=10, averages=2, learning_rate="1e-3:6"), 0, [3, 6]),
        (dict(steps=10, averages=0), 0, []),
        (dict(steps=4, averages=2), 6, []),
    ],
)
def test_snapshots_are_spread_evenly_and_the_last_update_has_one(given, since, due):
    settings = TrainSettings(**dict(learning_rate="1e-3") | given)
    assert [done for done in range(since, 12) if is_due(settings, since, done)] == due


@pytest.fixture(scope="module", params=[UNET, PLACED], ids=["unet", "places"])
def whole(request, tmp_path_factory):
    """(folder, its Training) of a whole run."""
    folder = tmp_path_factory.mktemp("runs") / "style"
    return folder, Training(folder, spec=request.param).step(STEPS).save()


@pytest.mark.parametrize("width", [0.04, 0.05, 0.075, 0.1, 0.13])
def test_an_average_of_any_width_is_the_true_one_to_a_thousandth(whole, tmp_path, width):
    folder, training = whole
    found = rebuild(snapshots_in(folder), width, "ink")
    assert error(found.network, training.weights, width) < 1e-3 and found.count == 16
    record = found.network.record
    assert (record.name, record.step, record.architecture) == (
        "ink", STEPS, training.learner.network.record.architecture,
    )  # fmt: skip
    assert record.optional_info == (
        f"average of style, relative width {width:g}, from 16 snapshots"
    )
    file = save_network(found.network, tmp_path / "ink.safetensors")
    assert torch.equal(flat(open_network(file)), flat(found.network))


def test_what_moved_is_told_apart_from_what_was_rebuilt(whole):
    _, training = whole
    assert error(training.learner.network, training.weights, 0.075) > 1e-2


def test_a_snapshot_can_be_used_as_it_is(whole):
    folder, training = whole
    suffix = ".safetensors" if training.learner.network.spec.places else ".pt"
    for width in WIDTHS:
        network = open_network(folder / "averages" / f"style-0-{STEPS}-{width:g}{suffix}")
        assert error(network, training.weights, width) < 1e-3
        assert network.record.extra == {"hypernet_average": width}


@pytest.mark.parametrize("has_state", [True, False])
def test_a_run_that_was_stopped_has_what_it_came_to(folder, has_state):
    training = Training(folder).step(150).save()
    if not has_state:
        (folder / "state.pt").unlink()
    found = rebuild(snapshots_in(folder), 0.075)
    end = 150 if has_state else 140
    assert found.network.record.step == end
    assert error(found.network, training.weights[:end], 0.075) < 1e-3


def test_a_damaged_state_costs_only_what_it_alone_held(folder):
    Training(folder).step(150).save()
    (folder / "state.pt").write_bytes(b"no state")
    assert rebuild(snapshots_in(folder), 0.075).network.record.step == 140


def test_a_resumed_run_has_the_averages_of_an_unbroken_one_bit_by_bit(tmp_path):
    folders = tmp_path / "whole", tmp_path / "broken"
    Training(folders[0]).step(STEPS).save()
    Training(folders[1]).step(90).save().step(35)  # killed after 125
    resumed = Training(folders[1])
    assert resumed.learner.done == 90 and steps_in(folders[1]) == [20, 40, 60, 80]
    resumed.step(STEPS - 90).save()
    networks = [rebuild(snapshots_in(folder), 0.07).network for folder in folders]
    assert torch.equal(*map(flat, networks))
    assert [file.name for file, _ in snapshot_files(folders[0])] == [
        file.name for file, _ in snapshot_files(folders[1])
    ]


def test_averages_that_begin_later_leave_older_ones_out(folder):
    Training(folder).step(40).save()
    Training(folder, replace(SETTINGS, averages=0)).step(40).save()
    training = Training(folder).step(STEPS - 80).save()
    assert [each.since for each in snapshots_in(folder)] == [80] * 16
    found = rebuild(snapshots_in(folder), 0.075)
    assert error(found.network, training.weights, 0.075) < 1e-3


def test_going_back_after_a_blow_up_takes_the_averages_along(folder):
    training = Training(folder).step(10)
    training.learner.keep_good()
    good = {width: flat(each) for width, each in training.learner.powers.networks.items()}
    training.step(15)
    training.learner.go_back()
    for width, network in training.learner.powers.networks.items():
        assert torch.equal(flat(network), good[width])
    calm = Training(folder.parent / "calm").step(12)
    training.step(2)
    for width, network in training.learner.powers.networks.items():
        assert torch.equal(flat(network), flat(calm.learner.powers.networks[width]))


def test_few_snapshots_give_a_rough_average_that_says_so(folder):
    Training(folder, replace(SETTINGS, averages=2)).step(STEPS)
    assert "It is rough: its profile differs from the true one by" in (
        rebuild(snapshots_in(folder), 0.2).about
    )
    assert rebuild(snapshots_in(folder), 0.05).about == (
        f"The average of width 0.05 after {STEPS} updates, from 4 snapshots."
    )


def test_a_run_without_snapshots_is_quoted_and_told_what_keeps_them(folder):
    Training(folder, replace(SETTINGS, averages=0)).step(5).save()
    with pytest.raises(ValueError, match='The run "style" has no snapshots .* averages above 0'):
        snapshots_in(folder)


def test_a_folder_with_nothing_but_snapshots_is_not_free(tmp_path):
    Training(tmp_path / "style").step(20)
    assert standing_of("style", tmp_path, []).kind == "leftovers"


def test_snapshots_need_room_unless_they_are_there(folder, monkeypatch):
    settings = replace(SETTINGS, save_every=0)
    room = 0
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("", (), {"free": room})())

    def files():
        with pytest.raises(OSError, match="files of") as fault:
            check_disk(folder, UNET, settings)
        return int(str(fault.value).split("(")[1].split()[0])

    assert files() == 3 + 8
    room = 10**9
    Training(folder).step(40)
    room = 0
    assert files() == 3 + 6
