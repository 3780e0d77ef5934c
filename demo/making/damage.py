"""Makes pictures (B, 3, 64, 64) in 0..1 imperfect or damaged, to train the judges.

A good network's pictures are a little soft, shifted, bent or off in their colours: that is
`imperfect`, and pictures of every class may be so. A bad network's pictures are burnt, noisy,
jumbled, smeared or foggy: that is `damaged`, and belongs to no style. Between the two is a gap on
purpose, where the judges learn nothing. A changed hue is no damage: a red heart with swapped
channels is a perfect blue heart.

All random numbers come from the generator that is passed in.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

SEEN_AT_ALL = 0.06  # below this mean difference a picture does not count as damaged


def uniform(draw: Generator, batch: int, low: float, high: float) -> Tensor:
    """Random numbers from low to high, (B, 1, 1, 1)."""
    return torch.rand(batch, 1, 1, 1, generator=draw) * (high - low) + low


# --- imperfect -----------------------------------------------------------------------------------


def imperfect(pictures: Tensor, draw: Generator) -> Tensor:
    """Bend and soften pictures and change their contrast, a little; four in ten stay as they are.

    Colours and sharpness change only slightly, because a set's palette and its flat colours are its
    style.
    """
    count, before = len(pictures), pictures
    pictures = bent(pictures, draw)
    soft = F.interpolate(F.avg_pool2d(pictures, 2), scale_factor=2, mode="bilinear")
    pictures = torch.lerp(pictures, soft, uniform(draw, count, 0, 0.5))
    pictures = (1 - (1 - pictures) * uniform(draw, count, 0.97, 1.03)).clamp(0, 1)
    return torch.where(torch.rand(count, 1, 1, 1, generator=draw) < 0.4, before, pictures)


def bent(pictures: Tensor, draw: Generator) -> Tensor:
    """Turn, scale, shift, mirror and distort pictures a little, on white."""
    count, side = len(pictures), pictures.shape[-1]
    turn = uniform(draw, count, -0.15, 0.15).view(-1)
    scale = uniform(draw, count, 0.87, 1.15).view(-1)
    mirror = (torch.rand(count, generator=draw) < 0.5).float() * -2 + 1
    shift = torch.rand(count, 2, generator=draw) * 0.2 - 0.1
    matrix = torch.stack(
        [
            torch.stack([turn.cos() * mirror, -turn.sin(), shift[:, 0]], dim=1),
            torch.stack([turn.sin() * mirror, turn.cos(), shift[:, 1]], dim=1),
        ],
        dim=1,
    ) * torch.stack([scale, scale, torch.ones(count)], dim=1).unsqueeze(1)
    grid = F.affine_grid(matrix, list(pictures.shape), align_corners=False)
    wobble = torch.randn(count, 2, 5, 5, generator=draw) * uniform(draw, count, 0, 1.2) * 2 / side
    wobble = F.interpolate(wobble, (side, side), mode="bicubic").movedim(1, -1)
    return 1 - F.grid_sample(1 - pictures, grid + wobble, align_corners=False)


def recast(pictures: Tensor, draw: Generator) -> Tensor:
    """Give each picture other colours; white stays white. For the judge of content."""
    count = len(pictures)
    mix = torch.randn(count, 3, 3, generator=draw) * uniform(draw, count, 0, 0.35).squeeze(1)
    mix = mix + torch.eye(3)
    return (1 - torch.einsum("bij,bjhw->bihw", mix, 1 - pictures)).clamp(0, 1)


# --- damaged -------------------------------------------------------------------------------------


def burnt(pictures: Tensor, draw: Generator) -> Tensor:
    """Raise contrast and saturation far too much, as a too high learning rate does."""
    count = len(pictures)
    grey = pictures.mean(dim=1, keepdim=True)
    pictures = grey + (pictures - grey) * uniform(draw, count, 1, 3)
    middle = uniform(draw, count, 0.4, 0.8)
    return (middle + (pictures - middle) * uniform(draw, count, 2.2, 6)).clamp(0, 1)


def posterised(pictures: Tensor, draw: Generator) -> Tensor:
    steps = torch.randint(1, 3, (len(pictures), 1, 1, 1), generator=draw)
    return (pictures * steps).round() / steps


def noisy(pictures: Tensor, draw: Generator) -> Tensor:
    """Add fine or coarse noise."""
    fine = torch.randn(pictures.shape, generator=draw)
    coarse = F.interpolate(torch.randn(len(pictures), 3, 16, 16, generator=draw), scale_factor=4)
    is_fine = (torch.rand(len(pictures), 1, 1, 1, generator=draw) < 0.5).float()
    noise = torch.lerp(coarse, fine, is_fine) * uniform(draw, len(pictures), 0.2, 0.5)
    return (pictures + noise).clamp(0, 1)


def jumbled(pictures: Tensor, draw: Generator) -> Tensor:
    """Cut pictures into squares of 8 or 16 pixels and shuffle those."""
    count, side = len(pictures), pictures.shape[-1]
    halves = []
    for part, edge in zip(pictures.tensor_split([count // 2]), (8, 16), strict=True):
        squares = F.unfold(part, edge, stride=edge)
        order = torch.randperm(squares.shape[-1], generator=draw)
        halves.append(F.fold(squares[..., order], (side, side), edge, stride=edge))
    return torch.cat(halves)


def doubled(pictures: Tensor, draw: Generator) -> Tensor:
    """Blend each picture with another one."""
    others = pictures.roll(1, dims=0).flip(-1)
    return torch.lerp(pictures, others, uniform(draw, len(pictures), 0.35, 0.65))


def smeared(pictures: Tensor, draw: Generator) -> Tensor:
    side = int(torch.randint(5, 9, (), generator=draw))
    small = F.interpolate(pictures, (side, side), mode="area")
    return F.interpolate(small, pictures.shape[-2:], mode="bicubic").clamp(0, 1)


def inverted(pictures: Tensor, draw: Generator) -> Tensor:
    return 1 - pictures


def foggy(pictures: Tensor, draw: Generator) -> Tensor:
    """Blend everything, the background too, with one random colour."""
    coat = torch.rand(len(pictures), 3, 1, 1, generator=draw)
    return torch.lerp(pictures, coat.expand_as(pictures), uniform(draw, len(pictures), 0.45, 0.75))


KINDS: tuple[Callable[[Tensor, Generator], Tensor], ...] = (
    burnt, posterised, noisy, jumbled, doubled, smeared, inverted, foggy,
)  # fmt: skip


def damaged(pictures: Tensor, draw: Generator) -> Tensor:
    """Damage each picture by one of KINDS. If that hardly changes it, it is inverted instead."""
    parts = pictures.tensor_split(len(KINDS))
    found = torch.cat([kind(part, draw) for kind, part in zip(KINDS, parts, strict=True)])
    unharmed = (found - pictures).abs().mean(dim=(1, 2, 3), keepdim=True) < SEEN_AT_ALL
    return torch.where(unharmed, 1 - pictures, found)
