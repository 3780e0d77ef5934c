"""Regularization pictures are learnt beside the others, and the user's prompts are preserved."""

from itertools import islice

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork
from hypernet.training.advice import settings_warnings
from hypernet.training.diffusion import Batch, Denoiser, diffusion_levels
from hypernet.training.learner import Learner
from hypernet.training.preservation import (
    is_regularized,
    preserved_prompts,
    regularization_samples,
    words_of_subject,
)
from hypernet.training.settings import TrainSettings
from hypernet.training.train import train

WIDTH = 8
SPEC = HypernetSpec(widths=(WIDTH,), activation="mish", weight_initialization="XavierNormal")
TOLD, OTHER = torch.randn(2, 1, 5, WIDTH, generator=torch.Generator().manual_seed(2))


def denoiser():
    """Its answer depends on the keys and values that the text becomes."""
    weights = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(3))

    def predict(noisy, timesteps, condition, acting):
        text = condition["context"]
        _, keys, values = acting.attn2(text[:, :1], text, text, {})
        return noisy + ((keys + values).mean(1) @ weights.T)[:, :, None, None]

    return Denoiser(
        predict=predict, prediction="eps",
        levels=diffusion_levels(torch.linspace(0.99, 0.01, 1000)),
        device=torch.device("cpu"), dtype=torch.float32,
    )  # fmt: skip


def batches(text, size=2, asked=None):
    def batch_at(first, number):
        if asked is not None:
            asked.append(first)
        latents = torch.randn(number, 4, size, size, generator=torch.Generator().manual_seed(first))
        return Batch(latents, {"context": text.repeat(number, 1, 1)})

    return batch_at


def settings(**given):
    return TrainSettings(**{"steps": 6, "learning_rate": "1e-2", "batch_size": 2, **given})


def trained(regularization, **given):
    learner = Learner(Hypernetwork(SPEC), settings(**given))
    steps = [*train(learner, denoiser(), batches(TOLD), regularization=regularization)]
    return learner, steps


def weights(learner):
    return torch.cat([each.detach().flatten() for each in learner.network.parameters()])


def test_one_batch_of_them_follows_every_second_batch():
    asked = []
    trained(batches(OTHER, asked=asked), steps=3, accumulation=3)
    assert [count for count in range(9) if is_regularized(count)] == [1, 3, 5, 7]
    assert asked == [0, 2, 4, 6]  # sample by sample, none left out
    assert regularization_samples(settings(steps=3, accumulation=3)) == 8


def test_they_may_have_another_size():
    learner, steps = trained(batches(OTHER, size=4))
    assert len(steps) == 6 and torch.isfinite(weights(learner)).all()


def test_a_weight_of_0_is_none_at_all():
    plain, steps = trained(None)
    silent, same_steps = trained(batches(OTHER), regularization_weight=0.0)
    assert torch.equal(weights(plain), weights(silent))
    assert [step.loss for step in steps] == [step.loss for step in same_steps]


def test_gradients_are_those_of_both_each_with_its_weight():
    def gradient(**given):
        """Of the first two batches, whose second is followed by regularization pictures."""
        learner = Learner(Hypernetwork(SPEC), settings(steps=1, accumulation=2))
        learner.settings = settings(steps=1, accumulation=2, **given)
        before = weights(learner)
        learner.optimizer = torch.optim.SGD(learner.network.parameters(), lr=1.0)
        list(train(learner, denoiser(), batches(TOLD), regularization=batches(OTHER)))
        return before - weights(learner)

    bare = gradient(regularization_weight=0.0)
    one, three = gradient(), gradient(regularization_weight=3.0)
    assert (one - bare).norm() > 1e-6
    assert torch.allclose(three - bare, 3 * (one - bare), rtol=1e-3, atol=1e-6)


def test_what_they_show_is_learnt_too():
    def loss_on(learner, text):
        judge = Learner(learner.network, settings(steps=learner.done + 40, learning_rate="1e-9"))
        found = [step.loss for step in train(judge, denoiser(), batches(text))]
        return sum(found) / len(found)

    alone, _ = trained(None, steps=80)
    beside, _ = trained(batches(OTHER), steps=80)
    assert loss_on(beside, OTHER) < loss_on(alone, OTHER)


def test_a_training_in_two_parts_is_one_in_one():
    given = dict(steps=7, preserve=1.0, preserve_every=2)
    others = {"context": torch.randn(4, 5, WIDTH, generator=torch.Generator().manual_seed(1))}

    def start(learner):
        bare = denoiser()

        def predict(noisy, timesteps, condition, acting):
            if acting is None:
                return noisy
            return bare.predict(noisy, timesteps, condition, acting)

        host = Denoiser(**{**vars(bare), "predict": predict})
        return train(learner, host, batches(TOLD), others=others, regularization=batches(OTHER))

    whole = Learner(Hypernetwork(SPEC), settings(**given))
    list(start(whole))
    begun = Learner(Hypernetwork(SPEC), settings(**given))
    list(islice(start(begun), 4))
    rest = Learner(Hypernetwork(SPEC), settings(**given))
    rest.network.load_state_dict(begun.network.state_dict())
    rest.network.record.step = 4
    rest.load_state_dict(begun.state_dict())
    list(start(rest))
    assert torch.equal(weights(rest), weights(whole))


SKS = ["photo of sks dog on grass", "photo of sks dog in a car"]


@pytest.mark.parametrize(
    ("prompts", "subject"),
    [
        (SKS, {"sks"}),
        (["a dog sits", "a dog runs"], {"dog"}),  # nothing else names it
        (["drawing of a cat", "drawing of a house"], set()),
        (["red", "blue"], set()),
        (["", "sks man", "sks man"], {"sks"}),
        ([], set()),
    ],
)
def test_the_subject_is_what_all_prompts_name(prompts, subject):
    assert words_of_subject(prompts) == subject


def test_own_prompts_take_the_place_of_everyday_things():
    found = preserved_prompts(" a dog\n\na photo of a cat \na dog", SKS, SKS)
    assert found == ["", "a dog", "a photo of a cat"]
    everyday = preserved_prompts(" \n", SKS, SKS)
    assert len(everyday) > 200 and not any("dog" in prompt for prompt in everyday)


def test_a_list_that_names_the_subject_is_refused_with_the_line_and_the_word():
    with pytest.raises(ValueError, match=r'preserve_prompts "a photo of SKS" \("sks"\): these'):
        preserved_prompts("a dog\na photo of SKS", SKS, SKS)
    with pytest.raises(ValueError, match=r'"a dog" \("dog"\)'):
        preserved_prompts("a dog", [], ["a dog sits", "a dog runs"])


def test_prompts_that_are_not_used_are_told():
    said = settings_warnings(settings(preserve_prompts="a dog"), SPEC)
    assert any("preserve_prompts are not used, because preserve is 0" in each for each in said)
    said = settings_warnings(settings(preserve_prompts="a dog", preserve=1.0), SPEC)
    assert not any("preserve_prompts" in each for each in said)
