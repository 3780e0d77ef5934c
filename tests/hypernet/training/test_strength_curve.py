"""A strength curve in training: how strongly the network acts follows the noise of each sample."""

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork
from hypernet.apply.training_network import TrainingNetwork
from hypernet.training.diffusion import (
    Batch,
    Denoiser,
    diffusion_levels,
    flow_levels,
    predicted,
    shifted,
    with_strength,
)
from hypernet.training.learner import Learner
from hypernet.training.settings import TrainSettings
from hypernet.training.train import train

WIDTH, LEVELS = 8, 1000
RISING = ((0.0, 0.0), (1.0, 1.0))


def denoiser_of(levels, prediction, **given):
    """Its answer is the mean of the keys and of the values of a text, for each sample."""

    def predict(noisy, timesteps, condition, acting):
        text = condition["context"]
        keys = values = text
        if acting is not None:
            _, keys, values = acting.attn2(text[:, :1], text, text, {})
        return (keys + values).mean((1, 2)).view(-1, 1, 1, 1).expand_as(noisy)

    return Denoiser(
        predict=predict, levels=levels, prediction=prediction,
        device=torch.device("cpu"), dtype=torch.float32, **given,
    )  # fmt: skip


def diffusion(**given):
    return denoiser_of(diffusion_levels(torch.linspace(0.999, 0.001, LEVELS)), "eps", **given)


def network():
    return Hypernetwork(HypernetSpec(widths=(WIDTH,), weight_initialization="XavierNormal"))


def batch_of(number):
    chance = torch.Generator().manual_seed(number)
    text = torch.randn(number, 3, WIDTH, generator=chance)
    return Batch(torch.randn(number, 4, 2, 2, generator=chance), {"context": text})


def answers(denoiser, net, timesteps):
    batch = batch_of(len(timesteps))
    with torch.no_grad():
        found, _ = predicted(
            denoiser, batch, torch.zeros_like(batch.latents), torch.tensor(timesteps),
            None if net is None else TrainingNetwork(net),
        )  # fmt: skip
    return found[:, 0, 0, 0]


def test_each_sample_gets_the_strength_of_its_noise():
    net, levels = network(), [999, 750, 500, 250, 0]
    bare, whole = answers(diffusion(), None, levels), answers(diffusion(), net, levels)
    found = answers(with_strength(diffusion(), 1.0, RISING), net, levels)
    strengths = (found - bare) / (whole - bare)
    torch.testing.assert_close(
        strengths, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]), atol=2e-3, rtol=0
    )


def test_in_a_flow_the_way_is_that_of_the_shifted_sampler():
    sampled = {
        shift: denoiser_of(
            flow_levels(), "flow",
            percent_to_sigma=lambda share, s=shift: float(shifted(torch.tensor(1 - share), s)),
        )
        for shift in (1.0, 3.0)
    }  # fmt: skip
    net = network()
    for shift, denoiser in sampled.items():
        level = (
            round(LEVELS * float(shifted(torch.tensor(0.6), shift))) - 1
        )  # σ after 0.4 of the way
        bare, whole = answers(denoiser, None, [level]), answers(denoiser, net, [level])
        found = answers(with_strength(denoiser, 1.0, RISING), net, [level])
        assert ((found - bare) / (whole - bare)).item() == pytest.approx(0.4, abs=3e-3)


def test_without_a_curve_the_denoiser_stays_the_same():
    denoiser = diffusion()
    assert with_strength(denoiser, 1.0, ()) is denoiser


def test_the_strength_of_the_training_is_a_factor_on_it():
    net, levels = network(), [999, 500]
    bare, whole = answers(diffusion(), None, levels), answers(diffusion(), net, levels)
    for curve, expected in (((), [1.5, 1.5]), (RISING, [0.0, 0.75])):
        found = answers(with_strength(diffusion(), 1.5, curve), net, levels)
        strengths = (found - bare) / (whole - bare)
        torch.testing.assert_close(strengths, torch.tensor(expected), atol=2e-3, rtol=0)


def learnt(curve, **given):
    net = network()
    settings = TrainSettings(
        steps=3, learning_rate="1e-3", batch_size=2, strength_curve=curve, **given
    )
    list(train(Learner(net, settings), diffusion(), lambda first, number: batch_of(number)))
    return torch.cat([weight.detach().flatten() for weight in net.parameters()])


def test_training_follows_the_curve_of_its_settings():
    assert torch.equal(learnt("0: 1, 1: 1"), learnt(""))
    assert not torch.equal(learnt("0: 0.5"), learnt(""))
    quiet = learnt("0: 0, 0.5: 0, 0.51: 1", min_timestep=600, weight_decay=0.0)
    start = torch.cat([weight.detach().flatten() for weight in network().parameters()])
    assert torch.equal(quiet, start)  # where it has no strength, there is nothing to learn


@pytest.mark.parametrize(
    ("curve", "said"),
    [
        ("0: 1, half: 2", '"half" is not a number'),
        ("0.5: 1, 0.2: 1", "must rise"),
        ("0: 0, 1: 0", "nothing is learnt"),
    ],
)
def test_a_curve_that_cannot_be_is_refused_before_training(curve, said):
    with pytest.raises(ValueError, match=said):
        TrainSettings(strength_curve=curve)
