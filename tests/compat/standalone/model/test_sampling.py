"""Noise levels, schedules and samplers; the reference numbers are those of ComfyUI 0.33."""

from __future__ import annotations

import pytest
import torch
from hypernet_pack.compat.standalone import progress
from hypernet_pack.compat.standalone.model.samplers import SAMPLERS, euler
from hypernet_pack.compat.standalone.model.sampling import (
    DiscreteSampling,
    guided,
    sample,
    sigmas_for,
)

BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
ALPHAS = (1 - BETAS).cumprod(dim=0)
EPS = DiscreteSampling(ALPHAS, "eps")
V = DiscreteSampling(ALPHAS, "v")
NOISE = torch.tensor([[[[-0.146795094, 0.786141276], [0.94682163, -1.114344]]]])
LATENT = torch.tensor([[[[0.3, -0.2], [0.1, 0.5]]]])


def near(found: object, expected: object) -> None:
    found, expected = torch.as_tensor(found).float(), torch.tensor(expected)
    torch.testing.assert_close(found.flatten(), expected.flatten(), rtol=2e-6, atol=2e-6)


def test_noise_levels_are_comfyuis():
    near(EPS.sigmas[[0, 1, 500, 999]], [0.0291671585, 0.0413144119, 1.61827886, 14.6146412])
    near(EPS.sigma(torch.tensor([10.25, -3.0, 2000.0])), [0.0994055793, 0.0291671604, 14.6146402])
    near(EPS.alphas_cumprod, ALPHAS.float().tolist())


def test_the_nearest_timestep_is_found_and_ends_are_kept():
    found = EPS.timestep(torch.tensor([0.01, 0.5, 1.0, 14.7, 100.0]))
    assert found.tolist() == [0, 169, 354, 999, 999]
    everything = torch.arange(1000)
    assert EPS.timestep(EPS.sigma(everything)).equal(everything)


@pytest.mark.parametrize(
    ("percent", "sigma"), [(0.0, 1e9), (0.25, 4.08608103), (0.5, 1.61558032), (1.0, 0.0)]
)
def test_percent_to_sigma_has_comfyuis_edges(percent, sigma):
    assert EPS.percent_to_sigma(percent) == pytest.approx(sigma, rel=1e-6)


@pytest.mark.parametrize(
    ("scheduler", "steps", "denoise", "sigmas"),
    [
        ("normal", 5, 1.0, [14.6146402, 4.08608103, 1.61558032, 0.695149541, 0.0291671604, 0]),
        ("karras", 5, 1.0, [14.6146431, 4.79653454, 1.27410078, 0.247949973, 0.0291671772, 0]),
        ("normal", 1, 1.0, [14.6146402, 0]),
        ("normal", 4, 0.5, [1.2768321, 0.791259825, 0.439665735, 0.0291671604, 0]),
        ("normal", 4, 0.3, [0.695149541, 0.493551701, 0.305775642, 0.0291671604, 0]),
        ("karras", 3, 0.6, [1.27410078, 0.247949973, 0.0291671772, 0]),
        ("normal", 4, 0.0, []),
    ],
)
def test_sigmas_are_comfyuis(scheduler, steps, denoise, sigmas):
    found = sigmas_for(EPS, scheduler, steps, denoise)
    assert len(found) == len(sigmas)
    near(found, sigmas)


def test_an_unknown_scheduler_is_quoted_with_the_known_ones():
    with pytest.raises(ValueError, match='scheduler "beta" is not known here; choose normal, kar'):
        sigmas_for(EPS, "beta", 5)


def test_x0_and_inputs_are_comfyuis():
    x = torch.cat([LATENT, torch.tensor([[[[1.3, -2.2], [0.7, -0.5]]]])])
    output, sigma = x.flip(0) * 0.5, torch.tensor([0.5, 4.0])
    near(
        EPS.calculate_denoised(sigma, output, x),
        [-0.0249999762, 0.350000024, -0.0749999955, 0.625, 0.699999928, -1.80000007, 0.5, -1.5],
    )
    near(
        V.calculate_denoised(sigma, output, x),
        [
            -0.0506888032,
            0.331934959,
            -0.0765247494,
            0.511803389,
            -0.0690508038,
            -0.0323975161,
            -0.00733065978,
            -0.271947414,
        ],
    )
    near(
        EPS.calculate_input(sigma, x),
        [
            0.26832816,
            -0.178885445,
            0.0894427225,
            0.44721359,
            0.315296322,
            -0.533578396,
            0.169774935,
            -0.121267818,
        ],
    )


def test_starting_points_are_comfyuis_from_pure_noise_and_from_latents():
    zero = torch.zeros_like(LATENT)
    high, low = torch.tensor(14.6146402), torch.tensor(1.2768321)
    near(
        EPS.noise_scaling(high, NOISE, zero, max_denoise=True),
        [-2.1503737, 11.516036, 13.869812, -16.3238163],
    )
    near(
        EPS.noise_scaling(low, NOISE, LATENT),
        [0.11256732, 0.803770483, 1.3089323, -0.922830224],
    )


@pytest.mark.parametrize(
    ("sampler", "scheduler", "expected"),
    [
        ("euler", "normal", [-0.12267305, 0.425110489, 0.45517692, -0.477940619]),
        ("euler", "karras", [-0.112093426, 0.390377522, 0.418967396, -0.44112739]),
        ("dpmpp_2m", "normal", [-0.138100743, 0.417060614, 0.439679116, -0.457832634]),
        ("dpmpp_2m", "karras", [-0.119282894, 0.371649653, 0.393776983, -0.411680609]),
        ("res_multistep", "normal", [-0.145019457, 0.41314283, 0.432287931, -0.448247641]),
        ("res_multistep", "karras", [-0.122585848, 0.365854114, 0.385500282, -0.401722491]),
        ("euler_ancestral", "normal", [-0.464880615, -0.1890053, -0.186826631, 0.355630159]),
        ("euler_ancestral", "karras", [-0.35922879, -0.227256656, 0.0202417038, 0.161418959]),
    ],
)
def test_samplers_give_comfyuis_results(sampler, scheduler, expected):
    def denoise(x, sigma):
        return torch.tanh(x / (sigma**2 + 1).sqrt()) * 0.8

    sigmas = sigmas_for(EPS, scheduler, 5)
    x = EPS.noise_scaling(sigmas[0], NOISE, torch.zeros_like(NOISE), max_denoise=True)
    generator = torch.Generator().manual_seed(8)  # ComfyUI's, for seed 7
    found = SAMPLERS[sampler](denoise, x, sigmas, lambda: torch.randn(x.shape, generator=generator))
    near(found, expected)


def test_the_first_noise_is_comfyuis():
    near(torch.randn((1, 1, 2, 2), generator=torch.Generator().manual_seed(7)), NOISE.tolist())


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "res_multistep"])
def test_samplers_solve_the_equation_of_normal_data_in_many_steps(sampler):
    """For data of spread 2 about 0, x_0 = x · 4 / (4 + sigma²), and x shrinks with the spread."""
    sigmas = sigmas_for(EPS, "karras", 400)
    x = torch.tensor([[[[20.0]]]])
    found = SAMPLERS[sampler](lambda x, s: x * 4 / (4 + s**2), x, sigmas, lambda: None)
    assert found.item() == pytest.approx(20 * 2 / (4 + sigmas[0].item() ** 2) ** 0.5, rel=0.01)


class Echo:
    """A model whose x_0 is the mean of its context; it keeps what it was called with."""

    repeats_text = True

    def __init__(self):
        self.model, self.calls = self, []
        self.model_options = {"transformer_options": {"kept": 1}}

    def apply_model(self, x, sigma, *, c_crossattn, transformer_options):
        self.calls.append((x, sigma, c_crossattn, transformer_options))
        return torch.ones_like(x) * c_crossattn.mean(dim=(1, 2)).view(-1, 1, 1, 1)


def entry(value: float, tokens: int = 2) -> list:
    return [torch.full((1, tokens, 3), value), {}]


def test_guidance_is_uncond_plus_cfg_times_the_difference():
    model, sigmas = Echo(), torch.tensor([2.0, 0.0])
    denoise = guided(model, [entry(5.0)], [entry(3.0, tokens=4)], 4.0, sigmas)
    found = denoise(torch.zeros(2, 4, 3, 3), torch.tensor(2.0))
    assert found.unique().tolist() == [3 + 4 * (5 - 3)]
    ((x, sigma, context, options),) = model.calls
    assert (x.shape, sigma.tolist()) == ((4, 4, 3, 3), [2.0] * 4)
    assert context.shape == (4, 4, 3) and context[:, 0, 0].tolist() == [3, 3, 5, 5]
    assert options["cond_or_uncond"] == [1, 0] and options["sigmas"].tolist() == [2.0, 2.0]
    assert options["sample_sigmas"] is sigmas and options["kept"] == 1


def test_cfg_1_leaves_the_negative_out():
    model = Echo()
    denoise = guided(model, [entry(5.0)], [entry(3.0)], 1.0, torch.tensor([2.0, 0.0]))
    assert denoise(torch.zeros(1, 4, 3, 3), torch.tensor(2.0)).unique().tolist() == [5]
    assert model.calls[0][3]["cond_or_uncond"] == [0]


def test_sampling_depends_only_on_the_seed_and_is_unscaled(tiny):
    model = tiny[0]
    empty = torch.zeros(2, 4, 8, 8)
    text = [[torch.randn(1, 12, 24, generator=torch.Generator().manual_seed(1)), {}]]

    def draw(seed, **more):
        return sample(model, text, text, empty, seed=seed, steps=2, cfg=2.0, **more)

    assert draw(3).equal(draw(3)) and not draw(3).equal(draw(4))
    with torch.inference_mode():
        assert draw(2**64 - 1, sampler="euler_ancestral").isfinite().all()
    levels = model.get_model_object("model_sampling")
    sigmas = sigmas_for(levels, "normal", 2)
    noise = torch.randn(empty.shape, generator=torch.Generator().manual_seed(3))
    x = levels.noise_scaling(sigmas[0], noise, empty, max_denoise=True)
    expected = euler(guided(model, text, text, 2.0, sigmas), x, sigmas, lambda: None) / 0.18215
    torch.testing.assert_close(draw(3), expected)


def test_denoise_0_gives_the_latents_back(tiny):
    latent = torch.ones(1, 4, 8, 8)
    assert sample(tiny[0], [], [], latent, seed=0, steps=3, cfg=1.0, denoise=0.0) is latent


def test_an_interrupt_stops_before_the_next_step(tiny):
    text = [[torch.zeros(1, 12, 24), {}]]
    progress.request_interrupt()
    with pytest.raises(progress.Interrupted):
        sample(tiny[0], text, text, torch.zeros(1, 4, 8, 8), seed=0, steps=3, cfg=1.0)
    assert not progress.is_interrupted()
