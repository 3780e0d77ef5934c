"""What spares memory or time in training changes nothing that is learnt, in ComfyUI too."""

from __future__ import annotations

import pytest
import torch
from comfyui_server import ComfyUI, config, node
from PIL import Image

from hypernet.formats.networks import open_network

PIXELS, STEPS = 64, 8
WAYS = {
    "plain": {},
    "int8": {"unet_dtype": "int8"},
    "recorded": {"cuda_graphs": True},
    "swapped": {"blocks_to_swap": 5},
    "offloaded": {"offload": True},
}
# Of what is learnt. Blocks that are computed twice add up in another order.
APART = {"int8": 0.2, "recorded": 0.0, "swapped": 1e-3, "offloaded": 1e-3}


@pytest.fixture(scope="module")
def learnt(comfyui: ComfyUI) -> dict[str, torch.Tensor]:
    (folder := comfyui.base / "input" / "memory").mkdir()
    for colour in ("red", "green", "blue"):
        Image.new("RGB", (PIXELS, PIXELS), colour).save(folder / f"{colour}.png")
    found = {}
    for name, how in WAYS.items():
        outcome = comfyui.run({
            "loader": node("HypernetLoadDemoModel"),
            "data": node(
                "HypernetLoadDataset", folder="memory", width=PIXELS, height=PIXELS,
                subfolders=True, unreadable="stop",
            ),
            "words": node(
                "HypernetCaption", dataset=["data", 0], source="sidecar, then file name",
                fixed_text="", template="[filewords]",
            ),
            "config": config(weight_initialization="ZeroOutput"),
            "train": node(
                "HypernetTrain", model=["loader", 0], clip=["loader", 1], vae=["loader", 2],
                dataset=["words", 0], config=["config", 0], name=f"memory_{name}", steps=STEPS,
                learning_rate="1e-3", batch_size=1, accumulation=1, seed=1, save_every=0,
                resume=True, preview_prompt="a red square", preview_every=4, preview_steps=2,
                preview_cfg=2.0, preserve=1.0, preserve_every=2, **how,
            ),
        })  # fmt: skip
        assert outcome.status == "success", outcome.error
        made = open_network(comfyui.base / "models" / "hypernetworks" / f"memory_{name}.pt")
        found[name] = torch.cat([each.flatten() for each in made.state_dict().values()])
    return found


@pytest.mark.parametrize("name", APART)
def test_the_same_is_learnt(learnt: dict[str, torch.Tensor], name: str):
    expected = learnt["plain"]
    apart = (learnt[name] - expected).norm() / expected.norm()
    assert apart <= APART[name], float(apart)
