"""Output preservation: other prompts give what they give without the network."""

from dataclasses import replace
from itertools import islice

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork
from hypernet.apply.training_network import TrainingNetwork
from hypernet.training.diffusion import (
    Batch,
    Denoiser,
    asked,
    diffusion_levels,
    prediction_target,
)
from hypernet.training.learner import Learner
from hypernet.training.preservation import (
    DRAWN,
    WORDS,
    draw_others,
    is_due,
    other_prompts,
    pictures_of_others,
    preservation_loss,
)
from hypernet.training.settings import TrainSettings
from hypernet.training.train import train

WIDTH = 8
OTHERS = {"context": torch.randn(6, 5, WIDTH, generator=torch.Generator().manual_seed(1))}
TOLD = torch.randn(1, 5, WIDTH, generator=torch.Generator().manual_seed(2))


def a_network(**given):
    return Hypernetwork(HypernetSpec(widths=(WIDTH,), activation="mish", **given))


def test_the_prompts_are_everyday_things_and_none_that_is_learnt():
    prompts = other_prompts([])
    assert prompts == other_prompts([]) and "" in prompts and len(prompts) > 200
    assert {word for prompt in prompts for word in prompt.split()} == set(WORDS)
    learnt = {
        word for prompt in other_prompts(["a Fox", "two dogs, one cat"]) for word in prompt.split()
    }
    assert set(WORDS) - learnt == {"fox", "dog", "cat"}


def denoiser():
    """Its answer depends on the keys and values that the text becomes."""
    weights = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(3))

    def predict(noisy, timesteps, condition, acting):
        text = keys = values = condition["context"]
        if acting is not None:
            _, keys, values = acting.attn2(text[:, :1], text, text, {})
        return noisy + ((keys + values).mean(1) @ weights.T)[:, :, None, None]

    return Denoiser(
        predict=predict, prediction="eps",
        levels=diffusion_levels(torch.linspace(0.99, 0.01, 1000)),
        device=torch.device("cpu"), dtype=torch.float32,
    )  # fmt: skip


def batch_at(first, number):
    latents = torch.randn(number, 4, 2, 2, generator=torch.Generator().manual_seed(first))
    return Batch(latents, {"context": TOLD.repeat(number, 1, 1)})


def knowing(picture, prediction):
    """A denoiser that finds this clean latent, whatever it is asked."""
    levels = diffusion_levels(torch.linspace(0.99, 0.01, 1000))

    def predict(noisy, timesteps, condition, acting):
        at = levels.at(timesteps)
        a, b = at.factors(noisy)
        noise = (noisy - a * picture) / b
        return prediction_target(prediction, picture.expand_as(noisy), noise, at)

    return replace(denoiser(), predict=predict, prediction=prediction, levels=levels)


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_what_is_drawn_is_the_clean_latent_that_the_model_finds(prediction):
    picture = torch.randn(1, 4, 2, 2, generator=torch.Generator().manual_seed(4))
    host = knowing(picture, prediction)
    found = draw_others(host, OTHERS, torch.Size((3, 4, 2, 2)), seed=0, place=0)
    torch.testing.assert_close(found.latents, picture.expand(3, -1, -1, -1), atol=1e-4, rtol=1e-4)
    texts = found.condition["context"]
    assert all(any(text.equal(other) for other in OTHERS["context"]) for text in texts)


def test_pictures_of_others_are_drawn_when_their_turn_comes_and_kept():
    given = TrainSettings(batch_size=4)
    pictures = pictures_of_others(denoiser(), OTHERS, batch_at, given)
    again = pictures_of_others(denoiser(), OTHERS, batch_at, given)
    turns = DRAWN // 4
    assert pictures(0) is pictures(turns) and pictures(1) is pictures(turns + 1)
    assert not pictures(0).latents.equal(pictures(1).latents)
    assert pictures(3).latents.equal(again(3).latents)  # whatever has been drawn before


def test_the_loss_is_the_square_of_how_far_the_prediction_moves():
    network, host, batch = a_network(), denoiser(), batch_at(0, 3)
    acting = TrainingNetwork(network)
    timesteps = torch.tensor([5, 500, 900])
    question = asked(host, batch, torch.zeros(3, 4, 2, 2), timesteps)
    found = preservation_loss(host, question, acting)
    moved = host.predict(torch.zeros(()), timesteps, batch.condition, acting)
    bare = host.predict(torch.zeros(()), timesteps, batch.condition, None)
    assert found.item() == pytest.approx((moved - bare).square().mean().item(), rel=1e-4)
    silent = a_network(weight_initialization="ZeroOutput")
    acting = TrainingNetwork(silent)
    assert preservation_loss(host, question, acting).item() == 0


@pytest.mark.parametrize(
    ("given", "due"),
    [
        (dict(preserve=1.0, preserve_every=3), [0, 3, 6]),
        (dict(preserve=1.0, preserve_every=1), [0, 1, 2, 3, 4, 5, 6, 7]),
        (dict(preserve=0.0, preserve_every=1), []),
    ],
)
def test_it_follows_every_nth_batch(given, due):
    assert [count for count in range(8) if is_due(TrainSettings(**given), count)] == due


def settings(preserve, steps=150):
    return TrainSettings(
        steps=steps, learning_rate="1e-2", batch_size=4, preserve=preserve, preserve_every=2
    )


def trained(preserve, steps=150):
    learner = Learner(a_network(weight_initialization="ZeroOutput"), settings(preserve, steps))
    return learner, [step.loss for step in train(learner, denoiser(), batch_at, others=OTHERS)]


def moved(learner, text):
    """How far the network moves the prediction for this text."""
    host, acting = denoiser(), TrainingNetwork(learner.network)
    with torch.no_grad():
        answers = [
            host.predict(torch.zeros(()), None, {"context": text}, each) for each in (acting, None)
        ]
    return (answers[0] - answers[1]).norm().item() / len(text)


def test_other_texts_move_less_and_the_own_one_still_does():
    free, free_losses = trained(0.0)
    held, held_losses = trained(1.0)
    assert moved(held, OTHERS["context"]) < moved(free, OTHERS["context"]) / 3
    assert moved(held, TOLD) > 3 * moved(held, OTHERS["context"])
    assert sum(held_losses[-20:]) < 1.2 * sum(free_losses[-20:])


def test_the_loss_that_is_told_is_that_of_the_pictures():
    assert trained(0.0, steps=1)[1] == trained(5.0, steps=1)[1]


def test_a_training_in_two_parts_is_one_in_one():
    whole, _ = trained(1.0, steps=8)
    begun = Learner(a_network(weight_initialization="ZeroOutput"), settings(1.0, 8))
    list(islice(train(begun, denoiser(), batch_at, others=OTHERS), 3))
    rest = Learner(a_network(), settings(1.0, 8))
    rest.network.load_state_dict(begun.network.state_dict())
    rest.network.record.step = 3
    rest.load_state_dict(begun.state_dict())
    list(train(rest, denoiser(), batch_at, others=OTHERS))
    for ours, theirs in zip(rest.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)
