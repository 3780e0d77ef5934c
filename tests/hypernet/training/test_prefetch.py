"""The next batch is there when it is asked for, and always the one that was asked for."""

import threading

import torch

from hypernet.training.diffusion import Batch
from hypernet.training.prefetch import Prefetched


def numbered(first, number):
    return Batch(torch.arange(first, first + number), {"context": torch.tensor([first])})


def test_batches_are_those_that_were_asked_for_in_any_order():
    read = Prefetched(numbered)
    for first, number in [(0, 2), (2, 2), (4, 2), (4, 2), (0, 2), (10, 3), (20, 3), (30, 3)]:
        batch = read(first, number)
        assert batch.latents.tolist() == list(range(first, first + number))
        assert batch.condition["context"].item() == first


def test_the_next_one_is_read_on_another_thread_before_it_is_wanted():
    asked, ready = [], threading.Event()

    def batch_at(first, number):
        asked.append((first, threading.current_thread() is threading.main_thread()))
        if first == 6:
            ready.set()
        return numbered(first, number)

    read = Prefetched(batch_at)
    read(0, 3)
    read(3, 3)
    assert ready.wait(10)
    assert asked == [(0, True), (3, False), (6, False)]


def test_a_fault_comes_where_the_batch_is_wanted_and_not_before():
    def batch_at(first, number):
        if first == 2:
            raise OSError("gone")
        return numbered(first, number)

    read = Prefetched(batch_at)
    assert read(0, 2).latents.tolist() == [0, 1]
    try:
        read(2, 2)
    except OSError as fault:
        assert str(fault) == "gone"
    else:
        raise AssertionError("the fault was swallowed")
