"""The progress line of long work: rewritten in a terminal, now and then a new line in a log."""

import io
import sys

import pytest
from hypernet_pack.compat import progress_line
from hypernet_pack.compat.progress_line import BETWEEN, ProgressLine


@pytest.fixture
def clock(monkeypatch):
    """move(seconds): a clock that is moved by hand."""
    now = [100.0]
    monkeypatch.setattr(progress_line.time, "monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_has_a_line_every_half_minute_and_one_at_the_end(clock):
    said = []
    line = ProgressLine(400, 0, "Training", said.append)
    for step in range(1, 401):
        clock(0.25)
        line.beside(f"loss {1 / step:.3f}")
        line.update(step)
    steps = [120, 240, 360, 400]
    assert len(said) == len(steps) and BETWEEN == 30
    for step, told in zip(steps, said, strict=True):
        assert told.startswith("Training: ") and f" {step}/400 [" in told
        assert "4.00it/s" in told and f"loss {1 / step:.3f}" in told and "\r" not in told
    assert "[00:30<01:10, " in said[0], "the time left"


def test_work_that_ends_early_reports_its_progress_once(clock):
    said = []
    line = ProgressLine(400, 0, "Training", said.append)
    clock(1)
    line.update(1)
    line.close()
    line.close()
    assert [" 1/400 [" in told for told in said] == [True]


def test_work_that_never_began_says_nothing(clock):
    said = []
    ProgressLine(400, 100, "Training", said.append).close()
    assert said == []


def test_steps_of_an_earlier_run_do_not_count_for_the_speed(clock):
    said = []
    line = ProgressLine(2000, 1000, "Training", said.append)
    clock(40)
    line.update(1010)
    assert " 1010/2000 [" in said[0] and "4.00s/it" in said[0]


def test_a_terminal_rewrites_one_line(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    line = ProgressLine(3, 0, "Training", pytest.fail)
    for step in (1, 2, 3):
        line.beside(f"loss 0.{step}")
        line.update(step)
    written = terminal.getvalue()
    assert written.count("\n") == 1 and written.endswith("\n")
    last = written.rpartition("\r")[2]
    assert "Training" in last and "3/3" in last and "loss 0.3" in last


def test_the_end_is_reported_once_even_if_steps_are_slow(monkeypatch):
    monkeypatch.setattr(progress_line, "BETWEEN", 0.0)
    told = []
    line = progress_line.ProgressLine(2, 0, "Training", told.append)
    for step in (1, 2):
        line.update(step)
    line.close()
    assert ["100%" in each for each in told] == [False, True]
