"""The formulas of training, against numbers."""

import math

import pytest
import torch

from hypernet.training.diffusion import (
    PREDICTIONS,
    NoiseLevels,
    add_noise,
    diffusion_levels,
    draw_noise,
    draw_timesteps,
    elementwise_loss,
    flow_levels,
    flux_shift,
    min_snr_weight,
    prediction_target,
    taken_apart,
    weights_like,
)


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def test_noise_and_targets_follow_the_formulas():
    latent, noise = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2)
    alpha = torch.tensor([0.9, 0.5, 0.1])
    a, b = alpha.sqrt().view(-1, 1, 1, 1), (1 - alpha).sqrt().view(-1, 1, 1, 1)
    levels = diffusion_levels(alpha)
    noisy = add_noise(latent, noise, levels)
    torch.testing.assert_close(noisy, a * latent + b * noise)
    v = prediction_target("v", latent, noise, levels)
    torch.testing.assert_close(a * noisy - b * v, latent)  # x0 from v
    torch.testing.assert_close(b * noisy + a * v, noise)  # eps from v
    assert prediction_target("eps", latent, noise, levels) is noise
    with pytest.raises(ValueError, match='"x0"'):
        prediction_target("x0", latent, noise, levels)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_right_prediction_takes_the_noisy_latent_apart(prediction):
    latent, noise = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2)
    kept = torch.tensor([0.9, 0.5, 0.1])
    levels = flow_levels(4).at(torch.arange(3)) if prediction == "flow" else diffusion_levels(kept)
    noisy = add_noise(latent, noise, levels)
    target = prediction_target(prediction, latent, noise, levels)
    found = taken_apart(prediction, noisy, target, levels)
    torch.testing.assert_close(found, (latent, noise), atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match='"x0"'):
        taken_apart("x0", noisy, target, levels)


@pytest.mark.parametrize(
    ("prediction", "snr", "gamma", "weight"),
    [
        ("eps", 1.0, 5.0, 1.0),
        ("eps", 10.0, 5.0, 0.5),
        ("eps", 100.0, 5.0, 0.05),
        ("eps", 0.0, 5.0, 1.0),
        ("eps", math.inf, 5.0, 0.0),
        ("v", 1.0, 5.0, 0.5),
        ("v", 9.0, 5.0, 0.5),
        ("v", 0.0, 5.0, 0.0),
        ("v", math.inf, 5.0, 0.0),
    ],
)
def test_min_snr_weights_are_those_of_the_paper_and_finite_at_both_ends(
    prediction, snr, gamma, weight
):
    alpha = torch.tensor([1.0 if math.isinf(snr) else snr / (1 + snr)])
    levels = diffusion_levels(alpha)
    assert min_snr_weight(prediction, levels, gamma).item() == pytest.approx(weight, rel=1e-5)


def test_huber_is_the_square_for_small_errors_and_grows_like_a_line_for_large_ones():
    error = torch.tensor([0.001, 10.0, 20.0])
    small, ten, twenty = elementwise_loss("Huber", error, torch.zeros(3), 0.1).tolist()
    assert small == pytest.approx(1e-6, rel=1e-2)
    assert twenty - ten == pytest.approx(2 * 0.1 * 10, rel=1e-3)
    torch.testing.assert_close(elementwise_loss("MSE", error, torch.ones(3), 0.1), (error - 1) ** 2)


def test_uniform_timesteps_are_even_and_logit_normal_ones_favour_the_middle():
    uniform = draw_timesteps("uniform", 20000, 0, 1000, chance()).float()
    middle = draw_timesteps("logit-normal", 20000, 0, 1000, chance()).float()
    assert uniform.mean().item() == pytest.approx(499.5, abs=8)
    assert middle.mean().item() == pytest.approx(499.5, abs=8)
    assert uniform.std().item() == pytest.approx(1000 / math.sqrt(12), rel=0.02)
    assert middle.std().item() == pytest.approx(208, rel=0.02)  # of a logit-normal with σ = 1
    assert middle.min() >= 0 and middle.max() <= 999


def test_an_offset_is_one_number_per_channel_on_top_of_the_same_noise():
    shape = torch.Size((2, 4, 8, 8))
    plain, offset = draw_noise(shape, 0.0, chance()), draw_noise(shape, 0.1, chance())
    added = offset - plain
    torch.testing.assert_close(added, added[..., :1, :1].expand(shape), atol=1e-6, rtol=0)
    assert 0.03 < added.std().item() < 0.3


def test_flow_levels_mix_linearly_and_targets_are_the_way_from_picture_to_noise():
    levels = flow_levels(8)
    latent, noise = torch.randn(8, 16, 1, 2, 3), torch.randn(8, 16, 1, 2, 3)
    sigma = torch.arange(1, 9).view(8, 1, 1, 1, 1) / 8
    noisy = add_noise(latent, noise, levels)
    assert torch.equal(noisy, (1 - sigma) * latent + sigma * noise)
    flow = prediction_target("flow", latent, noise, levels)
    torch.testing.assert_close(noisy - sigma * flow, latent)  # x0 from the velocity
    assert torch.equal(noisy[-1], noise[-1])  # the last level is pure noise
    assert len(flow_levels()) == 1000


def test_levels_of_diffusion_are_the_same_numbers_as_before():
    alpha = torch.linspace(0.9991, 0.0047, 1000)
    timesteps = torch.tensor([0, 137, 999])
    latent, noise = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2)
    old = alpha[timesteps].view(-1, 1, 1, 1)
    levels = diffusion_levels(alpha).at(timesteps)
    assert torch.equal(
        add_noise(latent, noise, levels), old.sqrt() * latent + (1 - old).sqrt() * noise
    )
    assert torch.equal(
        prediction_target("v", latent, noise, levels),
        old.sqrt() * noise - (1 - old).sqrt() * latent,
    )


def test_min_snr_weights_count_errors_of_the_picture_alike_for_every_prediction():
    """An error of x0 weighs min(SNR, γ), however the model says x0."""
    levels = NoiseLevels(torch.tensor([0.64, 0.04]), torch.tensor([0.36, 0.96]))
    snr = levels.signal / levels.noise
    wanted = snr.clamp(max=5.0)
    per_error = {"eps": snr, "v": 1 / levels.noise, "flow": 1 / levels.noise}
    for prediction, squared in per_error.items():
        weight = min_snr_weight(prediction, levels, 5.0)
        torch.testing.assert_close(weight * squared, wanted)
    ends = flow_levels(1)  # pure noise
    assert min_snr_weight("flow", ends, 5.0).tolist() == [0.0]


@pytest.mark.parametrize("kind", ["uniform", "logit-normal"])
def test_a_shift_moves_timesteps_towards_the_noise_and_keeps_their_limits(kind):
    plain = draw_timesteps(kind, 20000, 100, 900, chance()).float()
    moved = draw_timesteps(kind, 20000, 100, 900, chance(), 3.0).float()
    assert moved.mean() > plain.mean() + 100
    assert moved.min() >= 100 and moved.max() <= 899
    part = (plain.median() - 100) / 800
    expected = 100 + 800 * 3 * part / (1 + 2 * part)
    assert moved.median().item() == pytest.approx(expected.item(), abs=12)


def test_flux_is_shifted_by_its_number_of_tokens():
    assert flux_shift(torch.Size((1, 16, 32, 32)), 2) == pytest.approx(math.exp(0.5))
    assert flux_shift(torch.Size((1, 16, 128, 128)), 2) == pytest.approx(math.exp(1.15))
    assert flux_shift(torch.Size((1, 128, 64, 64)), 1) == pytest.approx(math.exp(1.15))


def test_weights_and_offsets_spread_over_the_frame_of_a_video_model():
    latents = torch.zeros(2, 16, 1, 3, 4)
    weights = torch.rand(2, 1, 3, 4)
    spread = weights_like(weights, latents)
    assert spread.shape == (2, 1, 1, 3, 4)
    assert torch.equal((spread + latents)[1, 5, 0], weights[1, 0])
    assert torch.equal(weights_like(weights, latents[:, :, 0]), weights)
    noise = draw_noise(latents.shape, 0.5, chance()) - draw_noise(latents.shape, 0.0, chance())
    torch.testing.assert_close(noise, noise[..., :1, :1].expand(latents.shape), atol=1e-6, rtol=0)
