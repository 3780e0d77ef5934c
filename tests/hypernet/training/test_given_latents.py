"""Latents and conditions of a graph, as batches."""

import pytest
import torch

from hypernet.training.given_latents import Given


def given(pictures=5, texts=5, batch_size=2, sizes=((4, 4),)):
    return Given(
        latents=[torch.full((4, *sizes[n % len(sizes)]), float(n)) for n in range(pictures)],
        conditions=[{"context": torch.full((7, 3), float(n))} for n in range(texts)],
        seed=3,
        batch_size=batch_size,
    )


def test_each_picture_comes_with_its_own_text_and_once_a_pass():
    latents, condition, _ = given().batch_at(0, 10)
    assert latents.shape == (10, 4, 4, 4) and condition["context"].shape == (10, 7, 3)
    assert torch.equal(latents[:, 0, 0, 0], condition["context"][:, 0, 0])
    for first in (0, 5):
        assert sorted(latents[first : first + 5, 0, 0, 0].tolist()) == [0, 1, 2, 3, 4]


def test_one_text_serves_all_pictures():
    _, condition, _ = given(texts=1).batch_at(0, 5)
    assert not condition["context"].any()


def test_sizes_may_differ_where_batches_are_of_one():
    found = {given(batch_size=1, sizes=((4, 4), (4, 6))).batch_at(n, 1)[0].shape for n in range(5)}
    assert found == {(1, 4, 4, 4), (1, 4, 4, 6)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(texts=3), "5 pictures and conditioning 3 texts"),
        (dict(pictures=0), "0 pictures"),
        (dict(sizes=((4, 4), (4, 6))), r"different sizes \(4×4, 6×4\).*set batch_size 1"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_numbers(changes, words):
    with pytest.raises(ValueError, match=words):
        given(**changes)
