"""A checkpoint gives the same numbers in the stand-in as in ComfyUI: texts, pictures and the UNet.

Every shape of write_checkpoint.py, whole files with random weights, in float32 on the CPU.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import comfyui_server
import pytest
import torch
from describe_checkpoint import SIGMAS, SIZES, TEXTS
from hypernet_pack.compat.standalone.model import models
from hypernet_pack.compat.standalone.model.checkpoint import load_checkpoint
from safetensors.torch import load_file
from torch import Tensor

SCRIPT = Path(__file__).with_name("describe_checkpoint.py")
TOLERANCE = 1e-4  # of the largest number


@pytest.fixture(scope="module", params=["sd15", "sd2-v", "sdxl"])
def both(request, tmp_path_factory) -> Iterator[tuple[dict[str, Tensor], tuple]]:
    """What ComfyUI says, and MODEL, CLIP and VAE of the stand-in."""
    if reason := comfyui_server.missing():
        pytest.skip(reason)
    said, file = tmp_path_factory.mktemp("said") / "said", comfyui_server.checkpoint(request.param)
    done = comfyui_server.try_in_comfyui(SCRIPT, comfyui_server.comfyui_folder(), file, said)
    assert said.is_file(), done.stdout + done.stderr
    yield load_file(said), load_checkpoint(file)
    gc.collect()


def near(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    error = float((found - expected).abs().max() / expected.abs().max())
    assert error < TOLERANCE


@pytest.mark.parametrize("layer", [None, -3], ids=["its layer", "clip skip"])
@pytest.mark.parametrize("name", TEXTS)
def test_texts(both, name, layer):
    said, (_, clip, _) = both
    clip = clip if layer is None else clip.with_layer(layer)
    context, pooled = clip.encode(TEXTS[name])
    near(context, said[f"context.{name}.{layer is not None}"])
    near(pooled, said[f"pooled.{name}.{layer is not None}"])


def test_pictures(both):
    said, (model, _, vae) = both
    picture = torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(1))
    near(vae.encode(picture), said["latent"])
    near(vae.decode(said["latent"]), said["picture"])
    near(models.encode_pictures(vae, picture, model)[0], said["scaled"])


def test_noise_levels_and_predictions(both):
    said, (model, _, _) = both
    levels = model.get_model_object("model_sampling")
    assert torch.equal(levels.sigmas, said["sigmas"])
    assert levels.prediction == ("v" if said["is_v"] else "eps")
    sizes = [SIZES[name] for name in ("height", "width", "crop_h", "crop_w")]
    sizes += [SIZES["target_height"], SIZES["target_width"]]
    for sigma in SIGMAS:
        with torch.no_grad():
            found = model.model.apply_model(
                said["noise"] * (sigma**2 + 1) ** 0.5,
                torch.tensor([sigma]),
                c_crossattn=said["context.plain.False"],
                pooled=said["pooled.plain.False"],
                sizes=torch.tensor([sizes]),
            )
        near(found, said[f"x0.{sigma}"])
