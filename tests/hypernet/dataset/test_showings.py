"""A pass over pictures that are shown many times."""

import pytest

from hypernet.dataset.showings import Showings


@pytest.mark.parametrize(
    ("repeated", "shown"),
    [
        ([], []),
        ([(0, 1)], [0]),
        ([(4, 3), (7, 1)], [4, 4, 4, 7]),
        ([(0, 0), (1, 2), (2, 0), (3, 1)], [1, 1, 3]),
        ([(5, 0)], []),
    ],
)
def test_showings_equal_the_list_they_stand_for(repeated, shown):
    made = Showings(repeated)
    assert list(made) == shown and len(made) == len(shown)
    assert [made[place] for place in range(len(made))] == shown
    with pytest.raises(IndexError):
        made[len(shown)]


def test_a_billion_showings_take_no_more_memory_than_their_pictures():
    made = Showings([(0, 10**9), (1, 1), (2, 10**9)])
    assert len(made) == 2 * 10**9 + 1
    assert [made[10**9 - 1], made[10**9], made[10**9 + 1]] == [0, 1, 2]
