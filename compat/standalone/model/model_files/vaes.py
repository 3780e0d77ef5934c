"""A VAE in a file of its own, of every family that is read here.

decoder.conv_in.weight                      Stable Diffusion, Flux.1, Z-Image, Lumina 2
bn.running_mean beside it                   FLUX.2
decoder.middle.0.residual.0.gamma           Wan 2.1, Qwen-Image, Anima, Cosmos Predict2
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hypernet.diffusers.latents import latent_format

from ..parts import needs_diffusers
from ..single_file import read_vae, vae_config
from .weights import StateDict, build, open_weights

OF_FILMS = "decoder.middle.0.residual.0.gamma"
JOINED = "bn.running_mean"
FLUX2_CHANNELS = 32


def read_any_vae(file: Path) -> tuple[Any, int | None]:
    """The VAE in float32, and pixels along a latent's side; None for an AutoencoderKL's.

    Raises ValueError if the file is of another kind.
    """
    weights = open_weights(file)
    if OF_FILMS in weights:
        vae = film_vae(file, weights)
    elif JOINED in weights:
        vae = joining_vae(file, weights)
    else:
        return read_vae(file), None
    return vae, latent_format(vae).pixels


def film_vae(file: Path, weights: StateDict) -> Any:
    with needs_diffusers(file):
        from diffusers import AutoencoderKLWan  # pyright: ignore[reportPrivateImportUsage]
        from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    width, channels = weights["encoder.conv1.weight"].shape[0], weights["conv2.weight"].shape[0]
    named: dict[str, Tensor] = convert_wan_vae_to_diffusers(dict(weights))
    return build(
        file, lambda: AutoencoderKLWan(base_dim=width, z_dim=channels), named, torch.float32
    )


def joining_vae(file: Path, weights: StateDict) -> Any:
    with needs_diffusers(file):
        from diffusers import AutoencoderKLFlux2  # pyright: ignore[reportPrivateImportUsage]
        from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    moved = {  # they lie in the encoder and decoder there
        name.removeprefix("encoder.").removeprefix("decoder.")
        if "quant_conv" in name
        else name: each
        for name, each in weights.items()
    }
    config = vae_config(moved)
    own = {name: each for name, each in moved.items() if name.startswith("bn.")}
    others = {name: each for name, each in moved.items() if name not in own}
    named = convert_ldm_vae_checkpoint(others, config) | own
    return build(file, lambda: AutoencoderKLFlux2(**config), named, torch.float32)
