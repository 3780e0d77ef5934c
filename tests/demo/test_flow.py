"""Euler steps along a velocity: the right way in time, and as diffusers' pipeline takes them."""

from types import SimpleNamespace

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, Lumina2Pipeline, Lumina2Transformer2DModel

from demo import flow

WIDTH, TOKENS = 12, 5


class Straight(torch.nn.Module):
    """Answers as Lumina2 does, for data that is one picture for each text: the text's first number.

    Its answer at time t = 1 − σ is −v = x₀ − n = (x₀ − x) / σ.
    """

    def forward(self, x, t, context, mask):
        clean = context[:, 0, 0].view(-1, 1, 1, 1)
        return SimpleNamespace(sample=(clean - x) / (1 - t).view(-1, 1, 1, 1))


def small(text_width: int) -> Lumina2Transformer2DModel:
    torch.manual_seed(0)
    return Lumina2Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        hidden_size=24,
        num_layers=2,
        num_refiner_layers=1,
        num_attention_heads=2,
        num_kv_heads=1,
        multiple_of=8,
        axes_dim_rope=(4, 4, 4),
        axes_lens=(64, 16, 16),
        cap_feat_dim=text_width,
    ).eval()


def text(value: float, batch: int = 2) -> torch.Tensor:
    return torch.full((batch, TOKENS, WIDTH), value)


def seeded(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("steps", [1, 7])
def test_straight_ways_end_at_the_picture_however_many_steps(steps, shift):
    noise, size = seeded(2, 4, 8, 8), {"steps": steps, "shift": shift}
    found = flow.sample(Straight(), noise, text(0.7), text(0.0, 1), cfg=1.0, **size)
    assert torch.allclose(found, torch.full_like(found, 0.7), atol=1e-5)


def test_guidance_goes_on_from_the_empty_text_past_the_asked_one():
    found = flow.sample(Straight(), seeded(2, 4, 8, 8), text(0.7), text(0.2, 1), steps=1, cfg=3.0)
    assert torch.allclose(found, torch.full_like(found, 0.2 + 3 * 0.5), atol=1e-5)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_it_draws_what_diffusers_pipeline_draws(shift):
    transformer = small(WIDTH)
    noise, context, empty = seeded(2, 4, 8, 8), seeded(2, TOKENS, WIDTH), text(0.1, 1)
    mine = flow.sample(transformer, noise, context, empty, steps=6, cfg=3.0, shift=shift)
    pipeline = Lumina2Pipeline(
        transformer, FlowMatchEulerDiscreteScheduler(shift=shift), None, None, None
    )
    pipeline.set_progress_bar_config(disable=True)
    mask = torch.ones(2, TOKENS, dtype=torch.bool)
    theirs = pipeline(
        prompt_embeds=context,
        prompt_attention_mask=mask,
        negative_prompt_embeds=empty.expand_as(context),
        negative_prompt_attention_mask=mask,
        latents=noise,
        sigmas=torch.linspace(1, 0, 7)[:-1].tolist(),
        guidance_scale=3.0,
        cfg_normalization=False,
        height=64,
        width=64,
        output_type="latent",
    ).images
    assert (mine - theirs).abs().max() < 1e-5
    assert (mine - noise).abs().max() > 0.1


def test_a_prompts_noise_does_not_depend_on_the_batch():
    parts = flow.with_shared(small(96))
    prompts = ["red heart", "pizza", "cat"]
    together = flow.draw(parts, prompts, steps=1, batch=3)
    apart = flow.draw(parts, prompts, steps=1, batch=1)
    assert together.shape == (3, 128, 128, 3)
    assert torch.allclose(together, apart, atol=1e-4)
