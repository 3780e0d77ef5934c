"""Every velocity is what the class's own pipeline takes a sampling step with."""

from __future__ import annotations

import pytest
import torch

diffusers = pytest.importorskip("diffusers")
import tiny_models

from hypernet.diffusers.velocities import LLAMA, inputs_of, velocity_of

TOKENS = 7
SIDE = 64  # pixels


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


TEXT = random(1, TOKENS, 24)
POOLED = random(1, 16, seed=1)
VISIBLE = torch.ones(1, TOKENS, dtype=torch.bool)

# architecture -> its pipeline, what it takes beside the transformer, and of a prompt that is encoded
PIPELINES = {
    "lumina2": (
        "Lumina2Pipeline",
        ("text_encoder", "tokenizer", "vae"),
        {"prompt_embeds": TEXT, "prompt_attention_mask": VISIBLE, "cfg_trunc_ratio": 1.0},
    ),
    "z_image": (
        "ZImagePipeline",
        ("text_encoder", "tokenizer", "vae"),
        {"prompt_embeds": [TEXT[0]], "guidance_scale": 0.0},
    ),
    "sd3": (
        "StableDiffusion3Pipeline",
        ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2", "text_encoder_3",
         "tokenizer_3", "vae"),
        {"prompt_embeds": TEXT, "pooled_prompt_embeds": POOLED},
    ),
    "flux": (
        "FluxPipeline",
        ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2", "vae"),
        {"prompt_embeds": TEXT, "pooled_prompt_embeds": POOLED},
    ),
    "chroma": (
        "ChromaPipeline",
        ("text_encoder", "tokenizer", "vae"),
        {"prompt_embeds": TEXT, "prompt_attention_mask": VISIBLE},
    ),
    "flux2": ("Flux2Pipeline", ("text_encoder", "tokenizer", "vae"), {"prompt_embeds": TEXT}),
    "qwen_image": (
        "QwenImagePipeline",
        ("text_encoder", "tokenizer", "vae"),
        {"prompt_embeds": TEXT, "prompt_embeds_mask": VISIBLE.long()},
    ),
    "wan": (
        "WanPipeline", ("text_encoder", "tokenizer", "vae"), {"prompt_embeds": TEXT, "num_frames": 1},
    ),
    "hidream": (
        "HiDreamImagePipeline",
        tuple(f"{part}{n}" for n in ("", "_2", "_3", "_4") for part in ("text_encoder", "tokenizer"))
        + ("vae",),
        {
            "prompt_embeds_t5": TEXT,
            "prompt_embeds_llama3": random(2, 1, TOKENS, 24, seed=2),
            "pooled_prompt_embeds": POOLED,
        },
    ),
    "krea2": (
        "Krea2Pipeline",
        ("text_encoder", "tokenizer", "vae"),
        {
            "prompt_embeds": random(1, TOKENS, 2, 24, seed=3),
            "prompt_embeds_mask": VISIBLE,
            "guidance_scale": 0.0,
        },
    ),
}  # fmt: skip


def steps_of(name, model):
    """(x, σ, v) of each sampling step of the pipeline, and its result. x and v are as it has them."""
    kind, parts, prompt = PIPELINES[name]
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    pipeline = getattr(diffusers, kind)(
        transformer=model, scheduler=scheduler, **dict.fromkeys(parts)
    )
    pipeline.set_progress_bar_config(disable=True)
    seen, real = [], scheduler.step

    def step(velocity, t, x, **more):
        seen.append((x, scheduler.sigmas[scheduler.index_for_timestep(t)], velocity))
        return real(velocity, t, x, **more)

    scheduler.step = step
    given = {"guidance_scale": 1.0} | prompt
    generator = torch.Generator().manual_seed(4)
    result = pipeline(
        height=SIDE, width=SIDE, num_inference_steps=2, output_type="latent", generator=generator,
        **given,
    )  # fmt: skip
    assert result is not None
    return seen


def as_latents(tokens, like):
    """Undo a pipeline's packing, one token after the other; (B, c, …) stays as it is."""
    if tokens.ndim != 3:
        return tokens.unsqueeze(2) if like.ndim > tokens.ndim else tokens
    *_, height, width = like.shape
    patch = round((height * width / tokens.shape[1]) ** 0.5)
    found = torch.empty(1, tokens.shape[-1] // patch**2, height, width)
    for row in range(height // patch):
        for column in range(width // patch):
            token = tokens[:, row * (width // patch) + column].view(1, -1, patch, patch)
            rows, columns = (slice(n * patch, n * patch + patch) for n in (row, column))
            found[:, :, rows, columns] = token
    return found.view(like.shape)


@pytest.mark.parametrize("name", PIPELINES)
def test_a_velocity_is_the_one_that_the_pipeline_steps_with(name):
    model = tiny_models.build(name)[0]
    inputs, config = inputs_of(model), model.config
    prompt = PIPELINES[name][2]
    condition = {"context": TEXT}
    if inputs.pooled:
        condition["pooled"] = POOLED
    if name == "krea2":
        condition["context"] = prompt["prompt_embeds"].flatten(2)
    if name == "hidream":
        condition[LLAMA] = prompt["prompt_embeds_llama3"].transpose(0, 1)
    side = SIDE // 16 * inputs.patch(config)
    frames = (1,) if inputs.has_frames else ()
    like = torch.empty(1, inputs.channels(config), *frames, side, side)
    for x, sigma, expected in steps_of(name, model):
        x, expected = as_latents(x, like), as_latents(expected, like)
        with torch.no_grad():
            found = velocity_of(model, x, sigma[None], condition)
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max(), float(sigma)


def test_a_class_that_is_not_known_is_named_beside_those_that_are():
    with pytest.raises(ValueError, match="how Linear takes latents .*FluxTransformer2DModel"):
        inputs_of(torch.nn.Linear(1, 1))
