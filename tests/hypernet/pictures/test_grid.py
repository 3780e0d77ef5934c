"""A sheet on which pictures are put one at a time; tools/test_compare.py has more."""

import numpy as np
import pytest
from PIL import Image

from hypernet.pictures.grid import GAP, NOTHING, PAPER, Sheet, fitting


def pixels(sheet):
    return np.asarray(sheet.image, dtype=int)


def test_rows_of_several_sizes_stand_in_the_middle_of_their_columns():
    sheet = Sheet([(40, 20), (16, 32)], 2, [], [], beside=100)
    sheet.put(0, 1, Image.new("RGB", (40, 20), (255, 0, 0)))
    sheet.put(1, 0, Image.new("RGB", (32, 64), (0, 0, 255)))
    sheet.put(1, 1, None)
    found = pixels(sheet)
    assert found.shape == (20 + 32 + 3 * GAP, 2 * 40 + 3 * GAP, 3)
    x, y = sheet.corner(0, 1)
    assert (found[y : y + 20, x : x + 40] == (255, 0, 0)).all()
    x, y = sheet.corner(1, 0)
    assert (found[y : y + 32, x + 12 : x + 28] == (0, 0, 255)).all(), "half as large"
    assert (found[y : y + 32, x : x + 12] == PAPER).all()
    x, y = sheet.corner(1, 1)
    assert (found[y : y + 32, x + 12 : x + 28] == NOTHING).all()


def test_a_label_that_is_higher_than_its_row_is_cut():
    text = "a very long prompt " * 20
    sheet = Sheet([(64, 40), (64, 40)], 1, ["step 1"], [text, ""], beside=100)
    x, y = sheet.corner(1, 0)
    assert (pixels(sheet)[y:, :x] == PAPER).all(), "it does not run into the next row"
    assert (pixels(sheet)[sheet.top : y, :x] < 100).any()


@pytest.mark.parametrize(("side", "least"), [(64, 12), (512, 32), (1024, 64)])
def test_words_grow_with_the_pictures(side, least):
    sheet = Sheet([(side, side)], 1, ["step 1"], [], beside=100)
    assert least < sheet.top < 2 * least + GAP


def test_a_sheet_that_is_too_large_is_made_smaller_by_one_factor():
    assert fitting([(64, 32), (16, 16)], 3, 10_000) == [(64, 32), (16, 16)]
    sizes = fitting([(1024, 1024), (512, 1024)], 24, 12_000_000)
    assert sizes == [(500, 500), (250, 500)]
    assert 24 * max(width for width, _ in sizes) * sum(height for _, height in sizes) <= 12_000_000


@pytest.mark.parametrize("across", [["one"], ["one", "two"]])
def test_words_stand_above_the_columns(across):
    sheet = Sheet([(64, 40)], len(across), across, [], beside=100)
    for column in range(len(across)):
        x, y = sheet.corner(0, column)
        assert (pixels(sheet)[:y, x : x + 64] < 100).any()
