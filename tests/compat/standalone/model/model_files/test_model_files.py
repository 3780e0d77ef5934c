"""Files of single parts: what they were made from, and what is read of them, is the same."""

from __future__ import annotations

import pytest
import torch

diffusers = pytest.importorskip("diffusers")
from hypernet_pack.compat.standalone.model import models
from hypernet_pack.compat.standalone.model.checkpoint import (
    load_text,
    load_transformer_file,
    load_vae,
)
from hypernet_pack.compat.standalone.model.sampling import sample
from safetensors.torch import load_file
from tiny_models import TEXT, model_files

from hypernet.diffusers.latents import latent_format
from hypernet.diffusers.prompts import encode_prompt
from hypernet.diffusers.velocities import velocity_of

NAMES = tuple(model_files.FILES)
PIPELINES = {
    "z_image": ("ZImagePipeline", ("qwen3",), "lumina2"),
    "lumina2": ("Lumina2Pipeline", ("gemma2",), "lumina2"),
    "flux": ("FluxPipeline", ("clip", "t5"), "flux"),
    "qwen_image": ("QwenImagePipeline", ("qwen_vl",), "qwen_image"),
}
PROMPT = "a cat in (snow:1.2)"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Of a family: the folder with its files, and the parts that they were made from."""
    known = {}

    def write(name):
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            known[name] = folder, model_files.write(name, folder)
        return known[name]

    return write


def files(folder, name):
    transformer, texts, vae = model_files.FILES[name]
    return (
        folder / "diffusion_models" / f"{transformer}.safetensors",
        [folder / "text_encoders" / f"{text}.safetensors" for text in texts],
        folder / "vae" / f"{vae}.safetensors",
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_transformer_predicts_what_it_was_made_from(written, name):
    folder, parts = written(name)
    model = load_transformer_file(files(folder, name)[0])
    frames = [1] if name in ("qwen_image", "anima") else []
    chance = torch.Generator().manual_seed(3)
    noisy = torch.randn(1, 16, *frames, 8, 8, generator=chance)
    width = 256 if name == "qwen_image" else TEXT
    condition = {
        "context": torch.randn(1, 9, width, generator=chance),
        "pooled": torch.randn(1, 16, generator=chance),
    }
    with torch.no_grad():
        found, expected = (
            velocity_of(each, noisy, torch.tensor([0.7]), condition)
            for each in (model.module, parts["transformer"])
        )
    assert expected.std() > 0.1 and torch.equal(found, expected)
    assert models.architecture(model) == name
    assert model.source == files(folder, name)[0]


@pytest.mark.parametrize("name", PIPELINES)
def test_a_prompt_is_encoded_as_by_the_pipeline(written, name):
    folder, parts = written(name)
    kind, texts, loader = PIPELINES[name]
    clip = load_text(files(folder, name)[1], loader)
    given = {}
    for place, text in enumerate(texts):
        ending = "" if place == 0 else "_2"
        given[f"text_encoder{ending}"] = parts[text]
        tokenizer = model_files.TEXTS[text][2]
        given[f"tokenizer{ending}"] = tokenizer() if tokenizer else clip.pipeline.tokenizer
    if "tokenizer" in given and name == "z_image":
        given["tokenizer"].chat_template = clip.pipeline.tokenizer.chat_template
    others = {"scheduler": None, "vae": None, "transformer": None}
    pipeline = getattr(diffusers, kind)(**given, **others)
    with torch.no_grad():
        expected = encode_prompt(pipeline, type(parts["transformer"]).__name__, PROMPT)
    (found,) = models.encode_texts(clip, [PROMPT])
    assert found.keys() == expected.keys()
    for key in expected:
        assert expected[key].std() > 0.1 and torch.equal(found[key], expected[key]), key


def test_animas_text_goes_through_the_adapter_in_the_models_file(written):
    folder, parts = written("anima")
    transformer, texts, _ = files(folder, "anima")
    model, clip = load_transformer_file(transformer), load_text(texts, "stable_diffusion")
    (found,) = models.encode_texts(clip, [PROMPT], model)
    words = model_files.pipelines.qwen_tokenizer()(PROMPT, return_tensors="pt").input_ids
    tokens = model_files.pipelines.t5_tokenizer()(PROMPT, return_tensors="pt").input_ids
    with torch.no_grad():
        context = parts["qwen3"](input_ids=words).last_hidden_state
        expected = parts["adapter"](context, tokens)
    assert found.keys() == {"context"} and found["context"].shape == (512, TEXT)
    assert expected.std() > 0.1 and torch.equal(found["context"], expected[0])
    drawn = sample(
        model, models.conditioning(clip, PROMPT), models.conditioning(clip, ""),
        torch.zeros(1, 16, 8, 8), seed=1, steps=1, cfg=2.0,
    )  # fmt: skip
    assert drawn.shape == (1, 16, 1, 8, 8) and drawn.isfinite().all()


@pytest.mark.parametrize("name", ["flux", "anima"])
def test_a_vae_gives_the_latents_that_the_transformer_reads(written, name):
    folder, parts = written(name)
    transformer, _, file = files(folder, name)
    vae, model = load_vae(file), load_transformer_file(transformer)
    picture = torch.rand(1, 64, 48, 3, generator=torch.Generator().manual_seed(0))
    (mean, _), form = models.encode_pictures(vae, picture, model), latent_format(parts["vae"])
    with torch.no_grad():
        pixels = picture.movedim(-1, 1) * 2 - 1
        pixels = pixels.unsqueeze(2) if form.has_frames else pixels
        latent = parts["vae"].encode(pixels).latent_dist.mean
        expected = parts["vae"].decode(latent).sample / 2 + 0.5
    assert torch.equal(mean, form.into(latent)) and vae.downscale == 8
    found = vae.decode(latent)
    expected = expected[:, :, 0] if form.has_frames else expected
    assert torch.equal(found, expected.clamp(0, 1).movedim(1, -1))


# --- refusals ------------------------------------------------------------------------------------

SOME = torch.ones(4, 4)


def refused(load, weights, folder, *more):
    file = folder / "a.safetensors"
    model_files.save(weights, file)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        load([file] if more else file, *more)
    assert str(file) in str(caught.value)
    return str(caught.value)


def test_a_file_of_another_kind_is_named_with_what_to_do(written, tmp_path):
    said = refused(load_transformer_file, {"input_blocks.0.0.weight": SOME}, tmp_path)
    assert "no transformer that is read from a file here" in said and "Known are Z-Image" in said
    said = refused(load_text, {"model.decoder.weight": SOME}, tmp_path, "flux")
    assert "no text model that is read" in said and "Known are CLIP, T5" in said
    said = refused(load_vae, {"decoder.first.weight": SOME}, tmp_path)
    assert "holds no VAE" in said


def test_a_file_that_is_not_whole_or_quantised_is_refused(written, tmp_path):
    weights = load_file(files(written("z_image")[0], "z_image")[0])
    scaled = weights | {"layers.0.attention.qkv.scale_weight": torch.ones(1)}
    assert "quantised weights (layers.0" in refused(load_transformer_file, scaled, tmp_path)
    del weights["layers.1.attention.out.weight"]
    said = refused(load_transformer_file, weights, tmp_path)
    assert "does not hold a whole ZImage" in said and "layers.1.attention.to_out.0.weight" in said


def test_a_missing_tokenizer_is_told_with_the_place_for_it(written, tmp_path):
    weights = load_file(files(written("z_image")[0], "z_image")[1][0])
    said = refused(load_text, weights, tmp_path, "lumina2")
    assert "put tokenizer.json and tokenizer_config.json of Qwen/Qwen3-4B into" in said
    assert str(tmp_path / "qwen25_tokenizer") in said
    # that of another model is not taken for it
    model_files.pipelines.t5_tokenizer().save_pretrained(tmp_path / "qwen25_tokenizer")
    assert "put tokenizer.json" in refused(load_text, weights, tmp_path, "lumina2")


def test_text_models_that_no_family_reads_together_are_refused(written):
    clip, t5 = files(written("flux")[0], "flux")[1]
    with pytest.raises(ValueError, match=r'no model .* from ".*clip_l.*" \(CLIP\) as type "sd3"'):
        load_text([clip], "sd3")
    assert load_text([t5], "cosmos").transformer == "CosmosTransformer3DModel"


def test_a_text_and_a_vae_of_another_model_are_refused(written):
    model = load_transformer_file(files(written("flux")[0], "flux")[0])
    folder, _ = written("anima")
    text = load_text(files(folder, "anima")[1], "stable_diffusion")
    with pytest.raises(ValueError, match="is encoded for Anima, and the model is another"):
        models.encode_texts(text, [PROMPT], model)
    with pytest.raises(ValueError, match=r"a latent of shape \[1, 16, 1, 8, 8\] is not of this"):
        models.encode_pictures(load_vae(files(folder, "anima")[2]), torch.rand(1, 64, 64, 3), model)


def test_weights_keep_the_files_sixteen_bits_and_are_not_copied(written, tmp_path):
    from hypernet_pack.compat.standalone.model.model_files.families import read_transformer

    file = tmp_path / "half.safetensors"
    weights = load_file(files(written("z_image")[0], "z_image")[0])
    model_files.save({f"model.diffusion_model.{k}": w.half() for k, w in weights.items()}, file)
    found = read_transformer(file, None).module
    assert {each.dtype for each in found.parameters()} == {torch.float16}
    attention = found.layers[0].attention
    whole = {attention.to_q.weight.untyped_storage().data_ptr()}
    assert whole == {attention.to_k.weight.untyped_storage().data_ptr()}, "parts of one in the file"
