"""Measures what a network costs on a transformer: ÷ the bare model, generating and training.

    python benchmarks/dit.py [ROUNDS]

Random models of diffusers' classes, 512 wide, 576 tokens of a picture and 72 of text, in float32 on
the CPU. So there are 1.3 tokens for each unit of width, as in a picture of 1024 × 1024 (FLUX.2
klein 4B 1.5, Z-Image 1.1): with them grows what attention costs a token, not what a network does.
FLUX.2's single blocks make queries, keys, values and more in one layer, Z-Image's have a layer for
each.

The hook alone gives keys and values an input of their own, as a network does, but an equal one. The
network is [1, 0.25, 1] in float32. A training step is forward and backward; the bare model's goes
back to its input. Writes out/bench/dit.json and prints the table.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from apply import show, tell
from interleaved import machine, measure
from torch import nn

from hypernet import HypernetSpec, Hypernetwork
from hypernet.apply.effect import Effect
from hypernet.apply.onednn import quickened
from hypernet.apply.site_patches import SitePatch, applied
from hypernet.apply.sites import installed
from hypernet.apply.training_network import TrainingNetwork
from hypernet.diffusers.transformer import transformer_denoiser
from hypernet.families import take_census

RESULT = Path(__file__).resolve().parent.parent / "out" / "bench" / "dit.json"
ROUNDS = 15
WIDTH, TEXT, TOKENS = 512, 96, 72
FLUX2 = {
    "num_layers": 2, "num_single_layers": 6, "attention_head_dim": 128, "num_attention_heads": 4,
    "joint_attention_dim": TEXT, "in_channels": 128, "axes_dims_rope": (32, 32, 32, 32),
    "guidance_embeds": False,
}  # fmt: skip
Z_IMAGE = {
    "dim": WIDTH, "n_layers": 8, "n_heads": 4, "n_kv_heads": 4, "cap_feat_dim": TEXT,
    "axes_dims": [32, 48, 48], "axes_lens": [512, 64, 64],
}  # fmt: skip
LATENTS = {"FLUX.2": (1, 128, 24, 24), "Z-Image": (1, 16, 48, 48)}


def models() -> dict[str, nn.Module]:
    from diffusers import Flux2Transformer2DModel, ZImageTransformer2DModel

    torch.manual_seed(0)
    found = {
        "FLUX.2": Flux2Transformer2DModel(**FLUX2),
        "Z-Image": ZImageTransformer2DModel(**Z_IMAGE),
    }
    return {name: model.eval() for name, model in found.items()}


def rows_of(name: str, model: nn.Module, rounds: int) -> list[dict]:
    sites = take_census(model).sites
    places = sorted({(site.place.stream, site.width) for site in sites})
    spec = HypernetSpec(places=tuple(places), layer_structure=(1, 0.25, 1))
    network = Hypernetwork(spec)
    patch = SitePatch(network, Effect())
    chance = torch.Generator().manual_seed(1)
    noisy = torch.randn(LATENTS[name], generator=chance)
    condition = {"context": torch.randn(1, TOKENS, TEXT, generator=chance)}
    time = torch.tensor([500])
    with transformer_denoiser(model, torch.device("cpu")) as denoiser:

        @torch.no_grad()
        def bare() -> object:
            return denoiser.predict(noisy, time, condition, None)

        def hooked() -> object:
            with installed(model, sites, lambda site, side, x: x.view_as(x)):
                return bare()

        def with_network() -> object:
            with applied(model, sites, [patch], {}):
                return bare()

        generating = {
            f"{name}: the hook alone": hooked,
            f"{name}: a network": with_network,
        }
        rows = measure(bare, generating, rounds, tell)
        frozen = step(denoiser, noisy.clone().requires_grad_(), time, condition, None)
        with quickened(network):  # as in training
            learning = step(denoiser, noisy, time, condition, TrainingNetwork(network))
            return rows + measure(frozen, {f"{name}: training step": learning}, rounds, tell)


def step(denoiser, noisy, time, condition, acting) -> Callable[[], object]:
    def forward_and_backward() -> None:
        denoiser.predict(noisy, time, condition, acting).square().mean().backward()

    return forward_and_backward


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(f"{machine()}, {rounds} rounds", flush=True)
    rows = [row for name, model in models().items() for row in rows_of(name, model, rounds)]
    show(rows)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine(), "rows": rows}
    RESULT.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"→ {RESULT}")


if __name__ == "__main__":
    main()
