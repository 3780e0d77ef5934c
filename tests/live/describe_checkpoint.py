"""What ComfyUI makes of a checkpoint, as numbers in a file. Runs in ComfyUI's interpreter.

    python describe_checkpoint.py COMFYUI_DIR CHECKPOINT FILE

Texts, a picture, and the UNet's x_0 for the first text at three noise levels, in float32.
"""

from __future__ import annotations

import sys

import torch

TEXTS = {
    "plain": "a photo of a red fox, 4k",
    "weighed": "a (red:1.4) fox [and] ((snow))",
    "long": "one two three four five six seven eight nine ten, " * 9,
    "empty": "",
}
SIGMAS = (0.1, 1.5, 14.0)
SIZES = {
    "height": 900,
    "width": 1500,
    "crop_h": 16,
    "crop_w": 40,
    "target_height": 768,
    "target_width": 1024,
}


def main() -> None:
    comfyui, checkpoint, file = sys.argv[1:]
    sys.path.insert(0, comfyui)
    from comfy.cli_args import args

    args.cpu = True
    import comfy.model_management as management
    import comfy.sd
    from safetensors.torch import save_file

    with torch.inference_mode():
        model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(checkpoint)
        found: dict[str, torch.Tensor] = {}
        for skipped in (False, True):
            if skipped:
                clip = clip.clone()
                clip.clip_layer(-3)
            for name, text in TEXTS.items():
                context, pooled = clip.encode_from_tokens(clip.tokenize(text), return_pooled=True)
                found[f"context.{name}.{skipped}"] = context
                found[f"pooled.{name}.{skipped}"] = pooled
        chance = torch.Generator().manual_seed(1)
        picture = torch.rand(1, 64, 96, 3, generator=chance)
        found["latent"] = vae.encode(picture)
        found["picture"] = vae.decode(found["latent"])
        found["scaled"] = model.get_model_object("latent_format").process_in(found["latent"])
        sampling = model.get_model_object("model_sampling")
        found["sigmas"] = sampling.sigmas
        management.load_models_gpu([model])
        noise = torch.randn(1, 4, 8, 12, generator=chance)
        added = {}
        if model.model.adm_channels:
            pooled = found["pooled.plain.False"]
            added["y"] = model.model.encode_adm(pooled_output=pooled, **SIZES)
        for sigma in SIGMAS:
            found[f"x0.{sigma}"] = model.model.apply_model(
                noise * (sigma**2 + 1) ** 0.5,
                torch.tensor([sigma]),
                c_crossattn=found["context.plain.False"],
                **added,
            )
        found["noise"] = noise
        found["is_v"] = torch.tensor("V_PREDICTION" in str(type(sampling).__mro__))
    save_file({name: each.clone().cpu().contiguous() for name, each in found.items()}, file)


if __name__ == "__main__":
    main()
