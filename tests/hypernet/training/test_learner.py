"""All that a training run changes, as one thing: counted, averaged, saved, and brought back."""

import io
from dataclasses import asdict, fields, replace

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork
from hypernet.training.health import Health
from hypernet.training.learner import DECIDE_LOSSES, Learner, average_decay, follow, kept
from hypernet.training.optimizers import OPTIMIZERS, missing_package, set_rate
from hypernet.training.settings import TrainSettings

WIDTH = 8
INSTALLED = [name for name in OPTIMIZERS if not missing_package(name)]
SETTINGS = TrainSettings(steps=20, learning_rate="1e-2")


def a_learner(begun=0, **settings):
    network = Hypernetwork(HypernetSpec(widths=(WIDTH,), activation="mish", seed=begun))
    return Learner(network, replace(SETTINGS, **settings))


def update(learner, times=1):
    """Updates whose gradients follow from the number of the update."""
    for _ in range(times):
        x = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(learner.done))
        set_rate(learner.optimizer, 1e-2)
        (learner.network.keys(x) + learner.network.values(x)).square().mean().backward()
        learner.optimizer.step()
        learner.optimizer.zero_grad()
        learner.count_update()
    return learner


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def loaded(state, learner, into):
    """Another learner, with what the state of the first one says."""
    into.network.load_state_dict(learner.network.state_dict())
    into.network.record.step = learner.done
    into.load_state_dict(state)
    return into


# --- network and average ----------------------------------------------------------------------


def test_without_an_average_the_result_is_the_network_itself():
    learner = update(a_learner())
    assert learner.result is learner.network and learner.average is None


def test_the_average_is_the_result_and_shares_the_record():
    learner = update(a_learner(ema=0.5), 3)
    assert learner.result is learner.average is not learner.network
    assert learner.result.record is learner.network.record and learner.done == 3
    assert not any(p.requires_grad for p in learner.average.parameters())


def test_the_average_moves_by_what_its_decay_leaves():
    learner = a_learner(ema=0.15)
    expected = weights(learner.network)
    for done in (1, 2, 3):
        update(learner)
        decay = min(0.15, (1 + done) / (10 + done))
        expected = decay * expected + (1 - decay) * weights(learner.network)
    torch.testing.assert_close(weights(learner.average), expected)


@pytest.mark.parametrize(
    ("decay", "done", "expected"),
    [(0.999, 1, 2 / 11), (0.999, 8, 0.5), (0.999, 10**6, 0.999), (0.1, 1, 0.1), (0.5, 8, 0.5)],
)
def test_in_the_beginning_an_average_forgets_faster(decay, done, expected):
    assert average_decay(decay, done) == pytest.approx(expected)


def test_an_average_follows_not_at_all_at_0_and_wholly_at_1():
    slow, fast = (a_learner(begun).network.requires_grad_(False) for begun in (0, 1))
    begun = weights(slow)
    follow(slow, fast, 0.0)
    assert torch.equal(weights(slow), begun)
    follow(slow, fast, 0.25)
    torch.testing.assert_close(weights(slow), 0.75 * begun + 0.25 * weights(fast))
    follow(slow, fast, 1.0)
    torch.testing.assert_close(weights(slow), weights(fast))


# --- round trip -------------------------------------------------------------------------------


@pytest.mark.parametrize("ema", [0.0, 0.5])
@pytest.mark.parametrize("name", INSTALLED)
def test_a_loaded_learner_makes_the_updates_of_the_one_that_was_saved(name, ema):
    learner = update(a_learner(optimizer=name, ema=ema, learning_rate="1"), 3)
    state = through_a_file(learner.state_dict())
    later = loaded(state, learner, a_learner(5, optimizer=name, ema=ema, learning_rate="1"))
    assert torch.equal(weights(later.result), weights(learner.result))
    for each in (learner, later):
        update(each, 3)
    assert torch.equal(weights(later.network), weights(learner.network))
    assert torch.equal(weights(later.result), weights(learner.result))


def test_a_saved_state_is_saved_again_as_it_is():
    learner = update(a_learner(ema=0.5), 2)
    learner.keep_good()
    update(learner)
    state = through_a_file(learner.state_dict())
    later = loaded(state, learner, a_learner(5, ema=0.5))
    again = through_a_file(later.state_dict())
    assert repr(again) == repr(state) and again["good"]["step"] == 2


def test_what_was_kept_is_a_copy_that_nothing_changes():
    tensor = torch.ones(2, requires_grad=True)
    value = {"a": [tensor, (1, "x")], "b": None}
    copy = kept(value)
    assert repr(copy) == "{'a': [tensor([1., 1.]), (1, 'x')], 'b': None}"
    with torch.no_grad():
        tensor.zero_()
    value["a"].clear()
    assert torch.equal(copy["a"][0], torch.ones(2)) and not copy["a"][0].requires_grad


# --- new settings win -------------------------------------------------------------------------

HEALTH = Health(counted=60, total=3.0, reference=1.0, halvings=2, first_loss=0.5, said=("burns",))


def with_other(**changes):
    """A learner that goes on under other settings, after 3 updates and with HEALTH."""
    learner = update(a_learner(), 3)
    learner.health = HEALTH
    return learner, loaded(through_a_file(learner.state_dict()), learner, a_learner(5, **changes))


def test_where_nothing_has_changed_all_is_remembered():
    _, later = with_other()
    assert later.health == HEALTH and not later.notes


OTHER_LOSSES = {
    "loss": "Huber",
    "huber_delta": 0.5,
    "min_snr_gamma": 5.0,
    "noise_offset": 0.05,
    "timesteps": "logit-normal",
    "min_timestep": 100,
    "max_timestep": 500,
}


@pytest.mark.parametrize("name", DECIDE_LOSSES)
def test_losses_of_another_kind_are_counted_anew_and_the_rest_is_remembered(name):
    _, later = with_other(**{name: OTHER_LOSSES[name]})
    assert later.health == replace(HEALTH, counted=0, total=0.0, reference=None)


def test_a_state_that_does_not_say_what_decided_its_losses_is_trusted():
    """As those of earlier versions."""
    learner = update(a_learner())
    learner.health = HEALTH
    state = learner.state_dict()
    del state["decide_losses"]
    assert loaded(state, learner, a_learner(5, loss="Huber")).health == HEALTH


def test_another_learning_rate_counts_whole_again():
    _, later = with_other(learning_rate="1e-3")
    assert later.health == replace(HEALTH, halvings=0)


BESIDE = {
    "steps": 25, "batch_size": 2, "accumulation": 2, "seed": 1, "save_every": 1,
    "gradient_clip": "norm", "clip_limit": "1", "probe_every": 1, "held_out": 1,
    "checkpointing": "on", "latent_sampling": "once", "unet_dtype": "float32", "offload": True,
    "compile": True, "save_optimizer": True, "preserve": 1.0, "preserve_every": 2, "steer": True,
    "preserve_prompts": "a dog", "regularization_weight": 2.0, "strength_curve": "0: 0.5",
    "train_strength": 1.5, "cuda_graphs": True, "blocks_to_swap": 1,
}  # fmt: skip


def test_every_setting_is_in_a_table_or_has_a_test_of_its_own():
    own = ("learning_rate", "optimizer", "weight_decay", "ema", "averages")
    assert {each.name for each in fields(TrainSettings)} == {*own, *DECIDE_LOSSES, *BESIDE}


@pytest.mark.parametrize("name", BESIDE)
def test_no_other_setting_makes_it_forget_anything(name):
    learner, later = with_other(**{name: BESIDE[name]})
    assert later.health == HEALTH and not later.notes
    assert repr(later.optimizer.state_dict()) == repr(learner.optimizer.state_dict())


def test_another_weight_decay_holds_from_here_on():
    learner, later = with_other(weight_decay=0.5)
    assert later.optimizer.param_groups[0]["weight_decay"] == 0.5
    states = [each.optimizer.state_dict()["state"] for each in (learner, later)]
    assert repr(states[0]) == repr(states[1])


@pytest.mark.parametrize("name", [name for name in INSTALLED if name != "AdamW"])
def test_another_optimizer_starts_afresh_and_says_so(name):
    _, later = with_other(optimizer=name, learning_rate="1")
    assert not later.optimizer.state_dict()["state"]
    assert later.optimizer.param_groups[0]["params"] == list(later.network.parameters())
    assert later.notes == [f"The optimizer was AdamW and is now {name}, which starts afresh."]


def test_an_average_that_was_not_kept_begins_with_the_network_of_now():
    learner, later = with_other(ema=0.5)
    assert torch.equal(weights(later.average), weights(learner.network))
    assert later.average.record is later.network.record


def test_an_average_that_is_not_wanted_any_more_is_gone():
    learner = update(a_learner(ema=0.5), 3)
    later = loaded(through_a_file(learner.state_dict()), learner, a_learner(5))
    assert later.average is None and later.result is later.network


# --- back to a good state ---------------------------------------------------------------------


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_going_back_undoes_every_update_since(ema):
    learner = update(a_learner(ema=ema), 2)
    learner.keep_good()
    was = [weights(each) for each in (learner.network, learner.result)]
    optimizer = repr(learner.optimizer.state_dict())
    update(learner, 3)
    assert learner.can_go_back and learner.go_back() == learner.done == 2
    found = [weights(each) for each in (learner.network, learner.result)]
    assert all(map(torch.equal, found, was))
    assert repr(learner.optimizer.state_dict()) == optimizer
    assert learner.result.record.step == 2


def test_each_time_that_it_goes_back_it_halves_the_rate_once_more():
    learner = a_learner()
    learner.keep_good()
    for halvings in (1, 2, 3):
        update(learner, 2)
        learner.health = replace(learner.health, counted=2, total=9.0)
        learner.go_back()
        assert learner.health == Health(halvings=halvings)


def test_a_learner_that_kept_nothing_cannot_go_back():
    assert not a_learner().can_go_back


def test_a_good_state_is_saved_too_where_it_is_another_than_the_newest():
    learner = update(a_learner(), 2)
    assert learner.state_dict()["good"] is None
    learner.keep_good()
    assert learner.state_dict()["good"] is None, "it is the one that is saved"
    update(learner)
    state = through_a_file(learner.state_dict())
    assert state["good"]["step"] == 2
    later = loaded(state, learner, a_learner(5))
    assert later.go_back() == 2
    learner.go_back()
    assert torch.equal(weights(later.network), weights(learner.network))


def test_going_back_twice_leads_to_the_same_state():
    learner = update(a_learner(ema=0.5), 2)
    learner.keep_good()
    found = []
    for _ in range(2):
        update(learner, 2)
        learner.go_back()
        update(learner)
        found.append((weights(learner.network), weights(learner.result)))
    assert all(map(torch.equal, *found))


def test_going_back_to_before_another_setting_keeps_that_setting():
    learner = update(a_learner(ema=0.5), 2)
    learner.keep_good()
    update(learner)
    state = through_a_file(learner.state_dict())
    later = loaded(state, learner, a_learner(5, weight_decay=0.5, learning_rate="1e-3"))
    later.go_back()
    assert later.optimizer.param_groups[0]["weight_decay"] == 0.5
    assert later.average is None and later.health.halvings == 1


@pytest.mark.parametrize(("checkpointing", "on"), [("on", True), ("auto", False), ("off", False)])
def test_parts_are_computed_twice_from_the_start_only_where_that_is_asked_for(checkpointing, on):
    assert a_learner(checkpointing=checkpointing).checkpoints == on


def test_a_state_holds_plain_numbers_for_health_and_settings():
    learner = update(a_learner())
    learner.health = HEALTH
    state = learner.state_dict()
    assert state["health"] == asdict(HEALTH)
    assert list(state["decide_losses"]) == list(DECIDE_LOSSES)


# --- averages of other widths -------------------------------------------------------------------


def powers(learner):
    return {width: weights(each) for width, each in learner.powers.networks.items()}


def test_averages_come_back_with_a_state_and_go_on_bit_by_bit():
    whole = update(a_learner(averages=4), 9)
    first = update(a_learner(averages=4), 5)
    state = through_a_file(first.state_dict())
    later = update(loaded(state, first, a_learner(5, averages=4)), 4)
    assert later.powers.since == 0
    for width, expected in powers(whole).items():
        assert torch.equal(powers(later)[width], expected)


def test_averages_begin_where_they_are_first_asked_for_and_end_where_they_are_not():
    first = update(a_learner(), 5)
    assert first.powers is None and first.networks == [first.network]
    state = through_a_file(first.state_dict())
    later = update(loaded(state, first, a_learner(5, averages=4)))
    assert later.powers.since == 5 and len(later.networks) == 3
    for average in powers(later).values():
        assert torch.equal(average, weights(later.network))
    state = through_a_file(later.state_dict())
    assert update(loaded(state, later, a_learner(5))).powers is None


def test_a_state_of_before_there_were_averages_can_be_read():
    learner = update(a_learner())
    state = learner.state_dict()
    del state["powers"]
    assert loaded(state, learner, a_learner(5, averages=4)).powers is None


def test_averages_do_not_change_what_is_learnt():
    assert torch.equal(*(weights(update(a_learner(averages=n), 5).network) for n in (0, 4)))


def test_a_state_from_a_card_goes_on_with_the_kernels_of_this_device():
    """On a card AdamW is one kernel, and a state says so."""
    learner = update(a_learner(), 3)
    state = through_a_file(learner.state_dict())
    for group in state["optimizer"]["param_groups"]:
        group["fused"] = True
    there = loaded(state, learner, a_learner(begun=5))
    assert not any(group["fused"] for group in there.optimizer.param_groups)
    assert weights(update(there, 3).network).equal(weights(update(learner, 3).network))
