"""train() on a tiny random transformer of every class: what is learnt, what is left behind."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

pytest.importorskip("diffusers")
import tiny_models
from tiny_models import pipelines
from tiny_models.copies import copies_of
from tiny_models.trained import FAMILIES, batch_for, spec_for

import hypernet.diffusers
from hypernet import Hypernetwork
from hypernet.apply.training_network import TrainingNetwork
from hypernet.diffusers.trainable_transformer import TrainableTransformer
from hypernet.diffusers.training import trainable
from hypernet.diffusers.velocities import packed, unpacked, velocity_of
from hypernet.training.batches import stack
from hypernet.training.diffusion import Batch, predicted
from hypernet.training.settings import TrainSettings

CPU = torch.device("cpu")
ONE = dict(seed=3, probe_every=0)


def losses(model, batch, settings, spec=None):
    training = hypernet.diffusers.train(model, [batch], spec or spec_for(model), settings)
    return [step.loss for step in training], training.network


def state(model):
    return {name: weight.clone() for name, weight in model.state_dict().items()}


def same(some, others):
    return all(torch.equal(some[name], others[name]) for name in some)


@pytest.mark.parametrize("name", FAMILIES)
def test_20_updates_lower_the_loss_on_one_batch_and_leave_the_model_bare(name):
    model, batch = batch_for(name)
    before, kept = state(model), [[*vars(each)] for each in model.modules()]
    network, found = Hypernetwork(spec_for(model)), []
    adam = torch.optim.Adam(network.parameters(), 1e-3)
    noise = torch.randn(batch[0].shape, generator=torch.Generator().manual_seed(2))
    timesteps = torch.tensor([700])
    with TrainableTransformer(model, None).denoiser(CPU, TrainSettings(steps=1)) as opened:
        for _ in range(20):
            acting = TrainingNetwork(network)
            loss = F.mse_loss(*predicted(opened, Batch(*batch), noise, timesteps, acting))
            adam.zero_grad()
            loss.backward()
            adam.step()
            found.append(float(loss))
    assert found[-1] < 0.97 * found[0], found
    assert same(before, model.state_dict())
    assert [[*vars(each)] for each in model.modules()] == kept


@pytest.mark.parametrize("how", [{}, {"checkpointing": "on"}, {"offload": True}], ids=str)
def test_nothing_keeps_a_copy_of_the_model(how):
    model, batch = batch_for("flux")
    weights = dict(model.named_parameters())
    copy_of_one = weights["proj_out.weight"].clone()
    assert copies_of(weights) == ["proj_out.weight"]
    del copy_of_one
    training = hypernet.diffusers.train(
        model, [batch], spec_for(model), TrainSettings(steps=2, **ONE, **how)
    )
    next(training)
    looked_at = dict(model.named_parameters())
    if how.get("offload"):  # what is between the blocks is on the device for as long as it takes
        looked_at = {key: each for key, each in looked_at.items() if "blocks" in key}
    assert copies_of(looked_at) == []
    training.close()
    with hypernet.diffusers.apply(model, training.network):
        assert copies_of(dict(model.named_parameters())) == []


@pytest.mark.parametrize("name", FAMILIES)
def test_every_pair_gets_the_gradient_that_finite_differences_show(name):
    model, (latents, condition) = batch_for(name)
    network = Hypernetwork(spec_for(model, activation="swish"))
    trained = TrainableTransformer(model, None)
    timesteps = torch.tensor([400])

    def loss():
        found = opened.predict(latents, timesteps, condition, TrainingNetwork(network))
        return found.double().square().mean()

    with trained.denoiser(CPU, TrainSettings(steps=1)) as opened:
        loss().backward()
        step = 3e-4
        for pair in network.spec.pairs:
            for side in "kv":
                weight = next(network.mlp(pair, side).parameters())
                assert weight.grad is not None and weight.grad.any(), (pair, side)
                way = weight.grad / weight.grad.norm()
                with torch.no_grad():
                    weight += step * way
                    above = loss()
                    weight -= 2 * step * way
                    below = loss()
                    weight += step * way
                slope = (above - below) / (2 * step)
                assert float(slope) == pytest.approx(float(weight.grad.norm()), rel=0.05), pair


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    "how",
    [
        {"checkpointing": "on"},
        {"offload": True},
        {"blocks_to_swap": 1},
        {"blocks_to_swap": 2, "checkpointing": "on"},
    ],
    ids=str,
)
def test_saving_memory_changes_no_loss(name, how):
    model, batch = batch_for(name, samples=2)
    plain = dict(steps=2, learning_rate="1e-3", batch_size=2, **ONE)
    expected, _ = losses(model, batch, TrainSettings(**plain))
    found, _ = losses(model, batch, TrainSettings(**plain, **how))
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_half_precision_learns_about_the_same(name):
    model, batch = batch_for(name, samples=2)
    settings = dict(steps=2, learning_rate="1e-3", batch_size=2, **ONE)
    expected, _ = losses(model, batch, TrainSettings(**settings))
    spec = replace(spec_for(model), arithmetic="bfloat16")
    found, network = losses(model, batch, TrainSettings(**settings, unet_dtype="bfloat16"), spec)
    assert found == pytest.approx(expected, rel=0.05)
    assert all(weight.dtype == torch.float32 for weight in network.parameters())


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("how", [{}, {"checkpointing": "on"}, {"offload": True}], ids=str)
def test_a_model_in_int8_learns_about_the_same_and_gets_its_weights_back(name, how):
    model, batch = batch_for(name, samples=2)
    weights, before = dict(model.named_parameters()), state(model)
    settings = dict(steps=2, learning_rate="1e-3", batch_size=2, **ONE)
    expected, _ = losses(model, batch, TrainSettings(**settings))
    found, _ = losses(model, batch, TrainSettings(**settings, unet_dtype="int8", **how))
    assert found == pytest.approx(expected, rel=0.05) and found != expected
    assert dict(model.named_parameters()) == weights and same(before, model.state_dict())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_network_of_strength_0_trains_on_the_bare_models_answer(name):
    model, (latents, condition) = batch_for(name)
    bare = velocity_of(model, latents, torch.tensor([0.401]), condition).detach()
    trained = TrainableTransformer(model, None)
    with trained.denoiser(CPU, TrainSettings(steps=1)) as opened:
        assert opened.predict(latents, torch.tensor([400]), condition, None).equal(bare)
    assert velocity_of(model, latents, torch.tensor([0.401]), condition).equal(bare)


@pytest.mark.parametrize("name", ["flux", "lumina2", "sd3", "qwen_image"])
def test_prompts_of_different_lengths_go_through_in_their_own(name):
    model, (latents, condition) = batch_for(name, samples=3)
    rows = [{key: each[row] for key, each in condition.items()} for row in range(3)]
    rows[1]["context"] = rows[1]["context"][:4]
    sigmas = torch.tensor([0.2, 0.5, 0.8])
    found = velocity_of(model, latents, sigmas, stack(rows))
    for row, texts in enumerate(rows):
        one = {key: each[None] for key, each in texts.items()}
        alone = velocity_of(model, latents[row : row + 1], sigmas[row : row + 1], one)
        assert (found[row : row + 1] - alone).abs().max() < 1e-5


def test_tokens_are_2_by_2_latents_in_the_order_of_channels_rows_and_columns():
    latents = torch.randn(2, 3, 4, 6)
    tokens = packed(latents)
    assert tokens.shape == (2, 6, 12) and unpacked(tokens, latents).equal(latents)
    assert tokens[0, 1].view(3, 2, 2).equal(latents[0, :, :2, 2:4])


def test_the_model_computes_in_the_numbers_that_are_asked_for():
    model, batch = batch_for("lumina2")
    before = state(model)
    settings = TrainSettings(steps=2, learning_rate="1e-3", unet_dtype="bfloat16", **ONE)
    training = hypernet.diffusers.train(model, [batch], spec_for(model), settings)
    next(training)
    assert model.dtype == torch.bfloat16
    training.close()
    assert same(before, model.state_dict())


def test_a_step_per_update_and_what_is_learnt_come_out():
    model, batch = batch_for("lumina2")
    settings = TrainSettings(steps=40, learning_rate="3e-3", **ONE)
    found, network = losses(model, batch, settings)
    assert sum(found[20:]) < 0.97 * sum(found[:20]), found
    assert network.record.architecture == "lumina2" and network.record.step == 40


def test_training_again_with_the_same_seed_gives_the_same_losses():
    model, batch = batch_for("lumina2", samples=3)
    settings = TrainSettings(steps=4, learning_rate="1e-3", batch_size=2, **ONE)
    assert losses(model, batch, settings)[0] == losses(copy.deepcopy(model), batch, settings)[0]


# --- pipelines -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", pipelines.NAMES)
def test_pictures_and_captions_are_encoded_by_the_pipeline(name):
    pipeline = pipelines.pipeline(name)
    light, dark = Image.new("RGB", (80, 70), "white"), Image.new("RGB", (64, 64))
    settings = TrainSettings(
        steps=2, learning_rate="1e-3", batch_size=2, **ONE | {"probe_every": 2}
    )
    training = hypernet.diffusers.train(
        pipeline, [(light, "a cat"), (dark, "dogs")], spec_for(pipeline), settings, size=(64, 32)
    )
    steps = list(training)
    assert all(math.isfinite(step.loss) for step in steps) and steps[1].probe is not None
    with hypernet.diffusers.apply(pipeline, training.network):
        pass


def test_a_latent_is_that_of_the_vae_as_the_transformer_sees_it():
    pipeline, chance = pipelines.pipeline("lumina2"), torch.Generator().manual_seed(0)
    pixels = torch.rand(1, 32, 48, 3, generator=chance)
    with torch.no_grad():
        found, std = trainable(pipeline).encode_picture(pixels)
        expected = pipeline.vae.encode(pixels.movedim(-1, 1) * 2 - 1).latent_dist
    assert (found - (expected.mean - 0.1159) * 0.3611).abs().max() < 1e-6
    assert (std - expected.std * 0.3611).abs().max() < 1e-6


def test_sizes_and_a_vae_that_do_not_fit_are_refused():
    pipeline = pipelines.pipeline("lumina2")
    given = [], spec_for(pipeline), TrainSettings(steps=1)
    with pytest.raises(ValueError, match=r"size \(24, 16\): .* multiples of 16 pixels"):
        hypernet.diffusers.train(pipeline, *given, size=(24, 16))
    pipeline.vae = pipelines.vae(channels=4)
    with pytest.raises(ValueError, match=r"latents of 16 channels.*AutoencoderKL\) gives 4"):
        hypernet.diffusers.train(pipeline, *given)
    pipeline.vae = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match="the latents of Linear is not known"):
        hypernet.diffusers.train(pipeline, *given)


def test_a_pipeline_with_two_transformers_is_refused():
    pipeline = pipelines.pipeline("wan")
    pipeline.register_modules(transformer_2=pipeline.transformer)
    with pytest.raises(ValueError, match="WanPipeline has two transformers"):
        hypernet.diffusers.train(pipeline, [], spec_for(pipeline), TrainSettings(steps=1))


# --- on a card -----------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
@pytest.mark.parametrize("how", [{}, {"offload": True}, {"checkpointing": "on"}], ids=str)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_transformer_trains_on_the_card_and_goes_back_to_ram(name, how):
    model, batch = batch_for(name)
    settings = TrainSettings(steps=2, learning_rate="1e-3", **ONE, **how)
    training = hypernet.diffusers.train(model, [batch], spec_for(model), settings, device="cuda")
    assert all(math.isfinite(step.loss) for step in training)
    assert {weight.device.type for weight in training.network.parameters()} == {"cuda"}
    assert {weight.device.type for weight in model.parameters()} == {"cpu"}


# --- refusals ------------------------------------------------------------------------------------


def test_the_spec_for_a_model_has_its_places_and_a_bottleneck():
    model = tiny_models.build("flux")[0]
    spec = hypernet.diffusers.spec_for(model, places=["image", "joint"], groups=2)
    assert spec.places == (("image", 64), ("joint", 64)) and spec.groups == 2
    assert spec.layer_structure == (1, 0.25, 1) and spec.arithmetic == "bfloat16"
    assert hypernet.diffusers.every_width(model) == (64,)


def test_a_class_that_is_not_known_is_named():
    from diffusers import PixArtTransformer2DModel

    model = PixArtTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, num_layers=1,
        cross_attention_dim=16, sample_size=8, caption_channels=None,
    )  # fmt: skip
    with pytest.raises(ValueError, match="PixArtTransformer2DModel.*not known"):
        hypernet.diffusers.train(model, [], hypernet.HypernetSpec(), TrainSettings(steps=1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, c: (x[:, :4], c), r"latents of shape \[1, 4, 8, 8\].*\[pictures, 16, rows"),
        (lambda x, c: (x[..., :7], c), "8 rows and 7 columns; give multiples of 2"),
        (lambda x, c: (x, c | {"context": c["context"][..., :8]}), '"context" of width 8.*24'),
        (lambda x, c: (x, {"context": c["context"]}), 'this model reads "pooled"'),
        (lambda x, c: (x.repeat(2, 1, 1, 1), c), '2 latents and 1 rows of "context"'),
    ],
)
def test_batches_that_do_not_fit_are_refused(change, words):
    model, batch = batch_for("sd3")
    with pytest.raises(ValueError, match=words):
        losses(model, change(*batch), TrainSettings(steps=1))


def test_a_spec_for_another_model_is_refused():
    model, batch = batch_for("flux")
    settings = TrainSettings(steps=1)
    with pytest.raises(ValueError, match="image 64, .*spec_for"):
        losses(model, batch, settings, hypernet.HypernetSpec())
    other = spec_for(tiny_models.build("wan")[0])
    with pytest.raises(ValueError, match="Places cross 64, self 64 are not in this model"):
        losses(model, batch, settings, other)


def test_a_model_that_reads_a_picture_beside_the_noise_is_refused():
    model = tiny_models.build("wan_i2v")[0]
    with pytest.raises(ValueError, match="reads a picture beside the noise"):
        losses(model, (torch.zeros(1), {}), TrainSettings(steps=1), spec_for(model))
