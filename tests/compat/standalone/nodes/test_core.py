"""ComfyUI's core nodes in the stand-in: same ids and sockets, and they do the work."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypernet_pack.compat.standalone import folders
from hypernet_pack.compat.standalone.graph.node_class import locked_clone
from hypernet_pack.compat.standalone.nodes.core import CORE_NODES
from PIL import Image

NODES = {node.GET_SCHEMA().node_id: node for node in CORE_NODES}


@pytest.fixture
def place(tmp_path):
    with folders.configured(
        input=tmp_path / "input", output=tmp_path / "output", models=tmp_path / "models"
    ):
        (tmp_path / "input").mkdir()
        yield tmp_path


def run(node_id, hidden=None, **inputs):
    with torch.inference_mode():
        return locked_clone(NODES[node_id], hidden or {}).execute(**inputs)


@pytest.mark.parametrize(
    ("node_id", "inputs", "outputs"),
    [
        ("CheckpointLoaderSimple", "ckpt_name", "MODEL CLIP VAE"),
        ("CLIPTextEncode", "text clip", "CONDITIONING"),
        ("EmptyLatentImage", "width height batch_size", "LATENT"),
        (
            "KSampler",
            "model seed steps cfg sampler_name scheduler positive negative latent_image denoise",
            "LATENT",
        ),
        ("VAEEncode", "pixels vae", "LATENT"),
        ("VAEDecode", "samples vae", "IMAGE"),
        ("LoadImage", "image", "IMAGE MASK"),
        ("SaveImage", "images filename_prefix", "IMAGE"),
        ("PreviewImage", "images", "IMAGE"),
        ("PreviewAny", "source", "STRING"),
        ("LoraLoaderModelOnly", "model lora_name strength_model", "MODEL"),
        ("VAELoader", "vae_name", "VAE"),
        ("CLIPSetLastLayer", "clip stop_at_clip_layer", "CLIP"),
        ("ModelSamplingDiscrete", "model sampling zsnr", "MODEL"),
    ],
)
def test_nodes_have_comfyuis_sockets_in_its_order(node_id, inputs, outputs):
    schema = NODES[node_id].GET_SCHEMA()
    assert [each.id for each in schema.inputs] == inputs.split()
    assert [each.io_type for each in schema.outputs] == outputs.split()
    assert all(each.tooltip for each in schema.inputs) and schema.description


@pytest.mark.parametrize(
    ("node_id", "defaults"),
    [
        ("EmptyLatentImage", {"width": 512, "height": 512, "batch_size": 1}),
        ("KSampler", {"seed": 0, "steps": 20, "cfg": 8.0, "denoise": 1.0}),
        ("SaveImage", {"filename_prefix": "ComfyUI"}),
        ("LoraLoaderModelOnly", {"strength_model": 1.0}),
        ("CLIPSetLastLayer", {"stop_at_clip_layer": -1}),
        ("ModelSamplingDiscrete", {"zsnr": False}),
    ],
)
def test_widgets_start_as_in_comfyui(node_id, defaults):
    inputs = {each.id: each for each in NODES[node_id].GET_SCHEMA().inputs}
    assert {name: inputs[name].default for name in defaults} == defaults


def test_from_a_folder_to_a_saved_picture(place, tiny_folder):
    (place / "models" / "checkpoints").mkdir(parents=True)
    (place / "models" / "checkpoints" / "tiny").symlink_to(tiny_folder)
    loader = NODES["CheckpointLoaderSimple"]
    assert loader.GET_SCHEMA().inputs[0].options == ["tiny"]
    assert loader.validate_inputs(ckpt_name="tiny") is True
    model, clip, vae = run("CheckpointLoaderSimple", ckpt_name="tiny").args
    positive = run("CLIPTextEncode", clip=clip, text="red cat")[0]
    negative = run("CLIPTextEncode", clip=clip, text="")[0]
    latent = run("EmptyLatentImage", width=64, height=128, batch_size=2)[0]
    assert latent["samples"].shape == (2, 4, 16, 8)
    sampled = run(
        "KSampler",
        model=model,
        seed=1,
        steps=2,
        cfg=2.0,
        sampler_name="dpmpp_2m",
        scheduler="karras",
        positive=positive,
        negative=negative,
        latent_image=latent,
        denoise=1.0,
    )[0]
    images = run("VAEDecode", vae=vae, samples=sampled)[0]
    assert images.shape == (2, 32, 16, 3)  # this VAE doubles, it does not make eight of one
    again = run("VAEEncode", vae=vae, pixels=images)[0]["samples"]
    assert again.shape == sampled["samples"].shape
    hidden = {"prompt": {"1": {"class_type": "SaveImage"}}, "extra_pnginfo": {"workflow": [1]}}
    saved = run("SaveImage", hidden, images=images, filename_prefix="a/b_%width%").ui.as_dict()
    assert saved["images"] == [
        {"filename": f"b_16_0000{n}_.png", "subfolder": "a", "type": "output"} for n in (1, 2)
    ]
    with Image.open(place / "output" / "a" / "b_16_00001_.png") as file:
        assert json.loads(file.text["prompt"]) == hidden["prompt"]
        assert json.loads(file.text["workflow"]) == [1]
        found = np.asarray(file)
    assert np.array_equal(found, (255 * images[0].numpy()).astype(np.uint8))


def test_less_denoising_stays_closer_to_the_latents(tiny):
    model, clip, _ = tiny
    text = run("CLIPTextEncode", clip=clip, text="dog")[0]
    start = torch.full((1, 4, 8, 8), 2.0)

    def distance(denoise):
        found = run(
            "KSampler",
            model=model,
            seed=1,
            steps=4,
            cfg=1.0,
            sampler_name="euler",
            scheduler="normal",
            positive=text,
            negative=text,
            latent_image={"samples": start},
            denoise=denoise,
        )[0]["samples"]
        return (found - start).abs().mean().item()

    assert distance(0.0) == 0 < distance(0.2) < distance(1.0)


def test_saving_never_overwrites(place):
    (place / "output").mkdir()
    (place / "output" / "ComfyUI_00007_.png").write_bytes(b"mine")
    run("SaveImage", images=torch.zeros(1, 4, 4, 3))
    assert (place / "output" / "ComfyUI_00008_.png").exists()
    assert (place / "output" / "ComfyUI_00007_.png").read_bytes() == b"mine"


def test_saving_outside_the_output_folder_is_refused(place):
    with pytest.raises(ValueError, match=r'"\.\./x"'):
        run("SaveImage", images=torch.zeros(1, 4, 4, 3), filename_prefix="../x")


def test_a_preview_is_saved_in_the_temp_folder(place):
    ((saved,), _) = run("PreviewImage", images=torch.zeros(1, 4, 4, 3)).ui.as_dict().values()
    assert saved["type"] == "temp" and (folders.temp_folder() / saved["filename"]).is_file()


def test_a_picture_is_loaded_upright_with_its_transparency_as_mask(place):
    pixels = np.zeros((2, 4, 4), np.uint8)
    pixels[0, 1] = (255, 51, 0, 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated: a quarter turn clockwise makes it upright
    Image.fromarray(pixels).save(place / "input" / "a.png", exif=exif)
    image, mask = run("LoadImage", image="a.png").args
    assert image.shape == (1, 4, 2, 3) and mask.shape == (1, 4, 2)
    torch.testing.assert_close(image[0, 1, 1], torch.tensor([1.0, 0.2, 0.0]))
    assert mask[0, 1, 1] == 0 and mask.sum() == 7


def test_an_animation_is_a_batch_and_an_opaque_picture_has_an_empty_mask(place):
    frames = [Image.new("RGB", (3, 2), colour) for colour in ("red", "blue")]
    frames[0].save(place / "input" / "a.gif", save_all=True, append_images=frames[1:])
    image, mask = run("LoadImage", image="a.gif").args
    assert image[:, 0, 0].tolist() == [[1, 0, 0], [0, 0, 1]]
    assert mask.shape == (2, 64, 64) and mask.sum() == 0


def test_a_changed_picture_is_noticed(place):
    node, file = NODES["LoadImage"], place / "input" / "a.png"
    Image.new("RGB", (2, 2)).save(file)
    before = node.fingerprint_inputs(image="a.png")
    assert node.fingerprint_inputs(image="a.png") == before
    Image.new("RGB", (2, 2), "red").save(file)
    assert node.fingerprint_inputs(image="a.png") != before
    assert node.GET_SCHEMA().inputs[0].options == ["a.png"]


@pytest.mark.parametrize(
    ("node_id", "name", "words"),
    [
        ("LoadImage", "gone.png", 'image "gone.png" is not in'),
        ("LoadImage", "../../secret.png", "leads out of"),
        ("CheckpointLoaderSimple", "gone", 'checkpoint "gone"'),
    ],
)
def test_missing_files_are_named_before_the_run(place, node_id, name, words):
    node = NODES[node_id]
    assert words in node.validate_inputs(name)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a cat", "a cat"),
        (0.5, "0.5"),
        (True, "True"),
        (None, "None"),
        (["é", 1], '[\n    "é",\n    1\n]'),
        (torch.Size([2]), "[\n    2\n]"),
        ({1}, "{1}"),
    ],
)
def test_preview_any_shows_every_value_as_text(value, text):
    shown = run("PreviewAny", source=value)
    assert shown.result == (text,) and shown.ui == {"text": (text,)}
