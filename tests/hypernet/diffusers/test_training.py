"""train() on a tiny random pipeline: what it gives, what it leaves behind, what it refuses."""

import copy
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

import hypernet.diffusers
from hypernet import HypernetSpec
from hypernet.diffusers.encoders import encode_prompt
from hypernet.training.settings import TrainSettings

SPEC = HypernetSpec(widths=(16, 24, 32), activation="mish", weight_initialization="XavierNormal")
SETTINGS = TrainSettings(steps=6, learning_rate="1e-3", batch_size=2, seed=3, probe_every=3)


def weights(network):
    return [weight.detach().clone() for weight in network.parameters()]


def same(some, others):
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


def test_it_gives_a_step_per_update_and_a_network_that_has_learnt(pipeline, pairs):
    training = hypernet.diffusers.train(pipeline, pairs, SPEC, SETTINGS, name="foxes")
    before = weights(training.network)
    steps = list(training)
    assert [step.done for step in steps] == [1, 2, 3, 4, 5, 6]
    assert all(math.isfinite(step.loss) for step in steps)
    assert [step.probe is not None for step in steps] == [False, False, True] * 2
    assert training.network.record.step == 6 and training.network.record.name == "foxes"
    assert not same(before, weights(training.network))


def test_a_seed_decides_everything(pipeline, pairs):
    def losses(seed):
        settings = TrainSettings(steps=3, learning_rate="1e-3", seed=seed)
        return [step.loss for step in hypernet.diffusers.train(pipeline, pairs, SPEC, settings)]

    assert losses(1) == losses(1) != losses(2)


def test_the_loss_falls_on_one_picture(pipeline, pairs):
    settings = TrainSettings(steps=60, learning_rate="1e-2", batch_size=4, probe_every=60)
    steps = list(hypernet.diffusers.train(pipeline, pairs[:1], SPEC, settings))
    halves = [sum(step.loss for step in part) for part in (steps[:30], steps[30:])]
    assert halves[1] < 0.98 * halves[0]


def test_a_picture_is_taken_from_a_file_as_from_memory(pipeline, pairs, tmp_path):
    files = []
    for place, (picture, caption) in enumerate(pairs):
        picture.save(tmp_path / f"{place}.png")
        files.append((tmp_path / f"{place}.png", caption))
    found = [list(hypernet.diffusers.train(pipeline, p, SPEC, SETTINGS)) for p in (pairs, files)]
    assert found[0] == found[1]


def test_batches_of_a_unet_alone_are_those_of_the_pipeline(pipeline, pairs):
    """One picture, so that its latent alone decides; the probe of the pipeline draws nothing."""
    picture, caption = pairs[0][0].resize((16, 16)).convert("RGB"), "red dog"
    settings = TrainSettings(steps=4, learning_rate="1e-3", seed=3, probe_every=0)
    expected = list(hypernet.diffusers.train(pipeline, [(picture, caption)], SPEC, settings))
    pixels = torch.tensor(list(picture.tobytes())).view(1, 16, 16, 3).movedim(-1, 1) / 255
    with torch.no_grad():
        latents = pipeline.vae.encode(pixels * 2 - 1).latent_dist.mean * 0.18215
        context = encode_prompt(pipeline, caption)["context"][None]
    batch = (latents, {"context": context})
    found = hypernet.diffusers.train(
        pipeline.unet, [batch], SPEC, settings, scheduler=pipeline.scheduler
    )
    assert [step.loss for step in found] == pytest.approx([step.loss for step in expected])


def test_the_unet_is_borrowed_and_given_back(pipeline, pairs):
    unet = pipeline.unet.train()
    processors = {name: id(processor) for name, processor in unet.attn_processors.items()}
    before, kept = copy.deepcopy(unet.state_dict()), unet.conv_in.weight.requires_grad
    training = hypernet.diffusers.train(pipeline, pairs, SPEC, SETTINGS)
    next(training)
    assert not unet.training and not unet.conv_in.weight.requires_grad
    training.close()
    assert list(training) == []
    assert unet.training and unet.conv_in.weight.requires_grad == kept
    assert {name: id(each) for name, each in unet.attn_processors.items()} == processors
    assert same(before.values(), unet.state_dict().values())


def test_the_pipeline_draws_between_two_steps(pipeline, pairs):
    plain = hypernet.diffusers.train(pipeline, pairs, SPEC, SETTINGS)
    expected = [step.loss for step in plain]
    losses = []
    training = hypernet.diffusers.train(pipeline, pairs, SPEC, SETTINGS)
    for step in training:
        losses.append(step.loss)
        with hypernet.diffusers.apply(pipeline, training.network):
            drawn = pipeline("red dog", num_inference_steps=1, width=16, height=16)
    assert drawn.images[0].size == (16, 16)
    assert losses == expected


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_callers_mode_is_his_own(pipeline, pairs, mode):
    settings = replace(SETTINGS, steps=3)  # and a probe
    expected = [s.loss for s in hypernet.diffusers.train(pipeline, pairs, SPEC, settings)]
    losses = []
    with mode():
        before = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        for step in hypernet.diffusers.train(pipeline, pairs, SPEC, settings):
            losses.append(step.loss)
            assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == before
    assert losses == expected


@pytest.mark.parametrize(
    "how",
    [
        dict(offload=True),
        dict(checkpointing="on"),
        dict(blocks_to_swap=3),
        dict(blocks_to_swap=3, checkpointing="on"),
    ],
)
def test_saving_memory_changes_no_loss(pipeline, pairs, how):
    settings = dict(steps=3, learning_rate="1e-3", seed=3)
    plain, saving = (
        [step.loss for step in hypernet.diffusers.train(pipeline, pairs, SPEC, each)]
        for each in (TrainSettings(**settings), TrainSettings(**settings, **how))
    )
    assert saving == pytest.approx(plain, rel=1e-5)


def test_the_unet_computes_in_the_numbers_that_are_asked_for(pipeline, pairs):
    settings = TrainSettings(steps=2, learning_rate="1e-3", unet_dtype="bfloat16")
    before = copy.deepcopy(pipeline.unet.state_dict())
    training = hypernet.diffusers.train(pipeline, pairs, SPEC, settings)
    assert math.isfinite(next(training).loss)
    assert pipeline.unet.dtype == torch.bfloat16
    training.close()
    assert same(before.values(), pipeline.unet.state_dict().values())


@pytest.mark.parametrize("how", [{}, dict(offload=True), dict(checkpointing="on")], ids=str)
def test_a_unet_in_int8_learns_about_the_same_and_gets_its_weights_back(pipeline, pairs, how):
    settings = dict(steps=3, learning_rate="1e-3", seed=3)
    weights = dict(pipeline.unet.named_parameters())
    before = copy.deepcopy(pipeline.unet.state_dict())
    train = hypernet.diffusers.train
    exact = [step.loss for step in train(pipeline, pairs, SPEC, TrainSettings(**settings))]
    training = train(pipeline, pairs, SPEC, TrainSettings(**settings, unet_dtype="int8", **how))
    found = [step.loss for step in training]
    assert found == pytest.approx(exact, rel=0.02) and found != exact
    assert dict(pipeline.unet.named_parameters()) == weights
    assert same(before.values(), pipeline.unet.state_dict().values())


def test_a_pipeline_in_half_precision_encodes_in_float32_and_stays_as_it_is(pipeline, pairs):
    pipeline.to(torch.bfloat16)
    steps = list(hypernet.diffusers.train(pipeline, pairs, SPEC, SETTINGS))
    assert all(math.isfinite(step.loss) for step in steps)
    assert {pipeline.vae.dtype, pipeline.unet.dtype} == {torch.bfloat16}


def test_the_average_is_what_comes_out_where_one_is_kept(pipeline, pairs):
    settings = TrainSettings(steps=3, learning_rate="1e-3", ema=0.9)
    training = hypernet.diffusers.train(pipeline, pairs, SPEC, settings)
    list(training)
    assert not any(weight.requires_grad for weight in training.network.parameters())
    assert training.network.record.step == 3


# --- SDXL ----------------------------------------------------------------------------------------


def sdxl_batch(number):
    chance = torch.Generator().manual_seed(1)
    condition = {
        "context": torch.randn(number, 7, 24, generator=chance),
        "pooled": torch.randn(number, 8, generator=chance),
    }
    return torch.randn(number, 4, 8, 8, generator=chance), condition


@pytest.fixture
def sdxl_unet():
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"],
        up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"],
        block_out_channels=[16, 32],
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=24,
        attention_head_dim=2,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=8 + 6 * 8,
    )


def test_a_unet_of_sdxl_reads_the_pooled_text(sdxl_unet, pipeline):
    spec = HypernetSpec(widths=hypernet.diffusers.every_width(sdxl_unet))
    assert spec.widths == (24, 32)
    latents, condition = sdxl_batch(3)
    given = sdxl_unet, [(latents, condition)], spec, SETTINGS
    steps = list(hypernet.diffusers.train(*given, scheduler=pipeline.scheduler))
    assert all(math.isfinite(step.loss) for step in steps)
    del condition["pooled"]
    with pytest.raises(ValueError, match='reads "pooled" beside "context"'):
        hypernet.diffusers.train(*given, scheduler=pipeline.scheduler)


def test_an_sdxl_pipeline_tells_the_unet_of_every_picture(pipeline, sdxl_unet, pairs, monkeypatch):
    """Of its size, and of the part that is shown: a wide picture loses its left and its right."""
    seen = []
    real = sdxl_unet.forward

    def forward(*inputs, added_cond_kwargs, **more):
        seen.append(added_cond_kwargs["time_ids"])
        return real(*inputs, added_cond_kwargs=added_cond_kwargs, **more)

    monkeypatch.setattr(sdxl_unet, "forward", forward)

    def encode_prompt(prompt, device, num_images_per_prompt, do_classifier_free_guidance):
        context, _ = pipeline.encode_prompt(prompt, device, 1, False)
        return context, None, context[:, 0, :8], None

    xl = SimpleNamespace(
        unet=sdxl_unet, vae=pipeline.vae, scheduler=pipeline.scheduler, device=pipeline.device,
        encode_prompt=encode_prompt,
    )  # fmt: skip
    settings = TrainSettings(steps=1, learning_rate="1e-3", probe_every=0)
    spec = HypernetSpec(widths=(24, 32))
    wide = [(Image.new("RGB", (64, 32)), "cat")]
    list(hypernet.diffusers.train(xl, wide, spec, settings, size=(16, 16)))
    assert seen[0].tolist() == [[32, 64, 0, 8, 16, 16]]


# --- refusals ------------------------------------------------------------------------------------


def changed(pipeline, **config):
    pipeline.unet.register_to_config(**config)
    return pipeline


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (lambda p, pairs: (SimpleNamespace(), pairs), TypeError, "is no UNet and has none"),
        (lambda p, pairs: (torch.nn.Linear(1, 1), pairs), TypeError, "Linear is no UNet2DCond"),
        (lambda p, pairs: (p.unet, pairs), ValueError, "give the scheduler of its pipeline"),
        (lambda p, pairs: (p, []), ValueError, "no picture to train on"),
        (lambda p, pairs: (p, [*pairs, "a fox"]), TypeError, "Item 6 is no pair of a picture"),
        (lambda p, pairs: (p, [("nowhere.png", "a")]), ValueError, '"nowhere.png" cannot be read'),
        (
            lambda p, pairs: (changed(p, in_channels=9), pairs),
            ValueError,
            "takes 9 channels, the VAE gives 4: an inpainting",
        ),
        (
            lambda p, pairs: (changed(p, encoder_hid_dim_type="ip_image_proj"), pairs),
            ValueError,
            "more than a text.*IP-Adapter",
        ),
        (
            lambda p, pairs: (changed(p, addition_embed_type="image"), pairs),
            ValueError,
            "more than a text",
        ),
    ],
)
def test_what_cannot_be_trained_on_is_refused_in_words(pipeline, pairs, given, error, words):
    with pytest.raises(error, match=words):
        hypernet.diffusers.train(*given(pipeline, pairs), SPEC, SETTINGS)


def test_widths_sizes_and_schedulers_that_do_not_fit_are_refused(pipeline, pairs):
    train = hypernet.diffusers.train
    with pytest.raises(ValueError, match=r"Widths 320, 640.*which has 16, 24, 32.*every_width"):
        train(pipeline, pairs, HypernetSpec(), SETTINGS)
    with pytest.raises(ValueError, match=r"size \(15, 16\): give width and height in multiples of"):
        train(pipeline, pairs, SPEC, SETTINGS, size=(15, 16))
    flow = SimpleNamespace(config=SimpleNamespace())
    with pytest.raises(ValueError, match="SimpleNamespace.*no noise levels"):
        train(pipeline, pairs, SPEC, SETTINGS, scheduler=flow)
    pipeline.unet._hf_hook = object()
    with pytest.raises(ValueError, match="Load it without enable_model_cpu_offload"):
        train(pipeline, pairs, SPEC, SETTINGS)


@pytest.mark.parametrize(
    ("latents", "condition", "error", "words"),
    [
        ((4, 8, 8), {"context": (1, 7, 24)}, ValueError, r"Item 1: latents of shape \[4, 8, 8\]"),
        ((2, 4, 8, 8), {"context": (1, 7, 24)}, ValueError, '2 latents and 1 rows of "context"'),
        ((1, 4, 8, 8), {"context": (1, 7, 768)}, ValueError, "width 768.*this model reads 24"),
        ((1, 4, 8, 8), {"text": (1, 7, 24)}, TypeError, "Item 1 is no batch"),
    ],
)
def test_batches_that_do_not_fit_are_refused(pipeline, latents, condition, error, words):
    made = {key: torch.zeros(shape) for key, shape in condition.items()}
    with pytest.raises(error, match=words):
        hypernet.diffusers.train(
            pipeline.unet,
            [(torch.zeros(latents), made)],
            SPEC,
            SETTINGS,
            scheduler=pipeline.scheduler,
        )


def test_what_a_setting_asks_of_the_model_is_refused_at_the_first_step(pipeline, pairs):
    settings = TrainSettings(steps=2, learning_rate="1", max_timestep=1000, min_timestep=999)
    pipeline.scheduler.alphas_cumprod = pipeline.scheduler.alphas_cumprod[:500]
    with pytest.raises(ValueError, match="this model has 500 noise levels"):
        next(hypernet.diffusers.train(pipeline, pairs, SPEC, settings))


# --- on a card -----------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("how", [{}, {"offload": True}, {"unet_dtype": "bfloat16"}], ids=str)
def test_a_pipeline_on_the_card_trains_there_and_stays_there(pipeline, pairs, dtype, how):
    pipeline.to("cuda", dtype)
    card = pipeline.unet.device
    settings = TrainSettings(steps=3, learning_rate="1e-3", **how)
    training = hypernet.diffusers.train(pipeline, pairs, SPEC, settings)
    assert all(math.isfinite(step.loss) for step in training)
    assert {weight.device for weight in training.network.parameters()} == {card}
    for part in (pipeline.unet, pipeline.vae):
        assert {(weight.device, weight.dtype) for weight in part.parameters()} == {(card, dtype)}


def test_regularization_pictures_are_learnt_beside_the_others(pipeline, pairs):
    def losses(regularization, weight=1.0):
        settings = TrainSettings(
            steps=4, learning_rate="1e-2", batch_size=1, probe_every=0, regularization_weight=weight
        )
        training = hypernet.diffusers.train(
            pipeline, pairs[:1], SPEC, settings, regularization=regularization
        )
        return [step.loss for step in training]

    others = pairs[1:]
    assert losses(others) == losses(others) != losses(None) == losses(others, weight=0.0)


def test_batches_of_a_model_alone_may_be_regularization(pipeline):
    batch = torch.randn(2, 4, 8, 8), {"context": torch.randn(2, 77, 24)}
    settings = TrainSettings(steps=4, learning_rate="1e-2", probe_every=0)
    training = hypernet.diffusers.train(
        pipeline.unet, [batch], SPEC, settings, scheduler=pipeline.scheduler, regularization=[batch]
    )
    assert len(list(training)) == 4
