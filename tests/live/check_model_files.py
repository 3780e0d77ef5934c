"""Run by ComfyUI: tiny models of its own classes as files, and what they answer.

    python check_model_files.py COMFYUI REPOSITORY FOLDER

FOLDER gets <family>.safetensors with the weights under ComfyUI's names, and <family>.asked with x,
sigma, context and what else the text has, and with x_0, the answer.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import tiny_models
import torch
from check_apply import start
from safetensors.torch import save_file

# Shares of a head's width as in the models that were published; no weight tells them
CHANGES = {
    "z_image": {"dim": 1152, "axes_dims": [32, 48, 48], "n_layers": 1},  # diffusers takes ≥ 1024
    "lumina2": {"dim": 96, "axes_dims": [8, 8, 8]},
    "flux": {"axes_dim": [4, 14, 14]},
    "flux2": {"guidance_embed": False},
    "qwen_image": {"axes_dims_rope": (4, 14, 14)},
    "anima": {},
}
SCALES = {"rope_h_extrapolation_ratio": 4.0, "rope_w_extrapolation_ratio": 4.0}


@torch.inference_mode()
def main() -> None:
    comfyui, repository, folder = sys.argv[1:]
    start(comfyui, repository)
    for name, changes in CHANGES.items():
        recipe = tiny_models.RECIPES[name]
        more = changes | (SCALES | {"concat_padding_mask": True} if name == "anima" else {})
        tiny_models.RECIPES[name] = dataclasses.replace(recipe, config=recipe.config | more)
        tiny = tiny_models.build(name)
        if name == "flux2":  # ComfyUI fills shorter texts up
            tiny = dataclasses.replace(
                tiny, conditioning=tiny_models.conditioning(name, tokens=512)
            )
        options = tiny.conditioning[0][1]
        options["guidance"] = 1.0
        model = tiny.patcher.model
        given = tiny_models.inputs(tiny)
        answer = model.apply_model(**given)
        asked = {"x": given["x"], "sigma": given["t"], "context": tiny.conditioning[0][0]}
        asked |= {
            key: options[key]
            for key in ("pooled_output", "t5xxl_ids")
            if options.get(key) is not None
        }
        place = Path(folder)
        weights = {k: each.contiguous() for k, each in model.diffusion_model.state_dict().items()}
        save_file(weights, place / f"{name}.safetensors")
        save_file({**asked, "x_0": answer.contiguous()}, place / f"{name}.asked")
        print(f"{name} written")


main()
