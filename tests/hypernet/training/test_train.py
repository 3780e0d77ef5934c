"""Training, on a denoiser small enough to know the answer."""

import io
import math
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork
from hypernet.seeding import generator, sample_order
from hypernet.training.diffusion import Batch, Denoiser, diffusion_levels
from hypernet.training.learner import Learner
from hypernet.training.optimizers import OPTIMIZERS, missing_package
from hypernet.training.probe import Probe
from hypernet.training.range_test import range_test, useful_band
from hypernet.training.schedule import parse_schedule
from hypernet.training.settings import TrainSettings
from hypernet.training.train import TrainingDiverged, train

ALPHAS = torch.linspace(0.99, 0.01, 1000)
WIDTH = 8


def denoiser_of(prediction="eps", spoil=(), dtype=torch.float32, **given):
    """Its answer is a fixed linear map of what the patched keys and values of two blocks are.

    spoil: calls in training, counted from 1, whose answer is no number.
    """
    weights = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(3))
    calls = []

    def predict(noisy, timesteps, condition, acting):
        calls.append(
            (noisy.clone(), timesteps.clone(), {k: v.clone() for k, v in condition.items()})
        )
        context = condition["context"]
        _, first, _ = acting.attn2(context[:, :1], context, context, {})
        _, _, second = acting.attn2(context[:, :1], context, context, {})
        answer = (first + second).mean(1) @ weights.T
        if len(calls) in spoil:
            answer = answer * float("nan")
        return noisy.float() + answer.to(dtype).float()[:, :, None, None]

    denoiser = Denoiser(
        predict=predict,
        levels=diffusion_levels(ALPHAS),
        prediction=prediction,
        device=torch.device("cpu"),
        dtype=dtype,
        **given,
    )
    return denoiser, calls


def batch_at(first, number):
    chance = torch.Generator().manual_seed(first)
    latents = torch.randn(number, 4, 2, 2, generator=chance)
    return Batch(latents, {"context": torch.randn(number, 5, WIDTH, generator=chance)})


def new_network(**given):
    return Hypernetwork(HypernetSpec(widths=(WIDTH,), activation="mish", **given))


def trained(settings, learner=None, denoiser=None, probe=None, **given):
    """(learner, steps, calls of the denoiser)"""
    learner = learner or Learner(new_network(**given), settings)
    denoiser, calls = denoiser or denoiser_of()
    return learner, list(train(learner, denoiser, batch_at, probe)), calls


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def resumed(learner, settings):
    """Another learner, from what the first one would have saved."""
    network = new_network(dropout_structure=learner.network.spec.dropout_structure)
    network.load_state_dict(learner.network.state_dict())
    network.record.step = learner.done
    other = Learner(network, settings)
    other.load_state_dict(saved(learner.state_dict()))
    return other


def saved(state):
    """What a file gives back."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_steps_are_counted_as_updates_done_with_the_rates_of_the_schedule():
    settings = TrainSettings(steps=6, learning_rate="1e-2:2, 1e-3", batch_size=2)
    learner, steps, _ = trained(settings)
    assert [step.done for step in steps] == [1, 2, 3, 4, 5, 6]
    assert [step.rate for step in steps] == [1e-2] * 2 + [1e-3] * 4
    assert learner.network.record.step == 6


def test_training_ends_when_the_schedule_does():
    _, steps, _ = trained(TrainSettings(steps=100, learning_rate="1e-3:3"))
    assert len(steps) == 3


def test_a_schedule_that_ends_before_the_start_is_refused():
    settings = TrainSettings(steps=10, learning_rate="1e-3:3")
    learner = Learner(new_network(), settings)
    learner.network.record.step = 3
    with pytest.raises(ValueError, match='"1e-3:3" has no rate for step 3'):
        trained(settings, learner)


def test_nothing_is_left_to_train_where_all_steps_are_done_although_the_schedule_ends_there():
    settings = TrainSettings(steps=3, learning_rate="1e-3:3")
    learner = Learner(new_network(), settings)
    learner.network.record.step = 3
    assert trained(settings, learner)[1] == []


def test_the_texts_of_schedules_are_read_once(monkeypatch):
    read = []

    def counted(text, *more, **named):
        read.append(text)
        return parse_schedule(text, *more, **named)

    monkeypatch.setattr("hypernet.training.settings.parse_schedule", counted)
    settings = TrainSettings(
        steps=3, learning_rate="1e-3", gradient_clip="norm", clip_limit="1:2, 0.5"
    )
    assert len(trained(settings)[1]) == 3
    assert sorted(read) == ["1:2, 0.5", "1e-3"]


def test_the_network_learns():
    settings = TrainSettings(steps=150, learning_rate="1e-2", batch_size=16)
    _, steps, _ = trained(settings)
    assert sum(s.loss for s in steps[-20:]) < 0.5 * sum(s.loss for s in steps[:20])


# --- the same as a plain loop --------------------------------------------------------------------


def plain_loop(prediction, accumulation, clip, steps=20, batch_size=2, rate=3e-3, seed=4):
    """Training as the formulas say it, on the network's layers as functions."""
    network = new_network()
    parameters = list(network.parameters())
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    k, v = (network.pairs[str(WIDTH)][side].linear for side in "kv")
    answer = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(3))
    losses = []
    for step in range(steps):
        losses.append(0.0)
        gradients = [torch.zeros_like(p) for p in parameters]
        for part in range(accumulation):
            count = step * accumulation + part
            x, condition, _ = batch_at(count * batch_size, batch_size)
            text = condition["context"]
            chance = generator(seed, "noise", count)
            t = torch.randint(1000, (batch_size,), generator=chance)
            noise = torch.randn(x.shape, generator=chance)
            a, b = (part.sqrt()[:, None, None, None] for part in (ALPHAS[t], 1 - ALPHAS[t]))
            truth = noise if prediction == "eps" else a * noise - b * x
            keys, values = text + k(text), text + v(text)
            found = a * x + b * noise + ((keys + values).mean(1) @ answer.T)[:, :, None, None]
            loss = ((found - truth) ** 2).mean() / accumulation
            losses[-1] += loss.item()
            for sum_, gradient in zip(
                gradients, torch.autograd.grad(loss, parameters), strict=True
            ):
                sum_ += gradient
        if clip == "value":
            gradients = [g.clamp(-0.01, 0.01) for g in gradients]
        if clip == "norm":
            norm = torch.cat([g.flatten() for g in gradients]).norm()
            gradients = [g * min(1, 0.01 / (norm + 1e-6)) for g in gradients]
        with torch.no_grad():
            for p, (m, s), g in zip(parameters, moments, gradients, strict=True):
                p *= 1 - rate * 0.01
                m.lerp_(g, 1 - 0.9)
                s.lerp_(g * g, 1 - 0.999)
                root = (s / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8
                p -= rate * (m / (1 - 0.9 ** (step + 1))) / root
    return losses, weights(network)


@pytest.mark.parametrize("clip", ["off", "value", "norm"])
@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_losses_and_weights_are_those_of_a_plain_loop(prediction, accumulation, clip):
    settings = TrainSettings(
        steps=20, learning_rate="3e-3", batch_size=2, accumulation=accumulation, seed=4,
        gradient_clip=clip,
        clip_limit="0.01",
    )  # fmt: skip
    learner, steps, _ = trained(settings, denoiser=denoiser_of(prediction))
    losses, expected = plain_loop(prediction, accumulation, clip)
    assert [step.loss for step in steps] == pytest.approx(losses, rel=1e-6, abs=1e-6)
    torch.testing.assert_close(weights(learner.network), expected, rtol=0, atol=1e-6)


def test_a_clip_limit_follows_its_own_schedule_and_keeps_its_last_value():
    """Lion-like sizes are visible without momentum: sgd would be, so the gradients are read."""
    settings = TrainSettings(
        steps=4, learning_rate="1e-3", gradient_clip="value", clip_limit="1e-3:1, 1e-5:2"
    )
    learner = Learner(new_network(), settings)
    seen = []
    learner.optimizer.register_step_pre_hook(
        lambda optimizer, *rest: seen.append(
            max(p.grad.abs().max().item() for p in learner.network.parameters())
        )
    )
    trained(settings, learner)
    assert seen == pytest.approx([1e-3, 1e-5, 1e-5, 1e-5])


# --- going on ------------------------------------------------------------------------------------

PROBE = Probe([batch_at(900 + 2 * i, 2) for i in range(2)], held_out=True)
INSTALLED = [name for name in OPTIMIZERS if not missing_package(name)]


@pytest.mark.parametrize(
    "changes",
    [{}, dict(ema=0.9), dict(gradient_clip="norm"), *(dict(optimizer=name) for name in INSTALLED)],
    ids=str,
)
def test_going_on_from_the_middle_gives_the_unbroken_run_bit_by_bit(changes):
    rate = "1:6, 0.1" if changes.get("optimizer") == "Prodigy" else "1e-2:6, 1e-3"
    shared = dict(learning_rate=rate, batch_size=2, accumulation=2, probe_every=3) | changes
    dropout = dict(dropout_structure=(0, 0.5, 0))
    whole, steps, _ = trained(TrainSettings(steps=10, **shared), probe=PROBE, **dropout)
    half, _, _ = trained(TrainSettings(steps=4, **shared), probe=PROBE, **dropout)
    torch.manual_seed(99)  # the global state belongs to others
    rest, later, _ = trained(
        settings := TrainSettings(steps=10, **shared), resumed(half, settings), probe=PROBE
    )
    assert torch.equal(weights(rest.network), weights(whole.network))
    assert torch.equal(weights(rest.result), weights(whole.result))
    assert same(later, steps[4:])
    assert rest.health == whole.health


def same(steps, others):
    return repr(steps) == repr(others)  # NaN is like NaN here


def test_new_settings_win_over_saved_ones():
    old = TrainSettings(steps=2, learning_rate="1e-2", weight_decay=0.5)
    learner, _, _ = trained(old)
    new = TrainSettings(steps=4, learning_rate="1e-3", weight_decay=0.1, ema=0.99)
    later = resumed(learner, new)
    _, steps, _ = trained(new, later)
    assert [step.rate for step in steps] == [1e-3, 1e-3]
    assert later.optimizer.param_groups[0]["weight_decay"] == 0.1
    assert later.average is not None
    lion = TrainSettings(steps=4, optimizer="Adafactor")
    _, steps, _ = trained(lion, resumed(learner, lion))
    assert steps[0].notes == ("The optimizer was AdamW and is now Adafactor, which starts afresh.",)


def test_accumulated_batches_equal_one_large_batch():
    one = TrainSettings(steps=3, learning_rate="1e-2", batch_size=4)
    _, _, large = trained(one)
    many = TrainSettings(steps=3, learning_rate="1e-2", batch_size=2, accumulation=2)
    learner, _, small = trained(many)
    assert len(small) == 2 * len(large) and len(small[0][0]) * 2 == len(large[0][0])
    assert torch.isfinite(weights(learner.network)).all()


def test_the_global_random_state_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    trained(TrainSettings(steps=2, probe_every=1), probe=PROBE, dropout_structure=(0, 0.5, 0))
    assert torch.equal(torch.rand(3), expected)


def test_text_that_all_blocks_share_goes_through_the_network_once():
    passes = []
    settings = TrainSettings(steps=1, accumulation=2)
    learner = Learner(new_network(), settings)
    mlp = learner.network.pairs[str(WIDTH)]["k"]
    mlp.register_forward_hook(lambda *call: passes.append(1))
    trained(settings, learner)
    assert len(passes) == 2  # of two batches, though each has two blocks


# --- what the settings do ------------------------------------------------------------------------


def test_the_average_follows_the_network_and_is_the_result():
    settings = TrainSettings(steps=30, learning_rate="1e-2", ema=0.5)
    learner = Learner(new_network(), settings)
    expected = weights(learner.network).clone()
    for step in train(learner, denoiser_of()[0], batch_at):
        decay = min(0.5, (1 + step.done) / (10 + step.done))
        expected = decay * expected + (1 - decay) * weights(learner.network)
    torch.testing.assert_close(weights(learner.result), expected)
    assert learner.result is not learner.network and learner.result.record.step == 30


def test_a_mask_chooses_what_counts():
    masked = torch.zeros(2, 1, 2, 2)
    masked[..., 0] = 1

    def batches(first, number, spoil):
        batch = batch_at(first, number)
        latents = batch.latents.clone()
        latents[..., 1] += spoil
        return batch._replace(latents=latents, weights=masked)

    results = []
    for spoil in (0.0, 5.0):
        settings = TrainSettings(steps=5, learning_rate="1e-2", batch_size=2)
        learner = Learner(new_network(), settings)
        list(train(learner, denoiser_of("v")[0], partial(batches, spoil=spoil)))
        results.append(weights(learner.network))
    assert torch.equal(*results)


def test_timesteps_stay_in_their_range():
    settings = TrainSettings(steps=20, batch_size=4, min_timestep=300, max_timestep=310)
    for kind in ("uniform", "logit-normal"):
        _, _, calls = trained(replace(settings, timesteps=kind))
        drawn = {int(t) for _, timesteps, _ in calls for t in timesteps}
        assert min(drawn) >= 300 and max(drawn) < 310 and len(drawn) > 5


@pytest.mark.parametrize("name", INSTALLED)
def test_every_optimizer_learns_at_a_rate_that_is_usual_for_it(name):
    factor = OPTIMIZERS[name].factor
    rate = "2" if factor is None else f"{5e-3 * factor:g}"  # a toy is quicker than a UNet
    settings = TrainSettings(steps=150, learning_rate=rate, batch_size=16, optimizer=name)
    _, steps, _ = trained(settings)
    assert sum(s.loss for s in steps[-20:]) < 0.7 * sum(s.loss for s in steps[:20])
    assert all(step.rate > 0 for step in steps)


def test_an_optimizer_that_is_not_installed_is_asked_for_in_words():
    missing = [name for name in OPTIMIZERS if missing_package(name)]
    if not missing:
        pytest.skip("all are installed")
    with pytest.raises(ModuleNotFoundError, match=f'"{missing[0]}" needs the package .* or choose'):
        Learner(new_network(), TrainSettings(optimizer=missing[0], learning_rate="1"))


def test_float16_gradients_are_scaled_up_so_that_they_do_not_vanish():
    """Through a float16 step of 1e-6 gradients would be 0; clipping sees them in true size."""

    def predict(noisy, timesteps, condition, acting):
        context = condition["context"].half()
        _, keys, values = acting.attn2(context[:, :1], context, context, {})
        answer = (keys.float() + values.float()).half().mean((1, 2)) * 1e-4
        return noisy.float() + answer.float()[:, None, None, None] * 1e-3

    half = replace(denoiser_of(dtype=torch.float16)[0], predict=predict)
    full = replace(
        denoiser_of()[0],
        predict=lambda noisy, t, condition, acting: (
            noisy
            + 1e-7
            * sum(acting.attn2(None, condition["context"], None, {})[1:]).mean((1, 2))[
                :, None, None, None
            ]
        ),
    )
    settings = TrainSettings(steps=1)
    found, expected = (trained(settings, denoiser=(one, []))[1][0] for one in (half, full))
    assert found.gradient == pytest.approx(expected.gradient, rel=0.05)


def test_an_overflow_in_float16_makes_the_scale_smaller_and_is_no_update():
    settings = TrainSettings(steps=3, learning_rate="1e-3")
    learner = Learner(new_network(), settings)
    learner.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24)
    _, steps, calls = trained(settings, learner, denoiser_of(dtype=torch.float16))
    assert [step.done for step in steps] == [1, 2, 3] and len(calls) > 3
    assert learner.scaler.get_scale() < 2.0**24 and torch.isfinite(weights(learner.network)).all()


def test_parts_are_computed_twice_only_when_memory_runs_out():
    used = []

    @contextmanager
    def checkpointed():
        used.append(True)
        yield

    denoiser, calls = denoiser_of(checkpointed=checkpointed)

    def hungry(*inputs):
        if not used:
            raise torch.OutOfMemoryError("too large")
        return denoiser.predict(*inputs)

    settings = TrainSettings(steps=2)
    _, steps, _ = trained(settings, denoiser=(replace(denoiser, predict=hungry), calls))
    assert len(used) == 2 and "computed twice" in steps[0].notes[0] and not steps[1].notes
    with pytest.raises(torch.OutOfMemoryError):
        used.clear()
        never = replace(settings, checkpointing="off")
        trained(never, denoiser=(replace(denoiser, predict=hungry), calls))
    with pytest.raises(ValueError, match='checkpointing "on": it cannot be done'):
        trained(replace(settings, checkpointing="on"))


# --- blow-ups ------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_leads_back_to_the_last_good_state_at_half_the_rate():
    settings = TrainSettings(steps=104, learning_rate="1e-2")
    _, steps, _ = trained(settings, denoiser=denoiser_of(spoil=[103]))
    assert [s.done for s in steps[99:]] == [100, 101, 102, 101, 102, 103, 104]
    again = steps[102]
    assert again.went_back_to == 100 and again.rate == 5e-3
    assert again.notes == (
        "At step 103 the loss became nan (learning rate 0.01): back to step 100, at half the rate "
        "from here on (1 of 3 times).",
    )
    assert steps[101].went_back_to is None and steps[103].went_back_to is None
    _, plain, _ = trained(replace(settings, steps=100))
    assert [s.loss for s in steps[:100]] == [s.loss for s in plain]


def test_a_run_that_went_back_and_was_resumed_ends_as_the_unbroken_one():
    settings = TrainSettings(steps=104, learning_rate="1e-2")
    whole, steps, _ = trained(settings, denoiser=denoiser_of(spoil=[103]))
    for stop in (50, 101, 104):  # updates made, the undone ones too
        learner = Learner(new_network(), settings)
        made = train(learner, denoiser_of(spoil=[103])[0], batch_at)
        before = [next(made) for _ in range(stop)]
        later = resumed(learner, settings)
        rest = list(train(later, denoiser_of(spoil=[103 - stop])[0], batch_at))
        assert torch.equal(weights(later.network), weights(whole.network)), stop
        assert same(before + rest, steps)


def test_going_back_behind_the_start_of_a_resumed_run_finds_the_rates_of_then():
    settings = TrainSettings(steps=125, learning_rate="1e-2:112, 1e-3")
    learner = Learner(new_network(), settings)
    made = train(learner, denoiser_of()[0], batch_at)
    for _ in range(115):
        next(made)
    later = resumed(learner, settings)
    steps = list(train(later, denoiser_of(spoil=[4])[0], batch_at))
    assert [step.done for step in steps[:5]] == [116, 117, 118, 101, 102]
    rates = {step.done: step.rate for step in steps[3:]}
    assert rates == {n: 5e-3 if n <= 112 else 5e-4 for n in range(101, 126)}


def test_three_times_are_enough():
    settings = TrainSettings(steps=9, learning_rate="1e-2")
    learner = Learner(new_network(), settings)
    begun = weights(learner.network).clone()
    denoiser, _ = denoiser_of(spoil=[4, 8, 12, 16])
    done = []
    with pytest.raises(TrainingDiverged, match="At step 4 .*halving the rate has not helped 3"):
        for step in train(learner, denoiser, batch_at):
            done.append((step.done, step.rate))
    assert [n for n, _ in done] == [1, 2, 3] * 4
    assert [rate for _, rate in done[::3]] == [1e-2, 5e-3, 2.5e-3, 1.25e-3]
    assert learner.done == 0 and torch.equal(weights(learner.network), begun)
    assert not learner.network.training


def test_another_learning_rate_counts_whole_again():
    settings = TrainSettings(steps=5, learning_rate="1e-2")
    learner, _, _ = trained(settings, denoiser=denoiser_of(spoil=[4]))
    assert learner.health.halvings == 1
    other = replace(settings, steps=7, learning_rate="1e-3")
    _, steps, _ = trained(other, resumed(learner, other))
    assert [step.rate for step in steps] == [1e-3, 1e-3]


# --- the probe -----------------------------------------------------------------------------------


def test_the_probe_is_smooth_and_changes_nothing():
    settings = TrainSettings(steps=30, learning_rate="1e-2", probe_every=10, batch_size=4)
    learner, steps, _ = trained(settings, probe=PROBE)
    measured = {step.done: step.probe for step in steps if step.probe is not None}
    assert list(measured) == [10, 20, 30]
    assert learner.health.first_loss > measured[10] > measured[20] > measured[30]
    assert 0 < steps[-1].residual[WIDTH] < 1 and not steps[0].residual
    unmeasured, _, _ = trained(settings)
    assert torch.equal(weights(learner.network), weights(unmeasured.network))


@pytest.mark.parametrize("before", [{}, {"probe_every": 0}], ids=["always", "since it resumed"])
def test_a_blow_up_does_not_lose_what_the_probe_said_first(before):
    """All is compared with a network without effect. An earlier state may not have measured it."""
    settings = TrainSettings(steps=8, learning_rate="1e-2", probe_every=4)
    whole, _, _ = trained(settings, probe=PROBE)
    begun, _, _ = trained(replace(settings, steps=1, **before), probe=PROBE)
    assert (begun.health.first_loss is None) == bool(before)
    resumed_learner = resumed(begun, settings)
    looked = len(PROBE.batches) if before else 0  # calls
    learner, steps, _ = trained(settings, resumed_learner, denoiser_of(spoil=[looked + 2]), PROBE)
    assert [step.went_back_to for step in steps][:2] == [None, 0]
    assert learner.health.first_loss == whole.health.first_loss
    assert [step.done for step in steps if step.probe is not None] == [4, 8]


def test_a_range_test_finds_rates_that_lower_the_loss_and_leaves_the_network_alone():
    network = new_network()
    begun = weights(network).clone()
    settings = TrainSettings(batch_size=8)
    points = list(
        range_test(network, denoiser_of()[0], batch_at, PROBE, settings, 1e-6, 10.0, 120, 4)
    )
    assert torch.equal(weights(network), begun) and network.record.step == 0
    rates = [point.rate for point in points]
    assert rates == sorted(rates) and len(points) < 30, "it stops where the loss blows up"
    assert 1e-5 < useful_band(points).low < useful_band(points).high < 1
    with pytest.raises(ValueError, match="from 1 to 0.1: the rates must rise"):
        next(range_test(network, denoiser_of()[0], batch_at, PROBE, settings, 1, 0.1))


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (dict(steps=0), "steps 0: give 1 to 10,000,000"),
        (dict(batch_size=0), "batch_size 0"),
        (dict(save_every=-1), "save_every -1"),
        (dict(learning_rate="fast"), '"fast"'),
        (dict(learning_rate="0"), "at a rate of 0 nothing would be learnt"),
        (dict(learning_rate="0,00005"), 'Perhaps you mean "0.00005"'),
        (dict(optimizer="AdamX"), 'Optimizer "AdamX" is not known. Nearest: AdamW'),
        (dict(optimizer="Prodigy"), '"5e-5:100, 5e-6:1500, 1e-6" would keep Prodigy from learning'),
        (dict(gradient_clip="norn"), 'gradient_clip "norn" is not known. Nearest: norm'),
        (dict(gradient_clip="norm", clip_limit="x"), 'Clip limit "x"'),
        (dict(gradient_clip="norm", clip_limit="0"), "a limit of 0 lets nothing be learnt"),
        (dict(batch_size=1.5), "batch_size 1.5: give a whole number"),
        (dict(steps="many"), "steps many: give 1 to"),
        (dict(ema=1.0), "ema 1.0: give 0 to 0.99999"),
        (dict(ema=math.nan), "ema nan"),
        (dict(min_timestep=600, max_timestep=600), "600 is not below max_timestep 600"),
        (dict(loss="L1"), 'loss "L1"'),
        (dict(weight_decay=-1), "weight_decay -1"),
        (dict(steps=0, batch_size=0, loss="L1", learning_rate="fast"), "batch_size 0.*L1.*fast"),
    ],
)
def test_wrong_settings_are_refused_in_words_all_at_once(settings, words):
    with pytest.raises(ValueError, match=words):
        TrainSettings(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        dict(optimizer="Prodigy", learning_rate="cosine 1"),
        dict(gradient_clip="off", clip_limit="nonsense"),
        dict(learning_rate="cosine 1e-4 warmup 3000"),
    ],
)
def test_settings_that_only_look_wrong_are_taken(settings):
    TrainSettings(**settings)


# --- chance --------------------------------------------------------------------------------------


def test_every_picture_is_shown_once_before_any_is_shown_twice():
    stream = sample_order(7, 5, 0, 20)
    for epoch in range(4):
        assert sorted(stream[5 * epoch : 5 * epoch + 5]) == [0, 1, 2, 3, 4]
    assert sample_order(7, 5, 3, 9) == stream[3:12]
    assert sample_order(8, 5, 0, 20) != stream


def test_chance_depends_on_seed_purpose_and_step_alone():
    draws = {
        torch.rand(1, generator=generator(seed, purpose, step)).item()
        for seed in (0, 1)
        for purpose in ("noise", "order")
        for step in (0, 1)
    }
    assert len(draws) == 8
