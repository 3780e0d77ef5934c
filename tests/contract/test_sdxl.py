"""A network for SDXL is trained, saved and applied in both hosts."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import comfyui_server
import prompts
import pytest
from hosts import Host
from PIL import Image
from test_nodes import STEPS, application, latents, training

from hypernet.formats.networks import open_network

ORIGINAL = Path(__file__).parents[1] / "compat" / "standalone" / "model" / "original_files.py"


@pytest.fixture(scope="module")
def sdxl(host: Host) -> Host:
    """The host with a checkpoint of SDXL's shape, and pictures twice as wide as high."""
    file = host.base / "models" / "checkpoints" / "sdxl-random.safetensors"
    if host.name == "ComfyUI":
        file.symlink_to(comfyui_server.checkpoint("sdxl"))
        widths = {"self_widths": (640, 1280), "text_width": 2048}
    else:
        spec = importlib.util.spec_from_file_location("hypernet_original_files", ORIGINAL)
        original = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(original)
        original.write(file, "sdxl")
        widths = {"self_widths": (64,), "text_width": original.CONTEXT["sdxl"]}
    folder = host.input_folder / "wide"
    folder.mkdir()
    for name in ("red", "green"):
        picture = Image.new("RGB", (2 * prompts.PIXELS, prompts.PIXELS), name)
        picture.save(folder / f"{name}.png")
    return replace(host, checkpoint=file.name, **widths)


def test_a_network_is_trained_saved_and_applied(sdxl: Host):
    prompt = training(sdxl, "xl")
    prompt["dataset"]["inputs"]["folder"] = "wide"
    prompt["config"]["inputs"]["widths"] = ""
    outcome = sdxl.run(prompt)
    assert outcome.status == "success", outcome.error
    network = open_network(sdxl.network_folder / "xl.pt")
    assert network.spec.widths == (*sdxl.self_widths, sdxl.text_width)
    assert network.record.step == STEPS
    biases = [weight for name, weight in network.named_parameters() if name.endswith("bias")]
    assert biases and all(bias.abs().max() > 0 for bias in biases), "they begin as zeros"

    without, applied = (latents(sdxl, application(sdxl, "xl.pt", each)) for each in (0.0, 1.0))
    assert without.isfinite().all()
    assert not without.equal(applied)
