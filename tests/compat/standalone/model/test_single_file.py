"""Checkpoints of one file; that their numbers are ComfyUI's is tests/live/test_checkpoints.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from hypernet_pack.compat.standalone.model import models
from hypernet_pack.compat.standalone.model.checkpoint import load_checkpoint
from hypernet_pack.compat.standalone.model.clip_vocabulary import clip_tokenizer
from hypernet_pack.compat.standalone.model.single_file import read_file

UNET = "model.diffusion_model."


def _load(name: str):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


original = _load("original_files")


@pytest.fixture(scope="module", params=["sd1", "sd2", "sdxl"])
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def loaded(kind: str, folder: Path) -> tuple:
    with torch.inference_mode():
        return load_checkpoint(original.write(folder / f"{kind}.safetensors", kind))


def test_every_weight_is_loaded_and_shapes_tell_the_kind_of_model(kind, loaded):
    model, clip, vae = loaded
    assert (
        models.attention_widths(model)
        == {
            "sd1": {"attn1": (32, 64), "attn2": (32,)},
            "sd2": {"attn1": (32, 64), "attn2": (48,)},
            "sdxl": {"attn1": (64,), "attn2": (80,)},
        }[kind]
    )
    assert model.model.scaling_factor == (0.13025 if kind == "sdxl" else 0.18215)
    assert vae.downscale == 2
    (entry,) = models.encode_texts(clip, ["a red fox"])
    assert entry["context"].shape == (77, original.CONTEXT[kind])
    assert entry["pooled"].shape == ({"sd1": 32}.get(kind, 48),)
    assert models.model_name(model) == f"{kind}.safetensors"
    assert not any(p.is_inference() or p.requires_grad for p in model.module.parameters())


def test_a_picture_is_generated_from_a_file(kind, loaded):
    model, clip, vae = loaded
    words = models.conditioning(clip, "a (red:1.2) fox"), models.conditioning(clip, "")
    with torch.inference_mode():
        picture = models.generate(model, vae, *words, width=16, height=24, seed=1, steps=2, cfg=3)
    assert picture.shape == (1, 24, 16, 3)
    assert picture.isfinite().all()


def test_each_model_encodes_texts_at_its_own_layer(kind, loaded):
    clip = loaded[1]
    found, _ = clip.encode("a red fox")
    columns = []
    for encoder in clip.encoders:
        tokens = clip.tokenizer("a red fox", add_special_tokens=False).input_ids
        numbers = [49406, *tokens, 49407, *[encoder.padding] * (75 - len(tokens))]
        states = encoder.module(
            input_ids=torch.tensor([numbers]), output_hidden_states=True
        ).hidden_states
        norm = encoder.module.final_layer_norm
        columns.append({"sd1": norm(states[-1]), "sd2": norm(states[-2]), "sdxl": states[-2]}[kind])
    torch.testing.assert_close(found, torch.cat(columns, dim=-1))
    assert [encoder.padding for encoder in clip.encoders] == {
        "sd1": [49407],
        "sd2": [0],
        "sdxl": [49407, 0],
    }[kind]


@pytest.mark.parametrize(("layers", "layer"), [(23, -1), (24, -2)])
def test_a_text_model_without_its_unused_layer_is_read_at_its_last(tmp_path, layers, layer):
    prefix = "cond_stage_model.model."
    shapes = original.open_clip(prefix, 48, layers)
    deep = {name: torch.zeros(shape) for name, shape in shapes.items()}
    parts = read_file(original.write(tmp_path / "a.safetensors", "sd2", **deep), None)
    assert [encoder.layer for encoder in parts.encoders] == [layer]


def test_the_tokenizer_is_clips():
    numbers = clip_tokenizer()("a photo of a café, 4k 🦊").input_ids
    assert numbers == [49406, 320, 1125, 539, 320, 15304, 267, 275, 330, 6040, 488, 49407]


@pytest.mark.parametrize(
    ("stored", "wanted", "becomes"),
    [
        (torch.float16, None, torch.float16),
        (torch.bfloat16, None, torch.bfloat16),
        (torch.float32, None, torch.float16),
        (torch.float16, torch.float32, torch.float32),
    ],
)
def test_an_accelerator_keeps_a_files_16_bit_dtype(tmp_path, stored, wanted, becomes):
    parts = read_file(original.write(tmp_path / "a.safetensors", "sd1", stored), wanted)
    assert {p.dtype for p in parts.unet.parameters()} == {becomes}
    assert {p.dtype for p in parts.vae.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("kind", "more", "prediction", "last"),
    [
        ("sd1", {}, "eps", 14.6146),
        ("sd2", {}, "eps", 14.6146),
        ("sdxl", {}, "eps", 14.6146),
        ("sdxl", {"v_pred": torch.empty(0)}, "v", 14.6146),
        ("sdxl", {"v_pred": torch.empty(0), "ztsnr": torch.empty(0)}, "v", 4518.7),
    ],
)
def test_a_file_tells_what_it_predicts(tmp_path, kind, more, prediction, last):
    sampling = read_file(original.write(tmp_path / "a.safetensors", kind, **more), None).sampling
    assert sampling.prediction == prediction
    assert float(sampling.sigma_max) == pytest.approx(last, rel=1e-4)


@pytest.mark.parametrize(
    ("kind", "more", "words"),
    [
        ("sd1", {"first_stage_model.": None}, "holds no VAE. Give the whole checkpoint"),
        (
            "sd1",
            {"first_stage_model.": None, "cond_stage_model.": None},
            "no VAE and no text model",
        ),
        ("sd1", {UNET: None}, f'holds no UNet of Stable Diffusion 1, 2 or XL under "{UNET}"'),
        ("sd1", {UNET + "input_blocks.0.0.weight": torch.zeros(32, 9, 3, 3)}, "takes 9 channels"),
        ("sd1", {UNET + "x.time_stack.y": torch.zeros(1)}, "video model"),
        ("sd2", {UNET + "label_emb.0.0.weight": torch.zeros(1, 1)}, "refiner, an unCLIP"),
        ("sdxl", {"edm_mean": torch.zeros(4)}, "continuous noise levels"),
        ("sd1", {UNET + "middle_block.1": None}, "middle of its UNet has 0 attention blocks"),
        ("sd1", {UNET + "output_blocks.3.1": None}, r"going up \[1, 1, 1, 0\] where"),
        ("sd1", {UNET + "out.0.bias": None}, "not hold a whole UNet2DConditionModel.*Missing key"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(tmp_path, kind, more, words):
    file = original.write(tmp_path / "a.safetensors", kind, **more)
    with pytest.raises(ValueError, match=f"(?s){words}") as caught:
        load_checkpoint(file)
    assert str(file) in str(caught.value)


def test_a_file_that_is_no_safetensors_is_refused(tmp_path):
    for name, words in (("a.safetensors", "cannot be read"), ("a.ckpt", "can hold code")):
        (tmp_path / name).write_bytes(b"no")
        with pytest.raises(ValueError, match=words):
            load_checkpoint(tmp_path / name)


def test_a_diffusers_folder_of_sdxl_gives_what_its_single_file_gives(tmp_path):
    file = original.write(tmp_path / "a.safetensors", "sdxl")
    save_as_folder(read_file(file, torch.float32), tmp_path / "folder")
    found = []
    for path in (file, tmp_path / "folder"):
        model, clip, vae = load_checkpoint(path)
        words = models.conditioning(clip, "a red fox"), models.conditioning(clip, "")
        found.append(
            models.generate(model, vae, *words, width=16, height=16, seed=1, steps=2, cfg=3)
        )
    torch.testing.assert_close(*found)


def save_as_folder(parts, folder: Path) -> None:
    from diffusers import DDIMScheduler
    from transformers import CLIPTextModelWithProjection, CLIPTokenizer

    small, large = parts.encoders
    second = CLIPTextModelWithProjection(large.module.config)
    second.text_model.load_state_dict(large.module.state_dict())
    second.text_projection.load_state_dict(large.projection.state_dict())
    for name, part in (
        ("unet", parts.unet),
        ("text_encoder", small.module),
        ("text_encoder_2", second),
    ):
        part.save_pretrained(folder / name)
    parts.vae.register_to_config(scaling_factor=parts.scaling_factor)
    parts.vae.save_pretrained(folder / "vae")
    words = clip_tokenizer()
    words.save_pretrained(folder / "tokenizer")
    CLIPTokenizer(
        vocab=words.get_vocab(), merges=words._merges, pad_token="!", model_max_length=77
    ).save_pretrained(folder / "tokenizer_2")
    DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    ).save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionXLPipeline"}')
