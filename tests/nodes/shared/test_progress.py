"""The bar of long work: shown when there is time to see it, never in the way of a stop."""

import pytest
from hypernet_pack.nodes.shared import progress as watching


@pytest.fixture
def clock(monkeypatch):
    """(move, updates): a clock that is moved by hand, and what the bars were told."""
    now, updates = [0.0], []

    class Bar:
        def __init__(self, total):
            self.total = total

        def update(self, done):
            updates.append((done, self.total))

    monkeypatch.setattr(watching.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(watching, "Progress", Bar)
    return lambda seconds: now.__setitem__(0, now[0] + seconds), updates


def test_quick_work_shows_no_bar(clock):
    each = watching.watch()
    for done in range(1, 6):
        each(done, 5)
    assert clock[1] == []


def test_long_work_is_told_now_and_then_and_at_its_end(clock):
    move, updates = clock
    each = watching.watch()
    for done in range(1, 31):
        move(0.125)
        each(done, 30)
    assert updates[0][0] == 8 and updates[-1] == (30, 30) and len(updates) <= 16


def test_a_wish_to_stop_is_obeyed_at_the_next_picture():
    from hypernet_pack.compat import Interrupted
    from hypernet_pack.compat.standalone.progress import request_interrupt

    each = watching.watch()
    each(1, 2)
    request_interrupt()
    with pytest.raises(Interrupted):
        each(2, 2)
    each(2, 2)
