"""The families of ComfyUI, inside ComfyUI's own process: see check_families.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("check_families.py")
NAMES = re.findall(r"^    (\w+),$", SCRIPT.read_text("utf-8"), re.MULTILINE)
JOINT = "image 2x64, text 2x64, joint 3x64"
LINES = {
    "unet": "unet, comfy.ldm.modules.diffusionmodules.openaimodel.UNetModel, 28 sites, "
    "self 7x32+64, cross 7x24",
    "flux": f"flux, comfy.ldm.flux.model.Flux, 7 sites, {JOINT}",
    "flux2": f"flux2, comfy.ldm.flux.model.Flux, 7 sites, {JOINT}",
    "chroma": f"chroma, comfy.ldm.chroma.model.Chroma, 7 sites, {JOINT}",
    "hunyuan_video": f"hunyuan_video, comfy.ldm.hunyuan_video.model.HunyuanVideo, 7 sites, {JOINT}",
    "sd3": "sd3, comfy.ldm.modules.diffusionmodules.mmdit.OpenAISignatureMMDITWrapper, 8 sites, "
    "image 3x128, text 3x128, self 2x128",
    "lumina2": "lumina2, comfy.ldm.lumina.model.NextDiT, 7 sites, "
    "text 2x64, image 2x64, joint 3x64",
    "z_image": "z_image, comfy.ldm.lumina.model.NextDiT, 7 sites, "
    "text 2x288, image 2x288, joint 3x288",
    "qwen_image": "qwen_image, comfy.ldm.qwen_image.model.QwenImageTransformer2DModel, 12 sites, "
    "image 3x64, text 3x64",
    "wan": "wan, comfy.ldm.wan.model.WanModel, 12 sites, self 3x64, cross 3x64",
    "wan_i2v": "wan, comfy.ldm.wan.model.WanModel, 18 sites, "
    "self 3x64, cross 3x64, cross_image 3x64",
    "cosmos_predict2": "cosmos_predict2, comfy.ldm.cosmos.predict2.MiniTrainDIT, 12 sites, "
    "self 3x64, cross 3x24",
    "anima": "anima, comfy.ldm.anima.model.Anima, 12 sites, self 3x64, cross 3x24",
    "hidream": "hidream, comfy.ldm.hidream.model.HiDreamImageTransformer2DModel, 14 sites, "
    f"{JOINT}",
    "longcat_image": f"longcat_image, comfy.ldm.flux.model.Flux, 7 sites, {JOINT}",
    "ovis_image": f"ovis_image, comfy.ldm.flux.model.Flux, 7 sites, {JOINT}",
    "chroma_radiance": "chroma_radiance, comfy.ldm.chroma_radiance.model.ChromaRadiance, 7 sites, "
    f"{JOINT}",
    "mage_flow": "mage_flow, comfy.ldm.mage_flow.model.MageFlowTransformer2DModel, 12 sites, "
    "image 3x64, text 3x64",
    "omnigen2": "omnigen2, comfy.ldm.omnigen.omnigen2.OmniGen2Transformer2DModel, 14 sites, "
    "text 2x64, image 2x64, joint 3x64",
    "ernie": "ernie, comfy.ldm.ernie.model.ErnieImageModel, 6 sites, joint 3x64",
    "wan_camera": "wan, comfy.ldm.wan.model.CameraWanModel, 12 sites, self 3x64, cross 3x64",
    "wan_vace": "wan, comfy.ldm.wan.model.VaceWanModel, 12 sites, self 3x64, cross 3x64",
    "krea2": "krea2, comfy.ldm.krea2.model.SingleStreamDiT, 6 sites, joint 3x64",
}


@pytest.mark.parametrize("name", LINES)
def test_every_site_of_a_family_changes_keys_or_values_of_its_stream(name: str, words: str):
    line = f"{name}: {LINES[name]}: passed"
    assert line in words.splitlines(), words[-6000:]


def test_every_class_of_the_table_is_tried(words: str):
    from hypernet.families.comfyui_table import COMFYUI

    tried = {line.split(", ")[1] for line in words.splitlines() if line.endswith(": passed")}
    assert tried == set(COMFYUI), words[-6000:]


@pytest.mark.parametrize("name", NAMES)
def test(name: str, words: str):
    assert name in words.splitlines(), words[-4000:]
