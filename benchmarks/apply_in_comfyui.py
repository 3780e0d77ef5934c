"""The part of apply.py that runs in ComfyUI's interpreter. Its last line has the rows as JSON.

python apply_in_comfyui.py COMFYUI_DIR REPOSITORY NETWORK ROUNDS SIDE DEVICE

SIDE: of the latents. On a card the model is in float16, as ComfyUI has it there, and the patches
get what ComfyUI gives them when it loads a model.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from itertools import product
from pathlib import Path

import torch
from interleaved import measure

PEER, OURS = "core's loader", "ours in ComfyUI"


def main() -> None:
    comfyui, repository, file, rounds, side, device = sys.argv[1:]
    sys.path.insert(0, comfyui)
    from comfy.cli_args import args

    args.cpu = device == "cpu"
    import folder_paths  # noqa: F401  by this module the pack recognizes ComfyUI
    from comfy_extras.nodes_hypernetwork import load_hypernetwork_patch

    load_pack(Path(repository))
    from hypernet import open_network
    from hypernet.apply.patches import make_patches

    with torch.inference_mode():
        place = torch.device(device), torch.float32 if device == "cpu" else torch.float16
        unet = random_unet().to(*place)
        core = load_hypernetwork_patch(file, 1.0)
        ours = make_patches(open_network(file))
        for patch, to in product((core, *ours), place):
            patch.to(to)
        size = f"relu [1,2,1] {int(side) * 8}² b2"
        patches = {f"{PEER}, {size}": (core, core), f"{OURS}, {size}": ours}
        ways = {what: step_of(unet, int(side), *pair) for what, pair in patches.items()}
        rows = measure(step_of(unet, int(side)), ways, int(rounds))
    print(json.dumps(rows))


def load_pack(repository: Path):
    """Import the pack under a name of its own. From now on `hypernet` is its library."""
    spec = importlib.util.spec_from_file_location(
        "pack", repository / "__init__.py", submodule_search_locations=[str(repository)]
    )
    pack = sys.modules["pack"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    importlib.import_module("pack.compat")
    return pack


def random_unet() -> torch.nn.Module:
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    with torch.device("meta"):
        unet = UNetModel(
            image_size=32,
            in_channels=4,
            model_channels=320,
            out_channels=4,
            num_res_blocks=[2, 2, 2, 2],
            channel_mult=[1, 2, 4, 4],
            transformer_depth=[1, 1, 1, 1, 1, 1, 0, 0],
            transformer_depth_output=[1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
            transformer_depth_middle=1,
            use_spatial_transformer=True,
            context_dim=768,
            num_heads=8,
            legacy=False,
            dtype=torch.float32,
            device="meta",
            operations=comfy.ops.disable_weight_init,
        )
    unet = unet.to_empty(device="cpu").eval()
    chance = torch.Generator().manual_seed(0)
    for weight in unet.parameters():
        weight.uniform_(-0.02, 0.02, generator=chance)
    return unet


def step_of(unet: torch.nn.Module, side: int, attn1=None, attn2=None):
    chance = torch.Generator().manual_seed(1)
    place = next(unet.parameters())
    latents = torch.randn(2, 4, side, side, generator=chance).to(place)
    text = torch.randn(2, 77, 768, generator=chance).to(place)
    times, sigmas = (torch.tensor(each).to(place.device) for each in ([500.0, 500.0], [3.0]))
    patches = {"attn1_patch": [attn1], "attn2_patch": [attn2]} if attn1 else {}

    def step() -> torch.Tensor:
        options = {"patches": patches, "sigmas": sigmas, "cond_or_uncond": [1, 0]}
        return unet(latents, times, text.clone(), transformer_options=options)

    return step


if __name__ == "__main__":
    main()
