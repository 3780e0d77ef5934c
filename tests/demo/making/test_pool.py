"""Batches of the tiny models' training pictures: each with what tells its style, and its name."""

import pytest
import torch

from demo.making.pool import COLOURED, PLAIN, Manner, Picker, Pool
from demo.making.recolour import COLOURS

NAMES, HANDS, COPIES, PALETTES, SIZE = 6, 4, 3, 5, 4000
PLAIN_AT, HAND_AT, COLOURED_AT = 100, 200, 300


def numbered(*shape: int, start: int) -> torch.Tensor:
    """Latents that tell which they are: all numbers of one are its place among them."""
    count = torch.Size(shape).numel()
    return (torch.arange(count).view(shape) % 90 + start)[..., None, None, None].half()


@pytest.fixture(scope="module")
def pool() -> Pool:
    drawn = torch.ones(HANDS, NAMES, dtype=torch.bool)
    drawn[2, 1] = False
    return Pool(
        plain=numbered(NAMES, COPIES, start=PLAIN_AT),
        coloured=numbered(NAMES, PALETTES, start=COLOURED_AT),
        moves=torch.rand(NAMES, PALETTES, COLOURS * 3) + 0.1,
        hands=numbered(HANDS, NAMES, COPIES, start=HAND_AT),
        drawn=drawn,
    )


def picked(pool: Pool, often=(), seed: int = 0):
    tokens = [torch.full((2, 3), name) for name in range(NAMES)]
    picker = Picker(pool, tokens, torch.full((3,), -1), often)
    return picker.pick(SIZE, torch.Generator().manual_seed(seed))


def share(found: torch.Tensor) -> float:
    return float(found.float().mean())


def test_each_picture_comes_with_its_own_style(pool):
    batch = picked(pool)
    kind = batch.clean[:, 0, 0, 0]
    plain, hand = kind < HAND_AT, (kind >= HAND_AT) & (kind < COLOURED_AT)
    assert torch.equal(batch.hand >= 0, hand)
    assert torch.equal(batch.moves.abs().sum(1) > 0, ~plain & ~hand)
    assert share(plain) == pytest.approx(PLAIN, abs=0.03)
    assert share(hand) == pytest.approx((1 - PLAIN - COLOURED) * 23 / 24, abs=0.03)


def test_each_picture_comes_with_its_own_name_or_with_none(pool):
    batch = picked(pool)
    name, plain = batch.ids[:, 0], batch.clean[:, 0, 0, 0] < HAND_AT
    shown = (batch.clean[:, 0, 0, 0] - PLAIN_AT).long() // COPIES
    assert torch.equal(shown[plain & (name >= 0)], name[plain & (name >= 0)])
    assert share(name < 0) == pytest.approx(0.1, abs=0.02)


def test_a_hand_that_did_not_draw_a_name_is_not_asked_for_it(pool):
    batch = picked(pool)
    assert not ((batch.hand == 2) & (batch.ids[:, 0] == 1)).any()
    assert ((batch.hand == 2) & (batch.ids[:, 0] == 0)).any()


def test_groups_are_shown_as_often_as_asked(pool):
    names = picked(pool, [(0.5, torch.tensor([4])), (0.25, torch.tensor([0, 1]))]).ids[:, 0]
    rest = 0.25 / NAMES
    for name, wanted in ((4, 0.5 + rest), (0, 0.125 + rest), (1, 0.125 + rest), (2, rest)):
        assert share(names[names >= 0] == name) == pytest.approx(wanted, abs=0.03)


def test_the_same_seed_picks_the_same(pool):
    one, same, other = (picked(pool, seed=seed).clean for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_noto_has_no_manner():
    found = Manner(8)(torch.zeros(2, COLOURS * 3), torch.tensor([-1, 0]))
    assert torch.equal(found[0], torch.zeros(8)) and found[1].abs().sum() > 0
