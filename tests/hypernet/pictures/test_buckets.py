"""Buckets for every shape, and batches of one size that favour no picture."""

from collections import Counter

import pytest
import torch

from hypernet.pictures.buckets import batch_order, batches_of_pass, buckets, nearest_bucket
from hypernet.seeding import sample_order


def test_buckets_keep_the_area_the_step_and_the_longest_shape():
    found = buckets(512, 512)
    assert found == [(384, 640), (448, 576), (512, 512), (576, 448), (640, 384)]
    found = buckets(1024, 1024, step=32, longest=3)
    assert (1024, 1024) in found
    for width, height in found:
        assert width % 32 == height % 32 == 0 and width * height <= 1024**2
        assert max(width / height, height / width) <= 3
    assert buckets(512, 512, longest=1) == [(512, 512)]


@pytest.mark.parametrize(
    ("step", "longest", "words"),
    [(60, 2, "step 60"), (0, 2, "step 0"), (64, 0.5, "0.5"), (1024, 2, "1024 pixels fits")],
)
def test_impossible_buckets_are_refused(step, longest, words):
    with pytest.raises(ValueError, match=words):
        buckets(512, 512, step, longest)


@pytest.mark.parametrize(
    ("size", "found"),
    [((100, 100), (512, 512)), ((100, 9000), (384, 640)), ((900, 700), (576, 448))],
)
def test_a_picture_goes_to_the_bucket_of_its_shape(size, found):
    assert nearest_bucket(*size, buckets(512, 512)) == found


@pytest.mark.parametrize("number", [1, 3, 4, 20])
def test_a_batch_has_one_size_and_a_pass_has_as_many_batches_as_it_needs(number):
    sizes = ["a"] * 7 + ["b"] * 2 + ["c"]
    for batch in range(60):
        order = batch_order(5, sizes, batch * number, number)
        assert len(order) == number and len({sizes[place] for place in order}) == 1
        assert order == batch_order(5, sizes, batch * number, number)
    counts = [7, 2, 1]
    for epoch in range(20):
        assert len(batches_of_pass(counts, number, 5, epoch)) == -(-10 // number)


def test_no_picture_is_favoured_by_its_shape():
    sizes = ["a"] * 7 + ["b"] * 2 + ["c"]
    shown = Counter()
    for batch in range(4000):
        shown.update(batch_order(1, sizes, batch * 4, 4))
    assert max(shown.values()) / min(shown.values()) < 1.05


def test_with_whole_batches_a_pass_shows_everything_once():
    sizes = ["a"] * 8 + ["b"] * 4
    places = [p for batch in range(3) for p in batch_order(2, sizes, batch * 4, 4)]
    assert sorted(places) == list(range(12))


def test_with_one_size_the_order_is_that_of_sample_order():
    for first in (0, 3, 8):
        assert batch_order(9, [(64, 64)] * 10, first, 4) == sample_order(9, 10, first, 4)


def test_with_several_sizes_a_sample_inside_a_batch_is_refused():
    with pytest.raises(ValueError, match="Sample 3"):
        batch_order(0, ["a", "b"], 3, 2)


def test_the_global_random_state_is_left_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    batch_order(0, ["a", "b"], 0, 2)
    assert torch.equal(torch.rand(1), expected)
