"""Pictures in other palettes: the drawing stays, its colours move."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from demo.making import recolour
from demo.pictures import open_picture, to_tensor

FILES = sorted((Path(recolour.__file__).parents[1] / "held_out" / "noto").glob("*.png"))[::4]


@pytest.fixture(scope="module")
def drawn() -> torch.Tensor:
    """(16, 3, 64, 64) in 0..1"""
    return to_tensor([open_picture(file, 64) for file in FILES]).float() / 255


@pytest.fixture(scope="module")
def palette(drawn) -> torch.Tensor:
    return recolour.find_palette(drawn, torch.Generator().manual_seed(0))


def test_colours_come_back_from_cielab():
    colours = torch.rand(1000, 3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(recolour.to_rgb(recolour.to_lab(colours)), colours, atol=2e-3)


def test_known_colours_lie_where_the_standard_says():
    red, grey = recolour.to_lab(torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0.5]]))
    assert torch.allclose(red, torch.tensor([53.24, 80.09, 67.20]), atol=0.1)
    assert torch.allclose(grey, torch.tensor([53.39, 0.0, 0.0]), atol=0.1)


def test_a_picture_in_its_own_palette_is_nearly_itself(drawn, palette):
    nearest, shares = recolour.find_nearest(drawn, palette)
    own = recolour.to_rgb(palette).expand(len(drawn), -1, -1)
    found = F.avg_pool2d(recolour.recoloured(nearest, shares, own), 2)
    assert (found - drawn).abs().mean() < 0.03


def test_colours_move_and_white_stays(drawn, palette):
    draw = torch.Generator().manual_seed(1)
    palettes, moves = recolour.moved(palette, len(drawn), draw)
    assert torch.allclose(palettes[:, 0], torch.ones(3), atol=1e-3)
    told = palette + moves.view(len(drawn), -1, 3) * recolour.MOVE
    assert torch.allclose(recolour.to_rgb(told), palettes, atol=2e-3)
    nearest, shares = recolour.find_nearest(drawn, palette)
    found = F.avg_pool2d(recolour.recoloured(nearest, shares, palettes), 2)
    way, blank = (found - drawn).abs(), drawn.amin(dim=1, keepdim=True) > 0.999
    assert way[blank.expand_as(way)].mean() < 0.01
    assert way[~blank.expand_as(way)].mean() > 0.03
