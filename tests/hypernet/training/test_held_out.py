"""Pictures that training does not see, and what a probe is made of."""

from pathlib import Path

import pytest
import torch

from hypernet.captions.prompts import Words
from hypernet.dataset.items import Dataset, Item
from hypernet.training.batches import Examples
from hypernet.training.held_out import hold_out


def examples(count, number=-1, repeats=1):
    """Pictures whose latents are their number."""
    items = [
        Item(path=Path(f"{n}.png"), caption=f"picture {n}", width=8, height=8, repeats=repeats)
        for n in range(count)
    ]
    words = Words(templates=("[filewords]",))
    dataset = Dataset(folder=Path("."), width=8, height=8, items=tuple(items), words=words)
    return Examples(
        dataset=hold_out(dataset, number, seed=0),
        name="style",
        seed=0,
        latents=[{"mean": torch.full((4, 1, 1), float(n))} for n in range(count)],
        conditions={
            f"picture {n}": {"context": torch.full((1, 2), float(n))} for n in range(count)
        },
    )


def numbers(batches):
    return [int(latent[0, 0, 0]) for batch in batches for latent in batch.latents]


@pytest.mark.parametrize(
    ("count", "number", "held"),
    [(39, -1, 0), (40, -1, 2), (100, -1, 5), (1000, -1, 8), (100, 0, 0), (5, 2, 2), (300, 20, 20)],
)
def test_a_few_pictures_are_held_out_if_there_are_enough(count, number, held):
    assert len(examples(count, number).dataset.held_out) == held


def test_held_out_pictures_are_never_trained_on_and_the_others_all_are():
    found = examples(40, repeats=3)
    trained = set(numbers([found.batch_at(0, 38 * 3)]))
    assert trained == set(range(40)) - set(found.dataset.held_out)
    probe = found.probe(size=3)
    assert probe.held_out and set(numbers(probe.batches)) == set(found.dataset.held_out)
    assert [len(batch.latents) for batch in probe.batches] == [3, 3, 2]


def test_without_enough_pictures_a_probe_takes_some_that_are_trained_on():
    probe = examples(20).probe(size=8)
    assert not probe.held_out
    assert len(numbers(probe.batches)) == 8 == len(set(numbers(probe.batches)))


def test_words_belong_to_their_pictures():
    (batch,) = examples(20).probe(size=8).batches
    assert torch.equal(batch.condition["context"][:, 0, 0], batch.latents[:, 0, 0, 0])


def test_holding_out_every_picture_is_refused():
    with pytest.raises(ValueError, match="held_out 5 would leave none of 5 pictures"):
        examples(5, 5)
