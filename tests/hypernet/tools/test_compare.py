"""The labelled grid: where pictures are, that labels get enough room, what is refused."""

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork
from hypernet.network.hypernetwork import Record
from hypernet.pictures.grid import GAP, grid, in_rows
from hypernet.tools.compare import compared, names_of


def plain(level, height=32, width=48):
    """Of a colour that no letter has."""
    return torch.tensor([float(level), 0.0, 0.9]).expand(height, width, 3)


def places(sheet, levels):
    """The upper left corner (x, y) of each one-coloured picture, by its brightness."""
    found = {}
    for level in levels:
        same = (sheet[0] - plain(level, 1, 1)).abs().amax(-1) < 0.01
        rows, columns = torch.nonzero(same, as_tuple=True)
        found[level] = (int(columns.min()), int(rows.min()))
    return found


def test_pictures_stand_in_rows_and_columns_under_their_labels():
    levels = [[0.2, 0.4, 0.6], [0.3, 0.5, 0.7]]
    rows = [[plain(level) for level in row] for row in levels]
    sheet = grid(rows, ["0", "0.5", "1"], ["first", "second"])
    assert sheet.shape[0] == 1 and sheet.shape[-1] == 3
    assert sheet.min() >= 0 and sheet.max() <= 1
    found = places(sheet, [*levels[0], *levels[1]])
    assert found[0.4][0] - found[0.2][0] == 48 + GAP
    assert found[0.3][1] - found[0.2][1] == 32 + GAP
    left, top = found[0.2]
    assert (sheet[0, :top] < 0.5).any(), "words above"
    assert (sheet[0, top : top + 32, :left] < 0.5).any(), "words beside"


def test_without_labels_only_gaps_are_added():
    assert grid([[plain(0.5)]], [], []).shape == (1, 32 + 2 * GAP, 48 + 2 * GAP, 3)


def test_long_labels_are_wrapped():
    short = grid([[plain(0.5)]], ["a"], [])
    long = grid([[plain(0.5)]], ["a rather long name of a network"], [])
    assert long.shape[1] > short.shape[1]
    assert long.shape[2] == short.shape[2]


def test_a_batch_is_laid_out_in_rows_and_filled_up_with_white():
    rows = in_rows(torch.rand(5, 8, 8, 3), 2)
    assert [len(row) for row in rows] == [2, 2, 2]
    assert (rows[2][1] == 1).all()


@pytest.mark.parametrize(
    ("rows", "across", "down", "words"),
    [
        ([], [], [], "no picture"),
        ([[plain(0), plain(1)], [plain(0)]], [], [], r"\[2, 1\] pictures"),
        ([[plain(0), plain(0, 16)]], [], [], "48×16, 48×32"),
        ([[plain(0)]], ["a", "b"], [], r"2 labels \(a, b\) for 1 columns"),
    ],
)
def test_pictures_that_make_no_grid_are_refused(rows, across, down, words):
    with pytest.raises(ValueError, match=words):
        grid(rows, across, down)


def networks(*records):
    spec = HypernetSpec(widths=(8,), layer_structure=(1, 1))
    return [Hypernetwork(spec, Record(name=name, step=step)) for name, step in records]


def test_each_network_is_drawn_at_each_strength_and_strength_zero_only_once():
    drawn = []

    def draw(network, strength):
        drawn.append((network and network.record.name, strength))
        return plain(0.1 * len(drawn))

    sheet = compared(networks(("ink", 1), ("chalk", 1)), (0, 0.5, 1), draw)
    assert drawn == [(None, 0), ("ink", 0.5), ("ink", 1), ("chalk", 0.5), ("chalk", 1)]
    assert len(places(sheet, [0.1, 0.2, 0.3, 0.4, 0.5])) == 5


def test_checkpoints_of_one_network_are_labelled_with_their_steps():
    assert names_of(networks(("ink", 500), ("ink", 1000), ("chalk", 7))) == [
        "ink, 500 steps",
        "ink, 1000 steps",
        "chalk",
    ]
