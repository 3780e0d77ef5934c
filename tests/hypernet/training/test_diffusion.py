"""The formulas of training, against numbers."""

import math

import pytest
import torch

from hypernet.training.diffusion import (
    add_noise,
    draw_noise,
    draw_timesteps,
    elementwise_loss,
    min_snr_weight,
    prediction_target,
)


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


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
    assert min_snr_weight(prediction, alpha, gamma).item() == pytest.approx(weight, rel=1e-5)


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
