"""What a run was made from, in ten digits: other digits for another thing, and only for that.

Digits are written into manifests and compared with those of later versions, so some are written
down here too: whoever changes them makes every finished run look like one of other pictures.
"""

import hashlib
import os
from dataclasses import replace

import pytest
import torch

from hypernet.captions.prompts import Words
from hypernet.dataset.content_keys import Contents
from hypernet.dataset.items import Dataset, Item
from hypernet.formats.optim_file import short_hash
from hypernet.pictures.crop import Cut
from hypernet.runs.fingerprints import (
    DIGITS,
    changes_hash,
    dataset_hash,
    model_hash,
    tensors_hash,
)

# --- models -----------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path):
    """A diffusers folder."""
    unet = tmp_path / "model" / "unet"
    unet.mkdir(parents=True)
    for name in ("b.safetensors", "a.safetensors", "c.bin", "config.json"):
        (unet / name).write_bytes(name.encode())
    return tmp_path / "model"


def test_a_checkpoint_has_the_hash_that_a1111_knows_it_by(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"weights")
    assert model_hash(file) == hashlib.sha256(b"weights").hexdigest()[:DIGITS]


def test_a_folder_has_the_hash_of_its_unets_weights_in_the_order_of_their_names(model):
    names = ("a.safetensors", "b.safetensors", "c.bin")
    lines = [f"{name}/{short_hash(model / 'unet' / name)}\n" for name in names]
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()[:DIGITS]
    assert model_hash(model) == expected == "11ab677978"


@pytest.mark.parametrize(
    ("change", "is_other"),
    [
        (lambda unet: (unet / "a.safetensors").write_bytes(b"trained"), True),
        (lambda unet: (unet / "a.safetensors").rename(unet / "d.safetensors"), True),
        (lambda unet: (unet / "c.bin").unlink(), True),
        (lambda unet: (unet / "e.bin").write_bytes(b"more"), True),
        (lambda unet: (unet / "config.json").write_bytes(b"{}"), False),
        (lambda unet: (unet.parent / "vae.safetensors").write_bytes(b"vae"), False),
        (lambda unet: os.utime(unet / "a.safetensors", (1, 1)), False),
    ],
    ids=["weights", "name", "less", "more", "config", "beside", "time"],
)
def test_a_folder_has_another_hash_only_where_its_weights_are_others(
    model, tmp_path, change, is_other
):
    memory = tmp_path / "models.json"
    before = model_hash(model, memory)
    change(model / "unet")
    assert (model_hash(model) != before) == is_other
    assert model_hash(model, memory) == model_hash(model), "the memory is not deceived"


def test_a_model_from_elsewhere_has_no_hash(tmp_path):
    assert model_hash(None) is None
    assert model_hash(tmp_path / "gone.safetensors") is None


def test_models_are_remembered_beside_each_other(tmp_path, monkeypatch):
    memory, files = tmp_path / "memory.json", [tmp_path / name for name in ("a.ckpt", "b.ckpt")]
    for file in files:
        file.write_bytes(file.name.encode())
    known = [model_hash(file, memory) for file in files]
    monkeypatch.setattr("hypernet.runs.fingerprints.short_hash", lambda path: "read anew")
    assert [model_hash(file, memory) for file in files] == known
    assert model_hash(files[0]) == "read anew"


def test_a_memory_that_cannot_be_written_costs_time_only(tmp_path):
    file = tmp_path / "model.ckpt"
    file.write_bytes(b"weights")
    (tmp_path / "memory.json").mkdir()
    assert model_hash(file, tmp_path / "memory.json") == short_hash(file)


# --- datasets ---------------------------------------------------------------------------------


@pytest.fixture
def dataset(tmp_path):
    for name in ("a.png", "b.png", "a.mask.png"):
        (tmp_path / name).write_bytes(name.encode())
    first = Item(
        path=tmp_path / "a.png", caption="a fox", width=64, height=48, mask=tmp_path / "a.mask.png"
    )
    second = Item(
        path=tmp_path / "b.png", caption="a hen", width=64, height=64, repeats=3,
        cut=Cut(box=(0, 0, 32, 64), width=16, height=32),
    )  # fmt: skip
    return Dataset(folder=tmp_path, items=(first, second), width=64, height=64)


def hash_of(dataset):
    return dataset_hash(dataset, Contents(dataset.folder))


def with_first(**changes):
    def change(dataset):
        first, *others = dataset.items
        return replace(dataset, items=(replace(first, **changes), *others))

    return change


def with_bytes(name):
    def change(dataset):
        (dataset.folder / name).write_bytes(b"painted over")
        return dataset

    return change


def without(name):
    def change(dataset):
        (dataset.folder / name).unlink()
        return dataset

    return change


def renamed(dataset):
    path = dataset.folder / "z.png"
    dataset.items[0].path.rename(path)
    return with_first(path=path)(dataset)


OTHERS = {
    "caption": with_first(caption="a wolf"),
    "repeats": with_first(repeats=2),
    "cut": with_first(cut=Cut(box=(0, 0, 48, 48), width=64, height=64)),
    "no mask": with_first(mask=None),
    "picture": with_bytes("a.png"),
    "mask": with_bytes("a.mask.png"),
    "gone": without("b.png"),
    "mask gone": without("a.mask.png"),
    "name": renamed,
    "order": lambda dataset: replace(dataset, items=dataset.items[::-1]),
    "less": lambda dataset: replace(dataset, items=dataset.items[:1]),
    "width": lambda dataset: replace(dataset, width=128),
    "height": lambda dataset: replace(dataset, height=128),
    "words": lambda dataset: replace(dataset, words=Words(shuffle=True)),
    "loss mask": lambda dataset: replace(dataset, loss_mask="alpha"),
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_another_dataset_has_another_hash(dataset, change):
    before = hash_of(dataset)
    assert hash_of(change(dataset)) != before


ALIKE = {
    "sidecar": with_first(written="a fox, in a file"),
    "captioned": lambda dataset: replace(dataset, captioned=True),
    "unreadable": lambda dataset: replace(dataset, unreadable=(("c.png", "truncated"),)),
    "alike": lambda dataset: replace(dataset, alike=(("a.png", "b.png"),)),
    "notes": lambda dataset: replace(dataset, notes=("A sentence.",)),
    "held out": lambda dataset: replace(dataset, held_out=(0,)),
}


@pytest.mark.parametrize("change", ALIKE.values(), ids=ALIKE)
def test_what_training_does_not_see_is_no_part_of_it(dataset, change):
    before = hash_of(dataset)
    assert hash_of(change(dataset)) == before


def test_a_dataset_has_the_hash_that_earlier_versions_wrote(dataset):
    assert hash_of(dataset) == "cb2b5c052a"


def test_before_every_picture_somebody_is_told(dataset):
    told = []
    dataset_hash(dataset, Contents(dataset.folder), lambda *numbers: told.append(numbers))
    assert told == [(0, 2), (1, 2)]


def test_a_caption_that_is_no_text_for_a_file_has_a_hash(dataset):
    assert len(hash_of(with_first(caption="half of a pair: \ud83d")(dataset))) == DIGITS


# --- tensors, and what models carry -----------------------------------------------------------

NUMBERS = torch.arange(6.0).reshape(2, 3)


def test_tensors_have_the_hash_of_their_shapes_and_float32_numbers():
    expected = hashlib.sha256(b"(2, 3)" + NUMBERS.numpy().tobytes()).hexdigest()[:DIGITS]
    assert tensors_hash([NUMBERS]) == expected == "9c85d54b30"


@pytest.mark.parametrize(
    "alike",
    [
        lambda x: x.clone(),
        lambda x: x.T.contiguous().T,
        lambda x: x.half(),
        lambda x: x.long(),
        lambda x: x.clone().requires_grad_(),
    ],
    ids=["copy", "other strides", "half", "whole", "gradients"],
)
def test_equal_numbers_have_one_hash_however_they_lie(alike):
    assert tensors_hash([alike(NUMBERS)]) == tensors_hash([NUMBERS])


@pytest.mark.parametrize(
    "other",
    [
        lambda x: [x + 1],
        lambda x: [x.reshape(3, 2)],
        lambda x: [x.flip(0)],
        lambda x: [x, x],
        lambda x: [*x],
        lambda x: [],
    ],
    ids=["numbers", "shape", "order", "twice", "rows", "none"],
)
def test_other_tensors_have_another_hash(other):
    assert tensors_hash(other(NUMBERS)) != tensors_hash([NUMBERS])


class Adapter:
    """As a host keeps a LoRA: an object of its own."""

    def __init__(self, rank=4):
        self.rank, self.weights = rank, {"up": NUMBERS}


class OtherAdapter(Adapter):
    pass


def scale():
    pass


CHANGES = {
    "patches": {"k": [(0.5, Adapter(), None)]}, "clip_skip": -2, "names": {"b", "a"}, "call": scale,
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"patches": {"k": [(0.25, Adapter(), None)]}},
        {"patches": {"k": [(0.5, Adapter(rank=8), None)]}},
        {"patches": {"k": [(0.5, OtherAdapter(), None)]}},
        {"patches": {"k": [(0.5, Adapter(), 1.0)]}},
        {"patches": {"k": []}},
        {"clip_skip": -1},
        {"clip_skip": None},
        {"clip_skip": True},
        {"names": {"a"}},
        {"call": test_equal_numbers_have_one_hash_however_they_lie},
        {"more": 1},
    ],
)
def test_other_changes_of_a_model_have_another_hash(changes):
    assert changes_hash([CHANGES | changes]) != changes_hash([CHANGES])


def test_the_same_changes_have_one_hash_in_whatever_order_they_were_made():
    again = {"names": {"a", "b"}, "call": scale, "clip_skip": -2, "patches": CHANGES["patches"]}
    again["patches"] = {"k": [(0.5, Adapter(), None)]}
    assert changes_hash([again]) == changes_hash([CHANGES])


def test_changes_have_the_hash_that_earlier_versions_wrote():
    changes = {"clip_skip": 2, "loras": [(0.5, torch.ones(2))], "none": None}
    assert changes_hash([changes]) == "ffc0b6f0ac"
