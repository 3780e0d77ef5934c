"""Whatever may change in mid-run changes, and the run goes on: through a state file on the disk."""

import math
from dataclasses import asdict, fields, replace

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
from hypernet.training.diffusion import Batch, Denoiser
from hypernet.training.health import SETTLED
from hypernet.training.learner import Learner
from hypernet.training.optimizers import OPTIMIZERS, missing_package
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

    def predict(noisy, timesteps, condition, attn1, attn2):
        calls.append(timesteps)
        context = condition["context"]
        _, keys, values = attn2(context[:, :1], context, context, {})
        answer = (keys + values).mean((1, 2)) * (math.nan if len(calls) <= spoilt else 1)
        return noisy + answer[:, None, None, None]

    dtype = torch.float16 if settings.unet_dtype == "float16" else torch.float32
    alphas = torch.linspace(0.99, 0.01, 1000)
    return Denoiser(
        predict=predict,
        alphas_cumprod=alphas,
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
def test_a_run_goes_on_with_another_setting_and_dropout(tmp_path, change, before, after, ema):
    first, file = written(tmp_path, replace(BEFORE, ema=ema), dropout_structure=before)
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
