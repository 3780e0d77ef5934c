"""MODEL, CLIP and VAE of a diffusers folder with a transformer: what is drawn, learnt, refused."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

diffusers = pytest.importorskip("diffusers")
from hypernet_pack.compat.standalone.model import models
from hypernet_pack.compat.standalone.model.checkpoint import load_checkpoint
from hypernet_pack.compat.standalone.model.flow import FlowSampling
from hypernet_pack.compat.standalone.model.pipeline_text import PipelineText
from hypernet_pack.compat.standalone.model.sampling import sample, sigmas_for
from hypernet_pack.compat.standalone.model.text import Clip
from hypernet_pack.hypernet.apply.effect import Effect
from hypernet_pack.hypernet.apply.training_network import TrainingNetwork
from hypernet_pack.hypernet.diffusers import spec_for
from hypernet_pack.hypernet.network.hypernetwork import Hypernetwork, Record
from tiny_models import build, pipelines

from hypernet.training.memory_saving import ALL

SIDE = 64
NORMAL_3 = [1, 0.8576924, 0.6021506, 0.008928572, 0]
SIMPLE_3 = [1, 0.9, 0.75, 0.5, 0]
NORMAL_FLUX = [1, 0.8633764, 0.6124921, 0.000996524, 0]
SIMPLE_FLUX = [1, 0.9045308, 0.7595109, 0.5128441, 0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("transformers") / "lumina2"
    pipelines.pipeline("lumina2").save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def loaded(folder):
    with torch.inference_mode():
        return load_checkpoint(folder)


def network_for(model, **changes):
    given = {"activation": "relu", "weight_initialization": "XavierNormal"} | changes
    return Hypernetwork(spec_for(model.module, **given), Record(architecture="lumina2"))


def drawn(model, clip, **given):
    prompt = models.conditioning(clip, "a cat")
    negative = models.conditioning(clip, "a dog in a box")
    given = {"seed": 1, "steps": 3, "cfg": 1.0} | given
    with torch.inference_mode():
        return sample(model, prompt, negative, torch.zeros(1, 4, SIDE // 8, SIDE // 8), **given)


# --- what is drawn -------------------------------------------------------------------------------


def test_its_parts_are_what_the_folder_says(loaded):
    model, clip, vae = loaded
    assert isinstance(clip, PipelineText) and vae.downscale == 8
    assert models.architecture(model) == "lumina2" and models.prediction(model) == "flow"
    assert models.attention_widths(model) == {"image": (64,), "text": (64,), "joint": (64,)}
    assert models.pixels_per_latent(model) == 8 and models.model_name(model) == "lumina2"
    (found,) = models.encode_texts(clip, ["a cat"])
    assert found.keys() == {"context"} and found["context"].shape[1] == 24


def test_a_picture_is_that_of_the_pipeline_at_the_same_noise_levels(loaded, folder, monkeypatch):
    model, clip, vae = loaded
    pipeline = diffusers.Lumina2Pipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.randn(1, 16, SIDE // 8, SIDE // 8, generator=torch.Generator().manual_seed(1))
    levels = sigmas_for(model.model.model_sampling, "normal", 3)

    def own_levels(num_inference_steps=None, device=None, sigmas=None, mu=None):
        scheduler = pipeline.scheduler
        scheduler.sigmas, scheduler.timesteps = levels, levels[:-1] * 1000
        scheduler._step_index = scheduler._begin_index = None
        scheduler.num_inference_steps = 3

    monkeypatch.setattr(pipeline.scheduler, "set_timesteps", own_levels)
    # the pipeline would leave its system prompt out of a negative one; here both are prompts
    given = {}
    with torch.no_grad():
        for name, text in (("", "a cat"), ("negative_", "a dog in a box")):
            tokens, mask, *_ = pipeline.encode_prompt(text, do_classifier_free_guidance=False)
            given |= {f"{name}prompt_embeds": tokens, f"{name}prompt_attention_mask": mask}
    for guidance in (1.0, 3.0):
        expected = pipeline(
            latents=noise, guidance_scale=guidance, cfg_normalization=False, height=SIDE,
            width=SIDE, num_inference_steps=3, output_type="pt", **given,
        ).images  # fmt: skip
        found = vae.decode(drawn(model, clip, cfg=guidance))
        assert (found.movedim(-1, 1) - expected).abs().max() < 1e-4


def test_noise_levels_are_those_of_comfyui():
    """Numbers of ComfyUI 0.33's ModelSamplingDiscreteFlow and ModelSamplingFlux."""
    wanted = {
        (3.0, 1000, "normal"): NORMAL_3,
        (3.0, 1000, "simple"): SIMPLE_3,
        (3.158192909689767, 10_000, "normal"): NORMAL_FLUX,
        (3.158192909689767, 10_000, "simple"): SIMPLE_FLUX,
    }
    for (shift, levels, scheduler), expected in wanted.items():
        found = sigmas_for(FlowSampling(shift, levels), scheduler, 4)
        assert found.tolist() == pytest.approx(expected, abs=1e-6)


def test_a_share_of_sampling_is_a_noise_level():
    levels = FlowSampling(3.0)
    assert [levels.percent_to_sigma(share) for share in (-1, 0, 0.5, 1, 2)] == [1, 1, 0.75, 0, 0]


def test_a_picture_is_started_from_between_noise_and_latents(loaded):
    model, clip, _ = loaded
    start = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(2))
    near = sample(
        model, models.conditioning(clip, "a cat"), [], start, seed=1, steps=2, cfg=1, denoise=0.01
    )
    assert (near - start).abs().mean() < 0.3 < start.abs().mean()


# --- networks ------------------------------------------------------------------------------------


def test_a_network_acts_as_in_the_library_and_strength_0_is_bitwise_the_bare_model(loaded):
    from hypernet_pack.hypernet.diffusers import apply

    model, clip, _ = loaded
    bare, network = drawn(model, clip), network_for(model)
    assert drawn(models.with_network(model, network, Effect(strength=0.0)), clip).equal(bare)
    found = drawn(models.with_network(model, network, Effect(strength=0.5)), clip)
    with apply(model.module, network, 0.5):
        expected = drawn(model, clip)
    assert (expected - bare).abs().max() > 1e-3
    assert (found - expected).abs().max() < 1e-5
    assert drawn(model, clip).equal(bare)


def test_training_has_the_networks_that_act_already(loaded):
    model, clip, _ = loaded
    network = network_for(model)
    texts = {"context": models.encode_texts(clip, ["a cat"])[0]["context"][None]}
    noisy, timesteps = torch.ones(1, 16, 8, 8), torch.tensor([500])
    patched = models.with_network(model, network, Effect(strength=1.0))
    with models.denoiser(model) as opened:
        bare = opened.predict(noisy, timesteps, texts, None)
        expected = opened.predict(noisy, timesteps, texts, TrainingNetwork(network))
    with models.denoiser(patched) as opened:
        found = opened.predict(noisy, timesteps, texts, None)
    assert (expected - bare).abs().max() > 1e-3 and (found - expected).abs().max() < 1e-5


@pytest.mark.parametrize("offload", [False, True])
def test_a_picture_is_drawn_while_the_model_is_open_for_training(loaded, offload):
    model, clip, vae = loaded
    conditions = models.conditioning(clip, "a cat"), models.conditioning(clip, "")
    size = {"width": SIDE, "height": SIDE, "seed": 1, "steps": 2, "cfg": 2.0}
    expected = models.generate(model, vae, *conditions, **size)
    with models.denoiser(model, swapped=ALL * offload):
        found = models.generate(model, vae, *conditions, **size)
    assert expected.shape == (1, SIDE, SIDE, 3) and (found - expected).abs().max() < 1e-5


def test_latents_are_scaled_as_the_transformer_sees_them(loaded):
    model, _, vae = loaded
    pictures = torch.rand(2, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(0))
    mean, std = models.encode_pictures(vae, pictures, model)
    plain, spread = vae.encode_distribution(pictures)
    assert (mean - (plain - 0.1159) * 0.3611).abs().max() < 1e-6
    assert (std - spread * 0.3611).abs().max() < 1e-6
    assert models.scale_latents(model, plain).equal(mean)


# --- the demo's kind: Stable Diffusion's words and pictures, shared with another folder ----------


@pytest.fixture
def sharing(tmp_path, tiny_folder):
    """A folder with a transformer that reads the text model and VAE of the tiny checkpoint."""
    folder = tmp_path / "tiny-dit"
    build("lumina2", in_channels=4)[0].save_pretrained(folder / "transformer")
    diffusers.FlowMatchEulerDiscreteScheduler(shift=1.0).save_pretrained(folder / "scheduler")
    shutil.copytree(tiny_folder, tmp_path / "tiny-sd")
    index = json.loads((tiny_folder / "model_index.json").read_text("utf-8"))
    del index["unet"], index["_class_name"]
    index |= {
        "_class_name": "Lumina2Pipeline",
        "_shared": "../tiny-sd",
        "transformer": ["diffusers", "Lumina2Transformer2DModel"],
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    }
    (folder / "model_index.json").write_text(json.dumps(index), "utf-8")
    return folder


def test_a_transformer_may_read_the_text_of_clip_and_share_a_folder(sharing):
    model, clip, vae = load_checkpoint(sharing)
    assert isinstance(clip, Clip) and model.model.model_sampling.shift == 1.0
    (found,) = models.encode_texts(clip, ["red (dog:1.3)"])
    assert found["context"].shape == (12, 24)
    latent = drawn(model, clip, steps=2, cfg=4.0)
    assert latent.shape == (1, 4, 8, 8)
    assert vae.decode(latent).std() > 0


# --- Cosmos, whose pipeline asks for packages that nothing here needs ----------------------------


def test_cosmos_is_read_without_its_checker_and_without_its_mask(tmp_path):
    masked = build("cosmos_predict2", concat_padding_mask=True)[0]
    parts = {
        "transformer": masked,
        "vae": pipelines.video_vae("AutoencoderKLWan"),
        "text_encoder": pipelines.t5(),
        "tokenizer": pipelines.t5_tokenizer(),
        "scheduler": diffusers.FlowMatchEulerDiscreteScheduler(),
    }
    index = {"_class_name": "Cosmos2TextToImagePipeline", "safety_checker": ["cosmos", "Checker"]}
    for name, part in parts.items():
        part.save_pretrained(tmp_path / name)
        library = "transformers" if name in ("text_encoder", "tokenizer") else "diffusers"
        index[name] = [library, type(part).__name__]
    (tmp_path / "model_index.json").write_text(json.dumps(index), "utf-8")
    model, clip, _ = load_checkpoint(tmp_path)
    found = model.module.patch_embed.proj.weight
    assert torch.equal(found, masked.patch_embed.proj.weight[:, :-4])
    assert models.architecture(model) == "cosmos_predict2"
    assert models.encode_texts(clip, ["a cat"])[0]["context"].shape == (512, 24)
    assert drawn(model, clip, steps=1).shape == (1, 16, 1, 8, 8)


# --- refusals ------------------------------------------------------------------------------------


def edited(folder, tmp_path, change):
    copy = tmp_path / "changed"
    shutil.copytree(folder, copy)
    path = copy / "model_index.json"
    index = json.loads(path.read_text("utf-8"))
    change(index, copy)
    path.write_text(json.dumps(index), "utf-8")
    return copy


def named(part, *kind):
    return lambda index, copy: index.update({part: list(kind)})


def without(part):
    return lambda index, copy: shutil.rmtree(copy / part)


def with_other_vae(index, copy):
    pipelines.vae(channels=4).save_pretrained(copy / "vae")


def with_other_scheduler(index, copy):
    diffusers.DDIMScheduler().save_pretrained(copy / "scheduler")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (without("vae"), FileNotFoundError, "not a complete diffusers folder: it lacks vae"),
        (named("transformer", "my_code", "Model"), ValueError, "names my_code.Model as its trans"),
        (named("text_encoder", "os", "system"), ValueError, "names os.system as its text_encoder"),
        (named("transformer", "diffusers", "NoSuchModel"), ValueError, "diffusers.NoSuchModel"),
        (with_other_vae, ValueError, r"of 16 channels, its VAE \(AutoencoderKL\) gives 4"),
        (with_other_scheduler, ValueError, "is a DDIMScheduler, but transformers learn by flow"),
    ],
)
def test_folders_of_another_kind_are_refused(folder, tmp_path, change, error, words):
    with pytest.raises(error, match=words):
        load_checkpoint(edited(folder, tmp_path, change))


def test_a_transformer_without_a_row_is_named(folder, tmp_path):
    def change(index, copy):
        shutil.rmtree(copy / "transformer")
        diffusers.PixArtTransformer2DModel(
            num_attention_heads=2, attention_head_dim=8, in_channels=4, num_layers=1,
            cross_attention_dim=16, sample_size=8, caption_channels=None,
        ).save_pretrained(copy / "transformer")  # fmt: skip
        index["transformer"] = ["diffusers", "PixArtTransformer2DModel"]

    with pytest.raises(ValueError, match="PixArtTransformer2DModel takes latents"):
        load_checkpoint(edited(folder, tmp_path, change))


def test_what_flow_matching_does_otherwise_is_refused(loaded):
    model, clip, _ = loaded
    with pytest.raises(ValueError, match='sampler "euler_ancestral".*choose euler'):
        drawn(model, clip, sampler="euler_ancestral")
    with pytest.raises(ValueError, match="flow matching.*leave out ModelSamplingDiscrete"):
        model.with_sampling(None)
    with pytest.raises(ValueError, match="Lumina2Pipeline reads fixed layers"):
        clip.with_layer(-2)
    with pytest.raises(ValueError, match=r"shape \[1, 4, 8, 8\].*\[pictures, 16, rows, columns\]"):
        models.scale_latents(model, torch.ones(1, 4, 8, 8))
