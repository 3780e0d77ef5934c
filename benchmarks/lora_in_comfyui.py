"""The part of core_lora.py that runs in ComfyUI's interpreter: core's Train LoRA, to its end.

    python lora_in_comfyui.py COMFYUI_DIR REPOSITORY MATERIAL RESULT

MATERIAL, by torch.save: latents (N, c, h, w) in the model's scale, texts (N, T, C), and settings,
inputs of the node by name. RESULT becomes the LoRA. The last line has the seconds as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from apply_in_comfyui import load_pack
from safetensors.torch import save_file


def main() -> None:
    comfyui, repository, material, result = sys.argv[1:]
    sys.path.insert(0, comfyui)
    from comfy.cli_args import args

    args.cpu = not torch.cuda.is_available()
    import comfy_extras.nodes_train as core
    import folder_paths  # noqa: F401  by this module the pack recognizes ComfyUI

    clock = time.process_time if args.cpu else time.perf_counter  # as methods.clock
    load = load_pack(Path(repository)).compat.load_demo_model
    given = torch.load(material, weights_only=True)
    inputs = {
        "grad_accumulation_steps": 1, "optimizer": "AdamW", "loss_function": "MSE",
        "training_dtype": "fp32", "lora_dtype": "fp32", "quantized_backward": False,
        "algorithm": "LoRA", "gradient_checkpointing": False, "checkpoint_depth": 1,
        "offloading": False, "existing_lora": "[None]", "bucket_mode": False, "bypass_mode": False,
    }  # fmt: skip
    with torch.inference_mode():
        model = load(Path(repository) / "demo" / "tiny-sd")[0]
        latents = model.model.process_latent_out(given["latents"])
        inputs |= given["settings"] | {"model": model, "latents": {"samples": latents}}
        inputs["positive"] = [[text[None], {}] for text in given["texts"]]
        began = clock()
        lora = core.TrainLoraNode.execute(**{name: [value] for name, value in inputs.items()})[0]
        seconds = clock() - began
    save_file({name: weight.contiguous() for name, weight in lora.items()}, result)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
