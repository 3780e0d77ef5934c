"""A workflow from elsewhere names a tagger that is not here: ComfyUI's list must not judge it."""

from __future__ import annotations

import pytest
from comfyui_server import ComfyUI
from PIL import Image


@pytest.mark.parametrize("kind", ["WD tagger", "DeepDanbooru", "BLIP"])
def test_a_tagger_that_is_not_here_is_told_with_its_file_and_folder(comfyui: ComfyUI, kind: str):
    pictures = comfyui.base / "input" / "untagged"
    pictures.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 64), "red").save(pictures / "a.png")
    asked = {"tagger": kind, "tagger.model": "wd-v1-4-moat-tagger-v2"}
    prompt = {
        "data": {
            "class_type": "HypernetLoadDataset",
            "inputs": {
                "folder": "untagged", "width": 64, "height": 64, "subfolders": True,
                "unreadable": "stop",
            },
        },
        "words": {
            "class_type": "HypernetCaption",
            "inputs": {
                "dataset": ["data", 0], "source": "tagger only", "fixed_text": "",
                "template": "[filewords]", **asked,
            },
        },
        "show": {"class_type": "PreviewAny", "inputs": {"source": ["words", 1]}},
    }  # fmt: skip
    outcome = comfyui.run(prompt)
    said = f'There is no {kind} model "wd-v1-4-moat-tagger-v2". Put '
    assert outcome.status == "error" and said in outcome.message, outcome
    assert "not in [" not in outcome.message and str(comfyui.base / "models") in outcome.message
