"""Training, on a denoiser small enough to know the answer."""

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork
from hypernet.chance import generator, sample_order
from hypernet.diffusion import Denoiser, add_noise, prediction_target
from hypernet.train import TrainingDiverged, TrainSettings, new_optimizer, train

ALPHAS = torch.linspace(0.99, 0.01, 1000)
WIDTH = 8


def denoiser_of(prediction="eps", spoil=None):
    """Its answer is a fixed linear map of what the patched keys and values of one block are."""
    weights = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(3))
    calls = []

    def predict(noisy, timesteps, condition, attn1, attn2):
        calls.append(
            (noisy.clone(), timesteps.clone(), {k: v.clone() for k, v in condition.items()})
        )
        n = condition["context"]
        _, keys, values = attn2(n, n, n, {})
        answer = (keys + values).mean(1) @ weights.T
        if spoil and len(calls) == spoil:
            answer = answer * float("nan")
        return noisy + answer[:, :, None, None]

    denoiser = Denoiser(
        predict=predict,
        alphas_cumprod=ALPHAS,
        prediction=prediction,
        device=torch.device("cpu"),
        dtype=torch.float32,
    )
    return denoiser, calls


def batch_at(first, number):
    chance = torch.Generator().manual_seed(first)
    latents = torch.randn(number, 4, 2, 2, generator=chance)
    return latents, {"context": torch.randn(number, 5, WIDTH, generator=chance)}


def trained(settings, start=0, network=None, optimizer=None, **given):
    network = network or Hypernetwork(HypernetSpec(widths=(WIDTH,), activation="mish", **given))
    optimizer = optimizer or new_optimizer(network, settings)
    denoiser, calls = denoiser_of()
    return (
        network,
        optimizer,
        list(train(network, optimizer, denoiser, batch_at, settings, start)),
        calls,
    )


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def test_steps_are_counted_as_updates_done_with_the_rates_of_the_schedule():
    settings = TrainSettings(steps=6, learning_rate="1e-2:2, 1e-3", batch_size=2)
    _, _, steps, _ = trained(settings)
    assert [step.done for step in steps] == [1, 2, 3, 4, 5, 6]
    assert [step.rate for step in steps] == [1e-2] * 2 + [1e-3] * 4


def test_training_ends_when_the_schedule_does():
    _, _, steps, _ = trained(TrainSettings(steps=100, learning_rate="1e-3:3"))
    assert len(steps) == 3


def test_the_network_learns():
    settings = TrainSettings(steps=150, learning_rate="1e-2", batch_size=16)
    _, _, steps, _ = trained(settings)
    assert sum(s.loss for s in steps[-20:]) < 0.5 * sum(s.loss for s in steps[:20])


def test_going_on_from_the_middle_gives_the_unbroken_run_bit_by_bit():
    settings = TrainSettings(steps=10, learning_rate="1e-2:6,1e-3", batch_size=2, accumulation=2)
    dropout = dict(dropout_structure=(0, 0.5, 0))
    whole, _, steps, _ = trained(settings, **dropout)
    half = TrainSettings(steps=4, learning_rate="1e-2:6,1e-3", batch_size=2, accumulation=2)
    network, optimizer, _, _ = trained(half, **dropout)
    torch.manual_seed(99)  # the global state belongs to others
    _, _, rest, _ = trained(settings, 4, network, optimizer)
    assert torch.equal(weights(network), weights(whole))
    assert [s.loss for s in rest] == [s.loss for s in steps[4:]]


def test_accumulated_batches_equal_one_large_batch():
    one = TrainSettings(steps=3, learning_rate="1e-2", batch_size=4)
    _, _, _, large = trained(one)
    many = TrainSettings(steps=3, learning_rate="1e-2", batch_size=2, accumulation=2)
    _, _, _, small = trained(many)
    assert len(small) == 2 * len(large) and len(small[0][0]) * 2 == len(large[0][0])
    network = trained(many)[0]
    assert torch.isfinite(weights(network)).all()


def test_the_global_random_state_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    trained(TrainSettings(steps=2), dropout_structure=(0, 0.5, 0))
    assert torch.equal(torch.rand(3), expected)


def test_a_loss_that_is_no_number_stops_before_it_spoils_the_network():
    network = Hypernetwork(HypernetSpec(widths=(WIDTH,)))
    settings = TrainSettings(steps=9, learning_rate="1e-2")
    denoiser, _ = denoiser_of(spoil=4)
    done = []
    with pytest.raises(TrainingDiverged, match="at step 4 .*kept as it was after step 3"):
        for step in train(network, new_optimizer(network, settings), denoiser, batch_at, settings):
            done.append(step.done)
    assert done == [1, 2, 3] and torch.isfinite(weights(network)).all()
    assert not network.training


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (dict(steps=0), "steps 0"),
        (dict(batch_size=0), "batch_size 0"),
        (dict(save_every=-1), "save_every -1"),
        (dict(learning_rate="fast"), '"fast"'),
    ],
)
def test_wrong_settings_are_refused_in_words(settings, words):
    with pytest.raises(ValueError, match=words):
        TrainSettings(**settings)


def test_noise_and_targets_follow_the_formulas():
    latent, noise = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2)
    alpha = torch.tensor([0.9, 0.5, 0.1])
    a, b = alpha.sqrt().view(-1, 1, 1, 1), (1 - alpha).sqrt().view(-1, 1, 1, 1)
    noisy = add_noise(latent, noise, alpha)
    torch.testing.assert_close(noisy, a * latent + b * noise)
    v = prediction_target("v", latent, noise, alpha)
    torch.testing.assert_close(a * noisy - b * v, latent)  # x0 from v
    torch.testing.assert_close(b * noisy + a * v, noise)  # eps from v
    assert prediction_target("eps", latent, noise, alpha) is noise
    with pytest.raises(ValueError, match='"x0"'):
        prediction_target("x0", latent, noise, alpha)


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
