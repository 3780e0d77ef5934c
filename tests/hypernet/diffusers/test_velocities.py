"""Every velocity is what the class's own pipeline takes a sampling step with."""

from __future__ import annotations

import pytest
import torch

diffusers = pytest.importorskip("diffusers")
import tiny_models
from tiny_models import pipelines

from hypernet.diffusers.latents import decode, latent_format
from hypernet.diffusers.training import trainable
from hypernet.diffusers.velocities import LLAMA, inputs_of, velocity_of

TOKENS = 7
SIDE = 64  # pixels


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


TEXT = random(1, TOKENS, 24)
POOLED = random(1, 16, seed=1)
VISIBLE = torch.ones(1, TOKENS, dtype=torch.bool)

# architecture -> its pipeline, its parts beside the transformer, and an encoded prompt
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
        "WanPipeline",
        ("text_encoder", "tokenizer", "vae"),
        {"prompt_embeds": TEXT, "num_frames": 1},
    ),
    "hidream": (
        "HiDreamImagePipeline",
        ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2", "text_encoder_3",
         "tokenizer_3", "text_encoder_4", "tokenizer_4", "vae"),
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


def without_encoders(name, model):
    kind, parts, _ = PIPELINES[name]
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    return getattr(diffusers, kind)(transformer=model, scheduler=scheduler, **dict.fromkeys(parts))


def drawn(pipeline, **given):
    generator = torch.Generator().manual_seed(4)
    size = {"height": SIDE, "width": SIDE, "num_inference_steps": 2, "return_dict": False}
    return pipeline(**size, generator=generator, **{"guidance_scale": 1.0} | given)[0]


def steps_of(pipeline, **given):
    """(x, σ, v) of each step that the pipeline samples by; x and v packed as it packs them."""
    pipeline.set_progress_bar_config(disable=True)
    scheduler = pipeline.scheduler
    seen, real = [], scheduler.step

    def step(velocity, t, x, **more):
        seen.append((x, scheduler.sigmas[scheduler.index_for_timestep(t)], velocity))
        return real(velocity, t, x, **more)

    scheduler.step = step
    drawn(pipeline, output_type="latent", **given)
    scheduler.step = real
    return seen


def latents_like(model):
    inputs, config = inputs_of(model), model.config
    side = SIDE // 16 * inputs.patch(config)
    frames = (1,) if inputs.has_frames else ()
    return torch.empty(1, inputs.channels(config), *frames, side, side)


def check_velocities(model, steps, condition):
    like = latents_like(model)
    assert steps
    for x, sigma, expected in steps:
        x, expected = as_latents(x, like), as_latents(expected, like)
        with torch.no_grad():
            found = velocity_of(model, x, sigma[None], condition)
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max(), float(sigma)


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
    model, prompt = tiny_models.build(name)[0], PIPELINES[name][2]
    condition = {"context": TEXT}
    if inputs_of(model).pooled:
        condition["pooled"] = POOLED
    if name == "krea2":
        condition["context"] = prompt["prompt_embeds"].flatten(2)
    if name == "hidream":
        condition[LLAMA] = prompt["prompt_embeds_llama3"].transpose(0, 1)
    check_velocities(model, steps_of(without_encoders(name, model), **prompt), condition)


# diffusers 0.42 adds Chroma's mask of ones and zeros to the scores, where it should hide tokens
@pytest.mark.parametrize("name", [name for name in pipelines.NAMES if name != "chroma"])
def test_a_prompt_is_encoded_as_the_pipeline_does(name):
    pipeline = pipelines.pipeline(name)
    given = {"guidance_scale": 0.0} if name == "z_image" else {}
    given |= {"num_frames": 1} if name == "wan" else {}
    given |= {"max_sequence_length": 226} if name == "wan" else {}
    condition = trainable(pipeline).encode_prompt("a cat")
    stacked = {key: each[None] for key, each in condition.items()}
    steps = steps_of(pipeline, prompt="a cat", **given)
    check_velocities(pipeline.transformer, steps, stacked)


@pytest.mark.parametrize("name", ["lumina2", "flux", "flux2", "qwen_image", "wan"])
def test_latents_are_decoded_as_the_pipeline_does(name):
    pipeline = pipelines.pipeline(name)
    given = {"prompt": "a cat"} | ({"num_frames": 1} if name == "wan" else {})
    x, sigma, velocity = steps_of(pipeline, **given)[-1]
    latents = x - sigma * velocity
    expected = drawn(pipeline, output_type="pt", **given).view(1, 3, SIDE, SIDE)
    form = latent_format(pipeline.vae)
    latents = as_latents(latents, latents_like(pipeline.transformer))
    with torch.no_grad():
        found = decode(pipeline.vae, form.out_of(latents)) / 2 + 0.5
    assert (found.clamp(0, 1) - expected).abs().max() <= 1e-5
    assert (form.into(form.out_of(latents)) - latents).abs().max() <= 1e-5


def test_a_class_that_is_not_known_is_named_beside_those_that_are():
    with pytest.raises(ValueError, match="how Linear takes latents .*FluxTransformer2DModel"):
        inputs_of(torch.nn.Linear(1, 1))
