"""The part of apply.py that runs in ComfyUI's interpreter. Its last line has the rows as JSON.

python apply_in_comfyui.py COMFYUI_DIR REPOSITORY NETWORK ROUNDS
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import torch
from interleaved import measure

PEER = "core's loader, relu [1,2,1] 256² b2"
OURS = "ours in ComfyUI, relu [1,2,1] 256² b2"


def main() -> None:
    comfyui, repository, file, rounds = sys.argv[1:]
    sys.path.insert(0, comfyui)
    from comfy.cli_args import args

    args.cpu = True
    import folder_paths  # noqa: F401  by this module the pack recognizes ComfyUI
    from comfy_extras.nodes_hypernetwork import load_hypernetwork_patch

    load_pack(Path(repository))
    from hypernet import open_network
    from hypernet.apply.patches import make_patches

    with torch.inference_mode():
        unet = random_unet()
        core = load_hypernetwork_patch(file, 1.0)
        ours = make_patches(open_network(file))
        patches = {PEER: (core, core), OURS: ours}
        ways = {what: step_of(unet, *pair) for what, pair in patches.items()}
        rows = measure(step_of(unet), ways, int(rounds))
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


def step_of(unet: torch.nn.Module, attn1=None, attn2=None):
    chance = torch.Generator().manual_seed(1)
    latents = torch.randn(2, 4, 32, 32, generator=chance)
    text = torch.randn(2, 77, 768, generator=chance)
    times = torch.tensor([500.0, 500.0])
    patches = {"attn1_patch": [attn1], "attn2_patch": [attn2]} if attn1 else {}

    def step() -> torch.Tensor:
        options = {"patches": patches, "sigmas": torch.tensor([3.0]), "cond_or_uncond": [1, 0]}
        return unet(latents, times, text.clone(), transformer_options=options)

    return step


if __name__ == "__main__":
    main()
