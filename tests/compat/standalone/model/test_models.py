"""MODEL, CLIP and VAE of the stand-in: what patches see, what training gets, what is refused."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from hypernet_pack.compat.standalone.model import models
from hypernet_pack.compat.standalone.model.checkpoint import load_checkpoint
from hypernet_pack.compat.standalone.model.text import weigh

from hypernet.diffusers.blocks import spatial_transformers
from hypernet.training.memory_saving import ALL

LAYERS = {  # block -> (kind's width of tokens, transformer_index); widths of the tiny UNet
    ("input", 1): (16, 0),
    ("middle", 0): (32, 1),
    ("output", 2): (16, 2),
    ("output", 3): (16, 3),
}
TEXT = (12, 24)  # tokens, width


class Recorder:
    """A patch that changes nothing and remembers its calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, n, context, value, extra_options):
        self.calls.append((n, context, value, extra_options))
        return n, context, value


def a_step(model, **options):
    """apply_model on two latents with fixed numbers."""
    numbers = torch.Generator().manual_seed(5)
    x, context = (
        torch.randn(2, 4, 8, 8, generator=numbers),
        torch.randn(2, *TEXT, generator=numbers),
    )
    return model.model.apply_model(
        x,
        torch.tensor([3.0, 3.0]),
        c_crossattn=context,
        transformer_options={**model.model_options["transformer_options"], **options},
    )


# --- patches -------------------------------------------------------------------------------------


def test_every_attention_layer_calls_its_kinds_patch_with_comfyuis_arguments(tiny):
    model, self_attention, cross_attention = tiny[0].clone(), Recorder(), Recorder()
    model.set_model_attn1_patch(self_attention)
    model.set_model_attn2_patch(cross_attention)
    sigmas = torch.tensor([3.0, 3.0])
    a_step(model, sigmas=sigmas, cond_or_uncond=[0], sample_sigmas=sigmas)
    for recorder in (self_attention, cross_attention):
        assert [call[3]["block"] for call in recorder.calls] == list(LAYERS)
        for n, context, value, extra in recorder.calls:
            width, index = LAYERS[extra["block"]]
            assert n.shape[0] == 2 and n.shape[2] == width
            assert value is context
            assert extra["transformer_index"] == index and extra["block_index"] == 0
            assert (extra["n_heads"], extra["dim_head"]) == (2, width // 2)
            assert extra["original_shape"] == [2, 4, 8, 8]
            assert extra["sigmas"] is sigmas and extra["sample_sigmas"] is sigmas
            assert extra["cond_or_uncond"] == [0] and "patches" not in extra
    assert all(context is n for n, context, *_ in self_attention.calls)
    assert all(context.shape == (2, *TEXT) for _, context, *_ in cross_attention.calls)


def test_blocks_of_a_stable_diffusion_1_unet_have_comfyuis_numbers():
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(block_out_channels=[4] * 4, norm_num_groups=4, attention_head_dim=2)
    blocks = [block for block, _ in spatial_transformers(unet)]
    down, up = [1, 2, 4, 5, 7, 8], [3, 4, 5, 6, 7, 8, 9, 10, 11]
    inner = [("input", n) for n in down] + [("middle", 0)]
    assert blocks == inner + [("output", n) for n in up]


def test_a_patch_that_changes_nothing_changes_nothing(tiny):
    patched = tiny[0].clone()
    patched.set_model_attn1_patch(Recorder())
    patched.set_model_attn2_patch(Recorder())
    assert a_step(patched).equal(a_step(tiny[0]))


@pytest.mark.parametrize(
    ("changed", "inputs"), [(0, {"to_q"}), (1, {"to_k"}), (2, {"to_v"})], ids=["n", "k", "v"]
)
@pytest.mark.parametrize("kind", ["attn1", "attn2"])
def test_what_a_patch_returns_reaches_its_own_projection_only(tiny, kind, changed, inputs):
    def change(*given):
        return tuple(tensor + 1 if i == changed else tensor for i, tensor in enumerate(given[:3]))

    def projection_inputs(model):
        layer = getattr(
            model.module.down_blocks[0].attentions[0].transformer_blocks[0], kind
        )  # the first transformer: what enters it is the same in both runs
        seen, hooks = {}, []
        for name in ("to_q", "to_k", "to_v"):
            keep = lambda _, given, name=name: seen.update({name: given[0]})  # noqa: E731
            hooks.append(getattr(layer, name).register_forward_pre_hook(keep))
        a_step(model)
        for hook in hooks:
            hook.remove()
        return seen

    patched = tiny[0].clone()
    getattr(patched, f"set_model_{kind}_patch")(change)
    before, after = projection_inputs(tiny[0]), projection_inputs(patched)
    assert {name for name in before if not before[name].equal(after[name])} == inputs


def test_patches_run_in_the_order_they_were_set_each_on_what_the_last_returned(tiny):
    def times(factor):
        return lambda n, context, value, extra: (n, context * factor, value)

    one, two = tiny[0].clone(), tiny[0].clone()
    one.set_model_attn2_patch(times(6.0))
    two.set_model_attn2_patch(times(2.0))
    two.set_model_attn2_patch(times(3.0))
    torch.testing.assert_close(a_step(one), a_step(two))
    assert not a_step(one).allclose(a_step(tiny[0]))


def test_clones_share_weights_and_have_their_own_patches(tiny):
    first, patch = tiny[0].clone(), Recorder()
    first.set_model_attn1_patch(patch)
    second = first.clone()
    second.set_model_attn1_patch(patch)
    patches = [m.model_options["transformer_options"].get("patches", {}) for m in (tiny[0], first)]
    assert patches == [{}, {"attn1_patch": [patch]}]
    assert second.model_options["transformer_options"]["patches"]["attn1_patch"] == [patch, patch]
    assert second.model is tiny[0].model


def test_while_loaded_a_patch_is_moved_and_then_cleans_up(tiny):
    seen = []

    class Patch(Recorder):
        def to(self, place):
            seen.append(place)
            return self

        def cleanup(self):
            seen.append("cleanup")

    model = tiny[0].clone()
    model.set_model_attn2_patch(Patch())
    with model.loaded():
        assert seen == [model.load_device, model.model_dtype()]
    assert seen[-1] == "cleanup"


# --- training ------------------------------------------------------------------------------------


def test_the_denoiser_predicts_what_diffusers_predicts(tiny, tiny_folder):
    from diffusers import UNet2DConditionModel

    noisy, context = torch.randn(2, 4, 8, 8), torch.randn(2, *TEXT)
    timesteps = torch.tensor([3, 700])
    expected = UNet2DConditionModel.from_pretrained(tiny_folder / "unet")(noisy, timesteps, context)
    with models.denoiser(tiny[0]) as denoiser:
        found = denoiser.predict(noisy, timesteps, {"context": context}, None)
    torch.testing.assert_close(found, expected.sample)
    assert denoiser.prediction == "eps" and len(denoiser.levels) == 1000


def test_apply_model_and_the_denoiser_agree(tiny):
    """x_0 = x − sigma · eps, with eps predicted for x / sqrt(sigma² + 1)."""
    levels = tiny[0].get_model_object("model_sampling")
    x, context, sigma = torch.randn(1, 4, 8, 8), torch.randn(1, *TEXT), levels.sigmas[[400]]
    with models.denoiser(tiny[0]) as denoiser:
        scaled = x / (sigma**2 + 1).sqrt()
        eps = denoiser.predict(scaled, torch.tensor([400]), {"context": context}, None)
    found = tiny[0].model.apply_model(x, sigma, c_crossattn=context)
    torch.testing.assert_close(found, x - sigma * eps)


def unchanged(n, context, value, extra):
    return n, context, value


def on_text(patch):
    """What acts on a model, with this patch at its cross-attention."""
    return SimpleNamespace(attn1=unchanged, attn2=patch)


def test_gradients_reach_a_patch_inside_the_executors_inference_mode(tiny):
    with torch.inference_mode():
        noisy, context = torch.randn(1, 4, 8, 8), torch.randn(1, *TEXT)
        with models.denoiser(tiny[0]) as denoiser:
            assert not torch.is_inference_mode_enabled()
            scale = torch.ones(24, requires_grad=True)
            found = denoiser.predict(
                noisy.clone(),
                torch.tensor([10]),
                {"context": context.clone()},
                on_text(lambda n, c, v, extra: (n, c * scale, v * scale)),
            )
            found.square().mean().backward()
        assert torch.is_inference_mode_enabled()
    assert scale.grad.abs().min() > 0


def test_checkpointing_computes_blocks_twice_and_gives_the_same_gradients(tiny):
    noisy, context = torch.randn(1, 4, 8, 8), torch.randn(1, *TEXT)
    found = []
    with models.denoiser(tiny[0]) as denoiser:
        for way in (nullcontext, denoiser.checkpointed):
            calls, scale = [], torch.ones(24, requires_grad=True)

            def patch(n, c, v, extra, calls=calls, scale=scale):
                calls.append(extra["block"])
                return n, c * scale, v * scale

            with way():
                given = noisy, torch.tensor([10]), {"context": context}, on_text(patch)
                denoiser.predict(*given).square().mean().backward()
            found.append((len(calls), scale.grad))
    (once, expected), (twice, gradient) = found
    assert twice == 2 * once
    torch.testing.assert_close(gradient, expected)
    assert not tiny[0].module.is_gradient_checkpointing


def gradient_of(denoiser):
    """The gradient of a factor on the text's keys and values, and the layers in call order."""
    chance = torch.Generator().manual_seed(5)
    noisy, context = (torch.randn(1, *shape, generator=chance) for shape in ((4, 8, 8), TEXT))
    scale, calls = torch.ones(24, requires_grad=True), []

    def patch(n, c, v, extra):
        calls.append((extra["block"], extra["block_index"], extra["transformer_index"]))
        return n, (c * scale).to(c.dtype), (v * scale).to(v.dtype)

    given = noisy, torch.tensor([10]), {"context": context}, on_text(patch)
    denoiser.predict(*given).float().square().mean().backward()
    return scale.grad, calls


def test_an_offloaded_unet_gives_the_same_gradients_and_pictures(tiny):
    model = tiny[0].clone()
    with models.denoiser(model) as denoiser:
        expected, once = gradient_of(denoiser)
    before = {name: id(weight) for name, weight in model.module.named_parameters()}
    with models.denoiser(model, swapped=ALL) as denoiser:
        assert denoiser.recomputes
        gradient, twice = gradient_of(denoiser)
        picture = models.generate(
            model, tiny[2], *[models.conditioning(tiny[1], "red")] * 2,
            width=16, height=16, seed=1, steps=1, cfg=2.0,
        )  # fmt: skip
    assert torch.equal(gradient, expected)
    assert sorted(twice) == sorted(once * 2)
    assert picture.shape == (1, 16, 16, 3)
    assert {name: id(weight) for name, weight in model.module.named_parameters()} == before
    assert not any("forward" in vars(layer) for layer in model.module.modules())


def test_the_unet_computes_in_the_requested_dtype(tiny):
    model = tiny[0].clone()
    with models.denoiser(model) as denoiser:
        exact, _ = gradient_of(denoiser)
    before = {name: weight.clone() for name, weight in model.module.named_parameters()}
    with models.denoiser(model, dtype=torch.bfloat16) as denoiser:
        assert denoiser.dtype == model.model_dtype() == torch.bfloat16
        rounded, _ = gradient_of(denoiser)
    assert 1e-5 < (rounded - exact).norm() / exact.norm() < 0.1
    for name, weight in model.module.named_parameters():
        assert torch.equal(weight, before[name]), "not rounded: they were put away"


def test_in_int8_changed_weights_stay_whole_and_previews_are_of_the_same_model(tiny):
    model = tiny[0].clone()
    name = next(n for n, _ in model.module.named_parameters() if n.endswith("to_q.weight"))
    change = model.module.get_parameter(name).detach() * 0.1
    model.add_patches({f"diffusion_model.{name}": ("diff", (change,))})

    def draw():
        return models.generate(
            model, tiny[2], *[models.conditioning(tiny[1], "red")] * 2,
            width=16, height=16, seed=1, steps=1, cfg=2.0,
        )  # fmt: skip

    before, expected = model.changed_weight(name), draw()
    with models.denoiser(model, dtype=torch.int8) as denoiser:
        dtypes = {key: weight.dtype for key, weight in model.module.named_parameters()}
        assert dtypes[name] == denoiser.dtype == model.model_dtype() == torch.float32
        assert dtypes[name.replace("to_q", "to_k")] == torch.int8
        gradient, _ = gradient_of(denoiser)
        found = draw()
    with models.denoiser(model) as denoiser:
        exact, _ = gradient_of(denoiser)
    assert 1e-5 < (gradient - exact).norm() / exact.norm() < 0.05
    assert 0 < (found - expected).abs().mean() < 0.01
    assert model.changed_weight(name).equal(before) and draw().equal(expected)


def test_the_denoiser_freezes_the_unet_and_restores_everything(tiny):
    unet = tiny[0].module
    assert not any(p.is_inference() for p in unet.parameters())
    try:
        unet.train()
        unet.conv_in.weight.requires_grad_(True)
        with pytest.raises(KeyError), models.denoiser(tiny[0]):
            assert not unet.training
            assert not any(p.requires_grad for p in unet.parameters())
            raise KeyError
        assert unet.training
        assert [name for name, p in unet.named_parameters() if p.requires_grad] == [
            "conv_in.weight"
        ]
    finally:
        unet.eval().requires_grad_(False)


def test_training_patches_act_after_the_models_own(tiny):
    order = []

    def note(name):
        return lambda n, c, v, extra: (order.append(name), (n, c, v))[1]

    model = tiny[0].clone()
    model.set_model_attn1_patch(note("own"))
    with models.denoiser(model) as denoiser:
        given = torch.zeros(1, 4, 8, 8), torch.tensor([0]), {"context": torch.zeros(1, *TEXT)}
        denoiser.predict(*given, SimpleNamespace(attn1=note("trained"), attn2=unchanged))
    assert order == ["own", "trained"] * len(LAYERS)


def test_widths_are_the_inputs_of_to_k(tiny):
    assert models.attention_widths(tiny[0]) == {"attn1": (16, 32), "attn2": (24,)}


# --- pictures and texts --------------------------------------------------------------------------


def test_pictures_become_scaled_means_and_come_back(tiny):
    vae, pictures = tiny[2], torch.rand(3, 18, 17, 3)
    cropped = pictures[:, :, :16]
    told = vae.module.encode(cropped.movedim(-1, 1) * 2 - 1).latent_dist
    mean = told.mean
    with torch.inference_mode():
        latents, spread = models.encode_pictures(vae, pictures, tiny[0])
        assert not latents.is_inference() and not spread.is_inference()
    assert latents.shape == (3, 4, 9, 8) and latents.dtype == torch.float32
    torch.testing.assert_close(latents, mean * 0.18215)
    torch.testing.assert_close(spread, told.std * 0.18215)
    torch.testing.assert_close(vae.encode(pictures), mean)
    decoded = vae.decode(mean)
    assert decoded.shape == (3, 18, 16, 3) and 0 <= decoded.min() and decoded.max() <= 1


def test_texts_become_last_hidden_states_after_the_final_norm(tiny):
    clip = tiny[1]
    tokens = clip.tokenizer(
        "a red cat", padding="max_length", max_length=12, return_tensors="pt"
    ).input_ids
    expected = clip.encoders[0].module(input_ids=tokens)
    ((context, extra),) = models.conditioning(clip, "a red cat")
    torch.testing.assert_close(context, expected.last_hidden_state)
    torch.testing.assert_close(extra["pooled_output"], expected.pooler_output)
    one, two = models.encode_texts(clip, ["a red cat", ""])
    assert one["context"].equal(context[0]) and two["context"].shape == TEXT


def test_a_weight_moves_a_token_away_from_the_empty_prompt(tiny):
    clip = tiny[1]
    plain, empty, weighed = (clip.encode(text)[0] for text in ("a red", "", "a (red:3)"))
    torch.testing.assert_close(weighed[:, 2], empty[:, 2] + 3 * (plain[:, 2] - empty[:, 2]))
    assert weighed[:, [0, 1, 3]].equal(plain[:, [0, 1, 3]])


def test_a_long_prompt_continues_in_a_second_chunk(tiny):
    clip = tiny[1]
    words = ["cat"] * 12
    found = clip.encode(" ".join(words))[0]
    assert found.shape == (1, 24, 24)
    first, second = clip.encode(" ".join(words[:10]))[0], clip.encode(" ".join(words[10:]))[0]
    assert found.equal(torch.cat([first, second], dim=1))


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", []),
        ("a cat", [("a cat", 1.0)]),
        ("a (red) cat", [("a ", 1.0), ("red", 1.1), (" cat", 1.0)]),
        ("(red:1.3)", [("red", 1.3)]),
        ("((red))", [("red", 1.1 * 1.1)]),
        ("((red:2) cat)", [("red", 2.0), (" cat", 1.1)]),
        (r"saber \(fate\)", [("saber (fate)", 1.0)]),
        ("(a: b)", [("a: b", 1.1)]),
        ("a (b", [("a ", 1.0), ("(b", 1.0)]),
        ("a) b", [("a) b", 1.0)]),
    ],
)
def test_brackets_weigh_as_in_comfyui(text, segments):
    assert weigh(text) == segments


def test_a_picture_is_generated_and_models_can_leave_the_accelerator(tiny):
    model, clip, vae = tiny
    text = models.conditioning(clip, "red dog")
    with torch.inference_mode():
        models.release(clip, vae)
        picture = models.generate(
            model, vae, text, text, width=16, height=24, seed=1, steps=2, cfg=3.0
        )
    assert picture.shape == (1, 24, 16, 3)
    assert {p.device.type for p in clip.module.parameters()} == {"cpu"}
    assert not any(p.is_inference() for p in vae.module.parameters())


# --- loading -------------------------------------------------------------------------------------


def test_a_checkpoint_has_the_name_of_its_folder(tiny):
    assert models.model_name(tiny[0]) == "tiny"


def edit(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_v_prediction_is_read_from_the_scheduler(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "v")
    edit(folder / "scheduler" / "scheduler_config.json", prediction_type="v_prediction")
    model = load_checkpoint(folder)[0]
    with models.denoiser(model) as denoiser:
        assert denoiser.prediction == "v"


def test_zero_terminal_snr_is_read_from_the_scheduler(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "zero")
    edit(
        folder / "scheduler" / "scheduler_config.json",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
    )
    levels = load_checkpoint(folder)[0].get_model_object("model_sampling")
    assert float(levels.sigma_max) == pytest.approx(4518.7, rel=1e-4)  # ComfyUI's number
    assert levels.sigmas[0] == pytest.approx(0.0291671585, rel=1e-6)


def without(folder, name):
    (folder / name).unlink()


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (lambda f: shutil.rmtree(f / "vae"), FileNotFoundError, "lacks vae/config.json"),
        (
            lambda f: [without(f, "model_index.json"), without(f, "unet/config.json")],
            FileNotFoundError,
            "lacks model_index.json, unet/config.json.*save_pretrained",
        ),
        (
            lambda f: edit(f / "unet/config.json", addition_embed_type="text_time"),
            FileNotFoundError,
            "lacks text_encoder_2/config.json, tokenizer_2/tokenizer_config.json",
        ),
        (
            lambda f: edit(f / "unet/config.json", addition_embed_type="image"),
            ValueError,
            "more than a text.*addition_embed_type image",
        ),
        (
            lambda f: edit(f / "unet/config.json", in_channels=9),
            ValueError,
            "takes 9 channels, the VAE gives 4",
        ),
        (
            lambda f: edit(f / "scheduler/scheduler_config.json", prediction_type="sample"),
            ValueError,
            'prediction_type "sample".*epsilon or v_prediction',
        ),
        (
            lambda f: edit(f / "scheduler/scheduler_config.json", beta_schedule="sigmoid"),
            ValueError,
            'beta_schedule "sigmoid".*scaled_linear or linear',
        ),
        (
            lambda f: (f / "unet/config.json").write_text("{"),
            ValueError,
            "config.json.*is not JSON",
        ),
    ],
    ids=["no vae", "no index", "half sdxl", "image", "inpainting", "sample", "betas", "broken"],
)
def test_a_folder_that_cannot_be_used_is_refused_with_the_reason(
    tiny_folder, tmp_path, damage, error, words
):
    folder = shutil.copytree(tiny_folder, tmp_path / "copy")
    damage(folder)
    with pytest.raises(error, match=words) as caught:
        load_checkpoint(folder)
    assert str(folder) in str(caught.value)


# --- latents and conditionings of a graph --------------------------------------------------------


def test_latents_and_conditionings_give_the_same_as_pictures_and_texts(tiny):
    model, clip, vae = tiny
    with torch.inference_mode():
        pictures = torch.rand(2, 16, 16, 3)
        found = models.scale_latents(model, vae.encode(pictures).clone())
        (text,) = models.read_conditioning(models.conditioning(clip, "cat"))
        assert torch.equal(found, models.encode_pictures(vae, pictures, model)[0])
    assert torch.equal(text["context"], models.encode_texts(clip, ["cat"])[0]["context"])
    assert not found.is_inference() and not text["context"].is_inference()
    with pytest.raises(ValueError, match=r"\[1, 16, 8, 8\] is not of this model"):
        models.scale_latents(model, torch.zeros(1, 16, 8, 8))


def test_a_model_and_its_clones_know_their_folder(tiny, tiny_folder):
    assert models.model_file(tiny[0]) == models.model_file(tiny[0].clone()) == tiny_folder
