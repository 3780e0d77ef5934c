"""Checks of compat/comfyui on an SDXL checkpoint. Runs in ComfyUI's interpreter.

    python check_sdxl.py COMFYUI_DIR REPOSITORY CHECKPOINT

Each check is a function whose name says what must hold; the names of those that held are printed.
"""

from __future__ import annotations

import copy
from types import SimpleNamespace

import torch
from check_host import TIMESTEP, Scaled, run

SIZES = [[900, 1500, 16, 40, 64, 96], [3000, 2047, 0, 3, 64, 96]]
NAMES = ("height", "width", "crop_h", "crop_w", "target_height", "target_width")


def noisy_batch(compat, clip):
    texts = compat.encode_texts(clip, ["a cat", "a red dog"])
    condition = {key: torch.stack([text[key] for text in texts]) for key in texts[0]}
    condition["sizes"] = torch.tensor(SIZES).float()
    chance = torch.Generator().manual_seed(1)
    latents, noise = (torch.randn(2, 4, 8, 12, generator=chance) for _ in range(2))
    return latents, noise, torch.tensor([TIMESTEP, TIMESTEP]), condition


def widths_are_those_of_sdxl(compat, model, clip, vae):
    assert compat.attention_widths(model) == {"attn1": (640, 1280), "attn2": (2048,)}


def texts_bring_their_pooled_vector_and_the_sizes_that_they_name(compat, model, clip, vae):
    (text,) = compat.encode_texts(clip, ["a cat"])
    assert text["context"].shape == (77, 2048)
    assert text["pooled"].shape == (1280,)
    words = compat.conditioning(clip, "a cat")
    words[0][1].update(zip(NAMES, SIZES[0], strict=True))
    (entry,) = compat.read_conditioning(words)
    assert entry["sizes"].tolist() == SIZES[0]
    assert torch.equal(entry["pooled"], text["pooled"])
    assert not any(tensor.is_inference() for tensor in entry.values())


def a_prediction_is_the_hosts_own_with_the_sizes_of_each_picture(compat, model, clip, vae):
    latents, noise, timesteps, condition = noisy_batch(compat, clip)
    with compat.denoiser(model) as denoiser, torch.no_grad():
        alpha = denoiser.levels.signal[TIMESTEP]
        sigma = ((1 - alpha) / alpha).sqrt()
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        found = denoiser.predict(noisy, timesteps, condition, None)
        x = noisy / alpha.sqrt()
        for place, sizes in enumerate(SIZES):
            one = slice(place, place + 1)
            y = model.model.encode_adm(
                pooled_output=condition["pooled"][one], **dict(zip(NAMES, sizes, strict=True))
            )
            denoised = model.model.apply_model(
                x[one], sigma[None], c_crossattn=condition["context"][one], y=y
            )
            expected = (x[one] - denoised) / sigma
            torch.testing.assert_close(found[one], expected, atol=1e-4, rtol=1e-4)


def without_sizes_it_is_told_of_whole_pictures_as_when_sampling(compat, model, clip, vae):
    latents, _noise, timesteps, condition = noisy_batch(compat, clip)
    whole = {**condition, "sizes": torch.tensor([[64.0, 96, 0, 0, 64, 96]] * 2)}
    without = {key: condition[key] for key in ("context", "pooled")}
    with compat.denoiser(model) as denoiser, torch.no_grad():
        results = [
            denoiser.predict(latents, timesteps, each, None) for each in (whole, without, condition)
        ]
        assert torch.equal(results[0], results[1])
        assert not torch.allclose(results[0], results[2], atol=1e-3)
        try:
            denoiser.predict(latents, timesteps, {"context": condition["context"]}, None)
        except ValueError as error:
            assert "pooled output" in str(error), error
        else:
            raise AssertionError("a text without its pooled vector was accepted")


def gradients_reach_both_patches(compat, model, clip, vae):
    latents, noise, timesteps, condition = noisy_batch(compat, clip)
    patches = SimpleNamespace(attn1=Scaled(), attn2=Scaled())
    with compat.denoiser(model) as denoiser:
        found = denoiser.predict(latents, timesteps, condition, patches)
        (found.float() - noise).pow(2).mean().backward()
    assert all(patch.weight.grad.abs() > 0 for patch in vars(patches).values())


def its_relatives_are_refused_by_name(compat, model, clip, vae):
    import comfy.model_base

    for kind in ("SDXLRefiner", "SD21UNCLIP"):
        other = model.clone()
        other.model = copy.copy(model.model)
        other.model.__class__ = getattr(comfy.model_base, kind)
        try:
            compat.denoiser(other).__enter__()
        except ValueError as error:
            assert kind in str(error), error
        else:
            raise AssertionError(f"{kind} was accepted")


CHECKS = [
    widths_are_those_of_sdxl,
    texts_bring_their_pooled_vector_and_the_sizes_that_they_name,
    a_prediction_is_the_hosts_own_with_the_sizes_of_each_picture,
    without_sizes_it_is_told_of_whole_pictures_as_when_sampling,
    gradients_reach_both_patches,
    its_relatives_are_refused_by_name,
]

if __name__ == "__main__":
    run(CHECKS)
