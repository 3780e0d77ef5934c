"""Recolours pictures: the same drawing in flat colours, each of which is moved a little.

A VAE that has seen only a set's own colours memorizes them; with these pictures it must learn to
reproduce any colour. Colours are in CIELAB (CIE 1976, D65), where equal distances look equal.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

COLOURS = 28  # in a palette; the first is white, which stays white
BLUR = 50.0  # squared distance: how softly a pixel between two colours is mixed from both
GROUPS = 4  # groups of colours that move together: yellow–brown, red–violet, green–blue, grey
TOGETHER, ALONE = (6.0, 9.0, 9.0), (5.0, 7.0, 7.0)  # standard deviations of moves in L, a, b
MOVE = 15.0  # the unit in which moves are given, in CIELAB
GREY = 9.0  # a colour with less chroma is grey

XYZ = torch.tensor([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = torch.tensor([0.95047, 1.0, 1.08883])


def to_lab(colours: Tensor) -> Tensor:
    """sRGB (..., 3) in 0..1 to CIELAB (..., 3)."""
    linear = torch.where(colours > 0.04045, ((colours + 0.055) / 1.055) ** 2.4, colours / 12.92)
    ratio = linear @ XYZ.T / WHITE
    root = torch.where(ratio > 0.008856, ratio.clamp(min=1e-6) ** (1 / 3), 7.787 * ratio + 16 / 116)
    x, y, z = root.unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-1)


def to_rgb(colours: Tensor) -> Tensor:
    """CIELAB (..., 3) to sRGB (..., 3), clipped to 0..1."""
    light, a, b = colours.unbind(-1)
    y = (light + 16) / 116
    root = torch.stack([y + a / 500, y, y - b / 200], dim=-1)
    ratio = torch.where(root > 0.2069, root**3, (root - 16 / 116) / 7.787)
    linear = (ratio * WHITE @ torch.linalg.inv(XYZ).T).clamp(0, 1)
    curved = 1.055 * linear.clamp(min=1e-6) ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, curved, 12.92 * linear).clamp(0, 1)


def find_palette(pictures: Tensor, draw: Generator, rounds: int = 40) -> Tensor:
    """White and the main colours of pictures (B, 3, H, W) in 0..1, by k-means: (COLOURS, 3)."""
    pixels = pictures.movedim(1, -1).reshape(-1, 3)
    pixels = pixels[pixels.mean(dim=-1) < 0.985]
    pixels = to_lab(pixels[torch.randperm(len(pixels), generator=draw)[:40_000]])
    found = pixels[:1]
    while len(found) < COLOURS - 1:  # k-means++
        far = torch.cdist(pixels, found).amin(dim=1)
        found = torch.cat([found, pixels[torch.multinomial(far, 1, generator=draw)]])
    for _ in range(rounds):
        nearest = torch.cdist(pixels, found).argmin(dim=1)
        sums = torch.zeros_like(found).index_add_(0, nearest, pixels)
        counts = nearest.bincount(minlength=len(found)).clamp(min=1)
        found = sums / counts.unsqueeze(1)
    return torch.cat([torch.tensor([[100.0, 0.0, 0.0]]), found])


def find_nearest(pictures: Tensor, palette: Tensor) -> tuple[Tensor, Tensor]:
    """(the two nearest colours of every pixel, (B, H, W, 2) uint8; the second's share, (B, H, W)).

    pictures are (B, 3, H, W) in 0..1.
    """
    nearest, shares = [], []
    for picture in to_lab(pictures.movedim(1, -1)):
        far, places = torch.cdist(picture.flatten(0, 1), palette).topk(2, largest=False)
        share = torch.softmax(-far.square() / BLUR, dim=1)[:, 1] * (far[:, 0] > 1.5)
        nearest.append(places.view(*picture.shape[:2], 2).byte())
        shares.append(share.view(picture.shape[:2]))
    return torch.stack(nearest), torch.stack(shares)


def take_apart(pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The palette of pictures (B, 3, 2H, 2W) uint8, and find_nearest's results at half size."""
    small = F.avg_pool2d(pictures.float() / 255, 2)
    palette = find_palette(small, Generator().manual_seed(1))
    return palette, *find_nearest(small, palette)


def groups(palette: Tensor) -> Tensor:
    """The group, 0 to GROUPS − 1, that each colour moves with: (COLOURS,)."""
    _, a, b = palette.unbind(-1)
    hue = torch.rad2deg(torch.atan2(b, a)) % 360
    found = torch.full((len(palette),), 2)
    found[(hue >= 48) & (hue < 110)] = 0
    found[(hue < 48) | (hue >= 305)] = 1
    found[(a.square() + b.square()).sqrt() < GREY] = 3
    return found


def moved(palette: Tensor, count: int, draw: Generator) -> tuple[Tensor, Tensor]:
    """(palettes (count, COLOURS, 3) in sRGB, their moves (count, COLOURS · 3) in units of MOVE).

    Each colour moves with its group and also by itself, in some palettes little and in others much.
    In four of ten palettes the shades of a colour come closer together, as in flat drawings.
    """
    group = groups(palette)
    together = torch.randn(count, GROUPS, 3, generator=draw) * torch.tensor(TOGETHER)
    alone = torch.randn(count, len(palette), 3, generator=draw) * torch.tensor(ALONE)
    moves = (together[:, group] + alone) * (torch.rand(count, 1, 1, generator=draw) * 1.5 + 0.3)
    moves[:, group == 3] *= torch.tensor([1.0, 0.5, 0.5])
    moves[:, 0] = 0
    found = palette + moves
    mean = (found + found[:, nearest_shade(palette, group)]) / 2
    kept = torch.rand(count, 1, 1, generator=draw) * 1.1
    is_flat = torch.rand(count, 1, 1, generator=draw) < 0.4
    found = to_rgb(torch.where(is_flat, mean + (found - mean) * kept, found))
    return found, (to_lab(found) - palette).flatten(1) / MOVE


def nearest_shade(palette: Tensor, group: Tensor) -> Tensor:
    """For each colour the nearest other one of its group, (COLOURS,); for white, itself."""
    far = torch.cdist(palette, palette)
    others = group.unsqueeze(0) != group.unsqueeze(1)
    others.fill_diagonal_(True)
    others[:, 0] = True
    alone = others.all(dim=1)
    alone[0] = True
    found = far.masked_fill(others, torch.inf).argmin(dim=1)
    return torch.where(alone, torch.arange(len(palette)), found)


def recoloured(nearest: Tensor, shares: Tensor, palettes: Tensor) -> Tensor:
    """Draw find_nearest's result, each picture with its own palette of (B, COLOURS, 3).

    Returns (B, 3, 2H, 2W) in 0..1.
    """
    row = torch.arange(len(nearest)).view(-1, 1, 1)
    first, second = (palettes[row, nearest[..., i].long()] for i in (0, 1))
    flat = torch.lerp(first, second, shares.unsqueeze(-1)).movedim(-1, 1)
    return F.interpolate(flat, scale_factor=2, mode="bicubic", align_corners=False).clamp(0, 1)
