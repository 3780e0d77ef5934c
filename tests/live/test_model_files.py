"""Files of ComfyUI's own classes, read by the stand-in: both answer the same."""

from __future__ import annotations

from pathlib import Path

import comfyui_server
import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("diffusers")
from hypernet_pack.compat.standalone.model import models
from hypernet_pack.compat.standalone.model.checkpoint import load_transformer_file

SCRIPT = Path(__file__).with_name("check_model_files.py")
NAMES = ("z_image", "lumina2", "flux", "flux2", "qwen_image", "anima")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    if reason := comfyui_server.missing():
        pytest.skip(reason)
    place = tmp_path_factory.mktemp("model_files")
    done = comfyui_server.try_in_comfyui(
        SCRIPT, comfyui_server.comfyui_folder(), comfyui_server.REPOSITORY, place
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return place


@pytest.mark.parametrize("name", NAMES)
def test_a_file_answers_as_in_comfyui(folder: Path, name: str):
    asked = load_file(folder / f"{name}.asked")
    model = load_transformer_file(folder / f"{name}.safetensors")
    more = {key: asked[key] for key in ("pooled_output", "t5xxl_ids") if key in asked}
    (text,) = models.read_conditioning([[asked["context"], more]], model)
    with torch.no_grad():
        found = model.model.apply_model(
            asked["x"],
            asked["sigma"],
            c_crossattn=text["context"][None],
            pooled=asked.get("pooled_output"),
        )
    assert models.architecture(model) == name
    assert asked["x_0"].std() > 0.1
    assert (found - asked["x_0"]).abs().max() < 1e-4
