"""Whatever may change in mid-run changes, and the run goes on: through a state file on the disk."""

import math
from dataclasses import asdict, fields, replace
from functools import cache

import pytest
import torch

from hypernet import HypernetSpec
from hypernet.network.hypernetwork import Hypernetwork
from hypernet.runs.state import (
    FREE,
    check_same_network,
    load_state,
    read_state,
    save_state,
    state_of,
)
from hypernet.seeding import generator, global_chance
from hypernet.training.diffusion import (
    Batch,
    Denoiser,
    add_noise,
    diffusion_levels,
    draw_noise,
    draw_timesteps,
    elementwise_loss,
    min_snr_weight,
)
from hypernet.training.health import SETTLED
from hypernet.training.learner import Learner
from hypernet.training.optimizers import OPTIMIZERS, build_optimizer, missing_package
from hypernet.training.probe import Probe
from hypernet.training.settings import TrainSettings
from hypernet.training.train import train

WIDTH = 8


def batch_at(first, number):
    chance = torch.Generator().manual_seed(first)
    latents = torch.randn(number, 4, 2, 2, generator=chance)
    return Batch(latents, {"context": torch.randn(number, 5, WIDTH, generator=chance)})


def denoiser_for(settings, spoilt=0):
    """Adds the means of its patched keys and values; the first `spoilt` answers are no number."""
    calls = []

    def predict(noisy, timesteps, condition, acting):
        calls.append(timesteps)
        context = condition["context"]
        _, keys, values = acting.attn2(context[:, :1], context, context, {})
        answer = (keys + values).mean((1, 2)) * (math.nan if len(calls) <= spoilt else 1)
        return noisy + answer[:, None, None, None]

    dtype = torch.float16 if settings.unet_dtype == "float16" else torch.float32
    alphas = torch.linspace(0.99, 0.01, 1000)
    return Denoiser(
        predict=predict,
        levels=diffusion_levels(alphas),
        prediction="eps",
        device=torch.device("cpu"),
        dtype=dtype,
    )


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


BEFORE = TrainSettings(steps=2, learning_rate="1e-2", probe_every=1, batch_size=2)
AFTER = replace(BEFORE, steps=4)
PROBE = Probe([batch_at(900, 2)])
DROPOUT = (0, 0.5, 0.5)

# Every setting, with other values than BEFORE's.
OTHER = {
    "steps": [3],
    "learning_rate": ["1e-3", "cosine 1e-2 to 1e-4"],
    "batch_size": [4],
    "accumulation": [2],
    "seed": [5],
    "save_every": [0],
    "optimizer": [name for name in OPTIMIZERS if name != "AdamW" and not missing_package(name)],
    "weight_decay": [0.5],
    "gradient_clip": ["value", "norm"],
    "clip_limit": ["1e-3"],
    "ema": [0.9, 0.0],
    "loss": ["Huber"],
    "huber_delta": [0.5],
    "min_snr_gamma": [5.0],
    "noise_offset": [0.05],
    "timesteps": ["logit-normal"],
    "min_timestep": [300],
    "max_timestep": [500],
    "probe_every": [3, 0],
    "held_out": [1],
    "checkpointing": ["off"],
    "latent_sampling": ["once"],
    "unet_dtype": ["float16"],
    "offload": [True],
    "compile": [True],
    "save_optimizer": [True],
    "preserve": [1.0],
    "preserve_every": [2],
    "strength_curve": ["0: 0.5"],
    "averages": [2],
    "preserve_prompts": ["a dog"],
    "regularization_weight": [2.0],
    "cuda_graphs": [True],
    "blocks_to_swap": [2],
    "train_strength": [1.5],
    "steer": [True],
}
CHANGES = [{name: value} for name, values in OTHER.items() for value in values]
BEGINNINGS = {
    "seed": 3,
    "weight_initialization": "XavierNormal",
    "dropout_structure": DROPOUT,
}


def network_of(**spec):
    return Hypernetwork(HypernetSpec(widths=(WIDTH,), activation="mish", layer_norm=True, **spec))


def written(path, settings, **spec):
    """(learner, path of its state) after training as the settings say."""
    learner = Learner(network_of(**spec), settings)
    list(train(learner, denoiser_for(settings), batch_at, PROBE))
    save_state(path, state_of(learner.network, learner, asdict(settings), {}))
    return learner, path / "state.pt"


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """begun(ema, dropout): as written, each made once. Nobody may change what it gives."""

    @cache
    def make(ema, dropout):
        folder = tmp_path_factory.mktemp("run")
        return written(folder, replace(BEFORE, ema=ema), dropout_structure=dropout)

    return make


def resumed(file, settings, **spec):
    state = read_state(file)
    learner = Learner(network_of(**spec), settings)
    check_same_network(state, learner.network.spec, "The run")
    load_state(state, learner.network, learner)
    return learner


def goes_on(learner):
    """To the end, over a blow-up at once: it goes back to a state of before the change."""
    denoiser = denoiser_for(learner.settings, spoilt=1)
    steps = list(train(learner, denoiser, batch_at, PROBE))
    assert steps[0].went_back_to == 0
    assert learner.done == steps[-1].done == learner.settings.steps
    for network in (learner.network, learner.result):
        assert torch.isfinite(weights(network)).all()


def test_the_table_has_every_setting_and_everything_that_a_network_may_have_otherwise():
    assert list(OTHER) == [field.name for field in fields(TrainSettings)]
    assert set(BEGINNINGS) == set(FREE)


@pytest.mark.parametrize("ema", [0.0, 0.5])
@pytest.mark.parametrize(("before", "after"), [((), DROPOUT), (DROPOUT, ())], ids=str)
@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_run_goes_on_with_another_setting_and_dropout(begun, change, before, after, ema):
    first, file = begun(ema, before)
    settings = replace(AFTER, **{"ema": ema} | change)
    learner = resumed(file, settings, dropout_structure=after)
    assert torch.equal(weights(learner.network), weights(first.network))
    if ema and settings.ema:
        assert torch.equal(weights(learner.result), weights(first.result))
        assert not torch.equal(weights(learner.result), weights(first.network))
    goes_on(learner)


@pytest.mark.parametrize("ema", [0.0, 0.5])
@pytest.mark.parametrize("key", BEGINNINGS)
def test_a_run_goes_on_where_the_network_would_have_begun_otherwise(tmp_path, key, ema):
    first, file = written(tmp_path, replace(BEFORE, ema=ema))
    learner = resumed(file, replace(AFTER, ema=ema), **{key: BEGINNINGS[key]})
    assert torch.equal(weights(learner.network), weights(first.network))
    assert torch.equal(weights(learner.result), weights(first.result))
    goes_on(learner)


# --- the change made by hand ---------------------------------------------------------------------


def changed_by_hand(first, settings, dropout):
    """(network, average, optimizer) as the first learner leaves them, made anew for the change."""
    network = network_of(dropout_structure=dropout).requires_grad_(True)
    average = network_of(dropout_structure=dropout).requires_grad_(False)
    source = first.network if first.average is None else first.average
    optimizer = build_optimizer(settings.optimizer, network.parameters(), settings.weight_decay)
    with torch.no_grad():
        for new, slow, old, was in zip(
            *(each.parameters() for each in (network, average, first.network, source)), strict=True
        ):
            new.copy_(old)
            slow.copy_(was)
            if settings.optimizer == first.settings.optimizer:
                moments = first.optimizer.state[old]
                optimizer.state[new] = {key: value.clone() for key, value in moments.items()}
    return network, average, optimizer


def loss_by_hand(network, settings, count):
    """Of the count-th batch since the beginning."""
    x, condition, _ = batch_at(count * settings.batch_size, settings.batch_size)
    chance = generator(settings.seed, "noise", count)
    limits = settings.min_timestep, settings.max_timestep
    t = draw_timesteps(settings.timesteps, len(x), *limits, chance)
    noise = draw_noise(x.shape, settings.noise_offset, chance)
    denoiser = denoiser_for(settings)
    levels = denoiser.levels.at(t)
    noisy = add_noise(x, noise, levels).to(denoiser.dtype)
    with global_chance(settings.seed, "dropout", count, torch.device("cpu")):
        text = condition["context"]
        strength = settings.train_strength * (settings.curve[0][1] if settings.curve else 1)
        answer = (network.keys(text, strength) + network.values(text, strength)).mean((1, 2))
    found = noisy + answer[:, None, None, None]
    error = elementwise_loss(settings.loss, found, noise, settings.huber_delta)
    if settings.min_snr_gamma:
        error = error * min_snr_weight("eps", levels, settings.min_snr_gamma).view(-1, 1, 1, 1)
    return error.mean()


def trained_by_hand(first, settings, dropout):
    """(network, average) after all steps, by the formulas and torch alone."""
    network, average, optimizer = changed_by_hand(first, settings, dropout)
    parameters, parts = list(network.parameters()), settings.accumulation
    network.train()
    for step in range(first.done, settings.steps):
        for part in range(parts):
            (loss_by_hand(network, settings, step * parts + part) / parts).backward()
        if settings.gradient_clip == "value":
            torch.nn.utils.clip_grad_value_(parameters, float(settings.clip_limit))
        if settings.gradient_clip == "norm":
            torch.nn.utils.clip_grad_norm_(parameters, float(settings.clip_limit))
        for group in optimizer.param_groups:
            group["lr"] = settings.schedule.rate_at(step)
            if settings.steer:  # so small a network is too quiet after every update
                group["lr"] *= 2.0 ** (step - first.done)
        optimizer.step()
        optimizer.zero_grad()
        decay = min(settings.ema, (2 + step) / (11 + step))
        for slow, fast in zip(average.parameters(), parameters, strict=True):
            slow.copy_(decay * slow + (1 - decay) * fast.detach())
    return network, average if settings.ema else network


TOGETHER = [
    {"gradient_clip": "value", "clip_limit": "1e-3"},
    {"gradient_clip": "norm", "clip_limit": "1e-2"},
    {"loss": "Huber", "huber_delta": 0.01},
    {"learning_rate": "linear 1e-2", "batch_size": 3, "accumulation": 2, "weight_decay": 0.3},
]
WAYS = [(0.0, (), DROPOUT), (0.5, DROPOUT, ())]


@pytest.mark.parametrize(("ema", "before", "after"), WAYS, ids=str)
@pytest.mark.parametrize("change", CHANGES + TOGETHER, ids=str)
def test_what_is_learnt_after_a_change_is_what_the_formulas_say(begun, change, ema, before, after):
    first, file = begun(ema, before)
    settings = replace(AFTER, **{"ema": ema} | change)
    learner = resumed(file, settings, dropout_structure=after)
    list(train(learner, denoiser_for(settings), batch_at, PROBE))
    network, result = trained_by_hand(first, settings, after)
    assert learner.done == settings.steps
    torch.testing.assert_close(weights(learner.network), weights(network), rtol=0, atol=1e-6)
    torch.testing.assert_close(weights(learner.result), weights(result), rtol=0, atol=1e-6)


# --- losses of another kind ----------------------------------------------------------------------

LOSS_CHANGES = [
    ({"loss": "Huber", "huber_delta": 0.01}, {"loss": "MSE"}),
    ({"loss": "Huber", "huber_delta": 0.01}, {"loss": "Huber", "huber_delta": 1.0}),
    ({"min_snr_gamma": 0.01}, {"min_snr_gamma": 0.0}),
    ({"max_timestep": 10}, {"max_timestep": 1000}),
    ({"min_timestep": 990}, {"min_timestep": 0}),
    ({"noise_offset": 0.0}, {"noise_offset": 1.0}),
]


@pytest.mark.parametrize(("before", "after"), LOSS_CHANGES, ids=str)
def test_losses_that_are_counted_otherwise_are_no_blow_up(tmp_path, before, after):
    first, file = written(tmp_path, replace(BEFORE, steps=SETTLED + 1, **before))
    assert first.health.reference is not None
    learner = resumed(file, replace(BEFORE, steps=2 * SETTLED, **after))
    assert learner.health.reference is None
    steps = list(train(learner, denoiser_for(learner.settings), batch_at, PROBE))
    assert [step.went_back_to for step in steps] == [None] * (SETTLED - 1)


def test_losses_that_are_counted_alike_stay_the_reference(tmp_path):
    first, file = written(tmp_path, replace(BEFORE, steps=SETTLED + 1))
    learner = resumed(file, replace(AFTER, batch_size=4, learning_rate="1e-3", seed=7))
    assert learner.health == first.health
