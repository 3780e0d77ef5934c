"""Checks of compat/comfyui that HTTP cannot see. Runs in ComfyUI's interpreter.

    python check_host.py COMFYUI_DIR REPOSITORY CHECKPOINT

Each check is a function whose name says what must hold; the names of those that held are printed.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import torch

TIMESTEP = 300


def run(checks: Sequence[Callable]) -> None:
    """Each check gets the pack's compat, and model, CLIP and VAE of the checkpoint."""
    comfyui, repository, checkpoint = sys.argv[1:]
    sys.path.insert(0, comfyui)
    from comfy.cli_args import args

    args.cpu = True
    import comfy.sd
    import folder_paths  # noqa: F401  the pack asks whether the host has loaded it

    compat = load_pack(Path(repository)).compat
    with torch.inference_mode():
        model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(checkpoint)
        for check in checks:
            check(compat, model, clip, vae)
            print(check.__name__)


def load_pack(repository: Path):
    spec = importlib.util.spec_from_file_location(
        "pack", repository / "__init__.py", submodule_search_locations=[str(repository)]
    )
    pack = sys.modules["pack"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    importlib.import_module("pack.compat")
    return pack


class Scaled:
    """A patch with one weight to learn."""

    def __init__(self):
        with torch.inference_mode(False):
            self.weight = torch.nn.Parameter(torch.zeros(()))

    def __call__(self, n, context, value, extra_options):
        return n, context + self.weight * context, value + self.weight * value


def noisy_batch(compat, clip):
    condition = {
        key: torch.stack([value, value])
        for key, value in compat.encode_texts(clip, ["a cat"])[0].items()
    }
    chance = torch.Generator().manual_seed(1)
    latents, noise = (torch.randn(2, 4, 8, 8, generator=chance) for _ in range(2))
    return latents, noise, torch.tensor([TIMESTEP, TIMESTEP]), condition


def every_name_of_the_contract_is_there(compat, model, clip, vae):
    for name in compat.__all__:
        assert hasattr(compat, name), name
    assert compat.host_name().startswith("ComfyUI ")
    assert compat.model_name(model) == Path(sys.argv[3]).name
    assert compat.model_file(model) == Path(sys.argv[3])


def widths_are_those_of_stable_diffusion_1(compat, model, clip, vae):
    assert compat.attention_widths(model) == {"attn1": (320, 640, 1280), "attn2": (768,)}


def pictures_and_texts_become_ordinary_tensors(compat, model, clip, vae):
    latents, spread = compat.encode_pictures(vae, torch.rand(1, 64, 64, 3), model)
    assert latents.shape == (1, 4, 8, 8)
    assert latents.dtype == torch.float32
    assert not latents.is_inference() and not spread.is_inference()
    module = vae.first_stage_model
    pixels = torch.full((1, 3, 64, 64), -0.5, dtype=next(module.parameters()).dtype)
    with torch.inference_mode():
        told = module.quant_conv(module.encoder(pixels)).float().chunk(2, dim=1)[1].cpu()
    _, spread = compat.encode_pictures(vae, torch.full((1, 64, 64, 3), 0.25), model)
    torch.testing.assert_close(spread, (told / 2).exp() * 0.18215, rtol=1e-4, atol=1e-6)
    encoded = vae.encode(torch.full((1, 64, 64, 3), 0.25))
    found, _ = compat.encode_pictures(vae, torch.full((1, 64, 64, 3), 0.25), model)
    torch.testing.assert_close(found, encoded * 0.18215)
    context = compat.encode_texts(clip, ["a cat"])[0]["context"]
    assert context.shape == (77, 768)
    assert not context.is_inference()
    torch.testing.assert_close(context, compat.conditioning(clip, "a cat")[0][0][0])


def latents_and_conditionings_are_read_as_pictures_and_texts_are(compat, model, clip, vae):
    pictures = torch.rand(2, 64, 64, 3)
    found = compat.scale_latents(model, vae.encode(pictures))
    torch.testing.assert_close(found, compat.encode_pictures(vae, pictures, model)[0])
    (text,) = compat.read_conditioning(compat.conditioning(clip, "a cat"))
    assert torch.equal(text["context"], compat.encode_texts(clip, ["a cat"])[0]["context"])
    assert not found.is_inference()
    assert not text["context"].is_inference()
    try:
        compat.scale_latents(model, torch.zeros(1, 16, 8, 8))
    except ValueError as error:
        assert "[1, 16, 8, 8]" in str(error), error
    else:
        raise AssertionError("a latent of 16 channels was accepted")


def released_models_leave(compat, model, clip, vae):
    import comfy.model_management

    vae.encode(torch.rand(1, 64, 64, 3))
    compat.encode_texts(clip, ["a cat"])
    assert len(comfy.model_management.loaded_models()) >= 2
    compat.release(vae, clip)
    loaded = comfy.model_management.loaded_models()
    assert vae.patcher not in loaded
    assert clip.patcher not in loaded
    compat.free_memory()


def unloaded_models_give_what_they_gave(compat, model, clip, vae):
    pictures = torch.rand(1, 64, 64, 3)
    before = vae.encode(pictures), *compat.encode_texts(clip, ["a cat"])
    compat.release(vae, clip)
    with tempfile.TemporaryDirectory() as folder:
        compat.unload(Path(folder), vae, clip)
        lying = {
            weight.untyped_storage().filename
            for each in (vae, clip)
            for weight in each.patcher.model.parameters()
        }
        assert None not in lying and len(lying) == 2, lying
        after = vae.encode(pictures), *compat.encode_texts(clip, ["a cat"])
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1]["context"], after[1]["context"])


def folders_of_models_are_the_hosts_and_what_it_is_configured_with(compat, model, clip, vae):
    import folder_paths

    usual = Path(folder_paths.models_dir)
    assert compat.model_folders("hypernetworks")[0] == usual / "hypernetworks"
    assert compat.model_folders("wd14_tagger") == [usual / "wd14_tagger"]
    elsewhere = usual.parent / "a1111"
    folder_paths.add_model_folder_path("torch_deepdanbooru", str(elsewhere))
    assert compat.model_folders("torch_deepdanbooru") == [usual / "torch_deepdanbooru", elsewhere]
    assert compat.torch_device() == torch.device("cpu")


def a_prediction_is_the_hosts_own(compat, model, clip, vae):
    latents, noise, timesteps, condition = noisy_batch(compat, clip)
    with compat.denoiser(model) as denoiser:
        assert denoiser.prediction == "eps"
        alpha = denoiser.levels.signal[TIMESTEP]
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        with torch.no_grad():
            found = denoiser.predict(noisy, timesteps, condition, None)
            sigma = ((1 - alpha) / alpha).sqrt().expand(2)
            x = noisy / alpha.sqrt()
            denoised = model.model.apply_model(x, sigma, c_crossattn=condition["context"])
        expected = (x - denoised) / sigma[0]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def gradients_reach_both_patches_and_all_is_restored(compat, model, clip, vae):
    import comfy.model_management

    unet = model.model.diffusion_model
    before = {name: id(weight) for name, weight in unet.named_parameters()}
    assert any(weight.is_inference() for weight in unet.parameters()), "or this proves nothing"
    options = dict(model.model_options["transformer_options"])
    latents, noise, timesteps, condition = noisy_batch(compat, clip)
    patches = SimpleNamespace(attn1=Scaled(), attn2=Scaled())
    with compat.denoiser(model) as denoiser:
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        assert comfy.model_management.in_training
        for _ in range(2):
            found = denoiser.predict(latents, timesteps, condition, patches)
            (found.float() - noise).pow(2).mean().backward()
    assert all(patch.weight.grad.abs() > 0 for patch in vars(patches).values())
    assert {name: id(weight) for name, weight in unet.named_parameters()} == before
    assert not comfy.model_management.in_training
    assert torch.is_inference_mode_enabled()
    assert model.model_options["transformer_options"] == options


class Seen(Scaled):
    """Another weight for every block; which blocks it was called for."""

    def __init__(self):
        self.calls = []
        with torch.inference_mode(False):
            self.weight = torch.nn.Parameter(torch.zeros(16))

    def __call__(self, n, context, value, extra_options):
        self.calls.append((*extra_options["block"], extra_options["transformer_index"]))
        own = self.weight[extra_options["transformer_index"]]
        return n, context + own * context, value + own * value


def gradients(denoiser, batch):
    latents, noise, timesteps, condition = batch
    patches = SimpleNamespace(attn1=Seen(), attn2=Seen())
    found = denoiser.predict(latents, timesteps, condition, patches)
    (found.float() - noise).pow(2).mean().backward()
    calls = patches.attn1.calls + patches.attn2.calls
    return torch.cat([patch.weight.grad for patch in vars(patches).values()]), calls


def memory_can_be_spared_and_gradients_stay_the_same(compat, model, clip, vae):
    batch = noisy_batch(compat, clip)
    before = {name: id(weight) for name, weight in model.model.named_parameters()}
    with compat.denoiser(model) as denoiser:
        plain, once = gradients(denoiser, batch)
        assert not denoiser.recomputes
        with denoiser.checkpointed():
            checkpointed, twice = gradients(denoiser, batch)
        again, _ = gradients(denoiser, batch)
    assert plain.abs().min() > 0
    assert sorted(twice) == sorted(once * 2), "every block knows where it is, the second time too"
    torch.testing.assert_close(checkpointed, plain)
    torch.testing.assert_close(again, plain)
    words = compat.conditioning(clip, "a cat"), compat.conditioning(clip, "")
    with compat.denoiser(model, swapped=10**6) as denoiser:
        assert denoiser.recomputes
        offloaded, _ = gradients(denoiser, batch)
        compat.generate(model, vae, *words, width=64, height=64, seed=1, steps=1, cfg=2.0)
        after, twice = gradients(denoiser, batch)
    torch.testing.assert_close(offloaded, plain)
    torch.testing.assert_close(after, plain)
    assert sorted(twice) == sorted(once * 2)
    assert {name: id(weight) for name, weight in model.model.named_parameters()} == before


def the_unet_computes_in_the_numbers_that_are_asked_for(compat, model, clip, vae):
    batch, types = noisy_batch(compat, clip), []
    with compat.denoiser(model) as denoiser:
        exact, _ = gradients(denoiser, batch)
        own = denoiser.dtype
    with compat.denoiser(model, dtype=torch.bfloat16) as denoiser:
        assert denoiser.dtype == torch.bfloat16
        layer = model.model.diffusion_model.middle_block[0]
        hook = layer.register_forward_hook(lambda layer, given, found: types.append(found.dtype))
        rounded, _ = gradients(denoiser, batch)
        hook.remove()
    assert set(types) == {torch.bfloat16}
    assert 1e-6 < (rounded - exact).norm() / exact.norm() < 0.2
    with compat.denoiser(model) as denoiser:
        assert denoiser.dtype == own


def weights_in_int8_learn_about_the_same_and_come_back(compat, model, clip, vae):
    batch = noisy_batch(compat, clip)
    words = compat.conditioning(clip, "a cat"), compat.conditioning(clip, "")
    before = {name: id(weight) for name, weight in model.model.named_parameters()}
    with compat.denoiser(model) as denoiser:
        exact, _ = gradients(denoiser, batch)
    with compat.denoiser(model, dtype=torch.int8) as denoiser:
        kinds = [weight.dtype for weight in model.model.diffusion_model.parameters()]
        assert kinds.count(torch.int8) > len(kinds) / 3
        found, _ = gradients(denoiser, batch)
        with denoiser.checkpointed():
            checkpointed, _ = gradients(denoiser, batch)
        compat.generate(model, vae, *words, width=64, height=64, seed=1, steps=1, cfg=2.0)
        compat.release(model)
        after, _ = gradients(denoiser, batch)
    with compat.denoiser(model, dtype=torch.int8, swapped=10**6) as denoiser:
        offloaded, _ = gradients(denoiser, batch)
    assert 1e-6 < (found - exact).norm() / exact.norm() < 0.1
    for other in (checkpointed, after, offloaded):
        torch.testing.assert_close(other, found)
    assert {name: id(weight) for name, weight in model.model.named_parameters()} == before
    with compat.denoiser(model) as denoiser:
        torch.testing.assert_close(gradients(denoiser, batch)[0], exact)


def a_preview_inside_training_does_no_harm(compat, model, clip, vae):
    latents, _noise, timesteps, condition = noisy_batch(compat, clip)
    words = compat.conditioning(clip, "a cat"), compat.conditioning(clip, "")
    patches = SimpleNamespace(attn1=Scaled(), attn2=Scaled())
    with compat.denoiser(model) as denoiser:
        before = denoiser.predict(latents, timesteps, condition, patches)
        there = denoiser.addresses()
        assert len(there) > 500 and denoiser.addresses() == there
        picture = compat.generate(model, vae, *words, width=64, height=64, seed=1, steps=1, cfg=2.0)
        compat.release(model)
        after = denoiser.predict(latents, timesteps, condition, patches)
        after.mean().backward()
    assert picture.shape == (1, 64, 64, 3)
    assert not picture.is_inference()
    torch.testing.assert_close(after, before)
    assert all(patch.weight.grad is not None for patch in vars(patches).values())


def what_the_model_carries_stays_in_force(compat, model, clip, vae):
    latents, _noise, timesteps, condition = noisy_batch(compat, clip)
    carried = model.clone()
    carried.set_model_attn2_patch(lambda n, context, value, options: (n, context * 2, value))
    weight = "diffusion_model.middle_block.1.proj_in.weight"
    lora = model.clone()
    change = torch.randn(1280, 1280, 1, 1, generator=torch.Generator().manual_seed(2))
    lora.add_patches({weight: ("diff", (change,))})
    results = []
    for each in (model, carried, lora, model):
        with compat.denoiser(each) as denoiser, torch.no_grad():
            results.append(denoiser.predict(latents, timesteps, condition, None))
    assert not torch.allclose(results[0], results[1], atol=1e-3)
    assert not torch.allclose(results[0], results[2], atol=1e-3)
    torch.testing.assert_close(results[0], results[3])


def an_interrupt_lets_the_step_end_and_is_not_forgotten(compat, model, clip, vae):
    import comfy.model_management

    latents, _noise, timesteps, condition = noisy_batch(compat, clip)
    with compat.denoiser(model) as denoiser, torch.no_grad():
        calm = denoiser.predict(latents, timesteps, condition, None)
        comfy.model_management.interrupt_current_processing(True)
        hurried = denoiser.predict(latents, timesteps, condition, None)
        compat.Progress(3).update(1)
    assert torch.equal(calm, hurried)
    assert compat.is_interrupted()
    try:
        compat.raise_if_interrupted()
    except compat.Interrupted:
        pass
    else:
        raise AssertionError("the request was lost")
    assert not compat.is_interrupted()


def other_samplings_are_refused_by_name(compat, model, clip, vae):
    from comfy_extras.nodes_model_advanced import ModelSamplingContinuousEDM, ModelSamplingDiscrete

    (velocity,) = ModelSamplingDiscrete().patch(model, "v_prediction", False)
    with compat.denoiser(velocity) as denoiser:
        assert denoiser.prediction == "v"
    strange = [ModelSamplingDiscrete().patch(model, kind, False)[0] for kind in ("lcm", "x0")]
    strange += ModelSamplingContinuousEDM().patch(model, "v_prediction", 120.0, 0.002)
    for refused, name in zip(strange, ("LCM", "X0", "ModelSamplingContinuousEDM"), strict=True):
        try:
            with compat.denoiser(refused):
                raise AssertionError(f"{name} was accepted")
        except ValueError as error:
            assert name in str(error), error


def models_without_patch_points_are_refused_by_name(compat, model, clip, vae):
    class Flux(torch.nn.Module):
        pass

    other = model.clone()
    other.add_object_patch("diffusion_model", Flux())
    for call in (compat.attention_widths, lambda model: compat.denoiser(model).__enter__()):
        try:
            call(other)
        except ValueError as error:
            assert "Flux" in str(error), error
        else:
            raise AssertionError("Flux was accepted")


CHECKS = [
    every_name_of_the_contract_is_there,
    widths_are_those_of_stable_diffusion_1,
    pictures_and_texts_become_ordinary_tensors,
    latents_and_conditionings_are_read_as_pictures_and_texts_are,
    released_models_leave,
    unloaded_models_give_what_they_gave,
    folders_of_models_are_the_hosts_and_what_it_is_configured_with,
    a_prediction_is_the_hosts_own,
    gradients_reach_both_patches_and_all_is_restored,
    memory_can_be_spared_and_gradients_stay_the_same,
    the_unet_computes_in_the_numbers_that_are_asked_for,
    weights_in_int8_learn_about_the_same_and_come_back,
    a_preview_inside_training_does_no_harm,
    what_the_model_carries_stays_in_force,
    an_interrupt_lets_the_step_end_and_is_not_forgotten,
    other_samplings_are_refused_by_name,
    models_without_patch_points_are_refused_by_name,
]

if __name__ == "__main__":
    run(CHECKS)
