"""A name that ComfyUI no longer has costs the feature that needs it: see check_changed_host.py."""

from __future__ import annotations

from pathlib import Path

import comfyui_server
import pytest

SCRIPT = Path(__file__).with_name("check_changed_host.py")
FEATURES = {"load", "apply", "inspect", "train", "fold"}


@pytest.mark.parametrize(
    ("module", "name", "lost"),
    [
        ("comfy.ldm.modules.attention", "attention_pytorch", {"train"}),
        ("comfy.model_sampling", "V_PREDICTION", {"train"}),
        ("comfy.ops", "CastBiasWeightContext", {"apply", "train"}),
    ],
)
def test_only_the_features_that_need_it_are_lost_and_say_so(module: str, name: str, lost: set):
    if reason := comfyui_server.missing():
        pytest.skip(reason)
    done = comfyui_server.try_in_comfyui(
        SCRIPT, comfyui_server.comfyui_folder(), comfyui_server.REPOSITORY, module, name
    )
    lines = done.stdout.splitlines()
    for feature in FEATURES - lost:
        assert f"{feature} works" in lines, done.stdout + done.stderr
    for feature in lost:
        (said,) = (line for line in lines if line.startswith(f"{feature} says: "))
        assert "does not work with ComfyUI" in said and name in said
