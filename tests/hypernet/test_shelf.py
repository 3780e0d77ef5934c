"""Tensors on the disk come back as they went in."""

import pytest
import torch

from hypernet.shelf import Shelf


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64])
def test_tensors_come_back_bit_by_bit(tmp_path, dtype):
    shelf = Shelf(tmp_path)
    kept = {
        f"prompt {n}": {
            "context": torch.randn(n, 5).to(dtype),
            "pooled": torch.arange(3).to(dtype).expand(2, 3),
            "size": torch.tensor(7).to(dtype),
        }
        for n in range(4)
    }
    for key, tensors in kept.items():
        shelf.add(key, tensors)
    assert list(shelf) == list(kept) and len(shelf) == 4 and "no" not in shelf
    for key, tensors in kept.items():
        for name, found in shelf[key].items():
            assert found.dtype == dtype and torch.equal(found, tensors[name])


def test_what_is_taken_out_can_be_changed_without_harm():
    shelf = Shelf()
    shelf.add("a", {"x": torch.zeros(3)})
    shelf["a"]["x"].add_(1)
    assert shelf["a"]["x"].sum() == 0


def test_nothing_is_left_in_the_folder(tmp_path):
    shelf = Shelf(tmp_path)
    shelf.add("a", {"x": torch.zeros(1000)})
    assert shelf["a"]["x"].shape == (1000,)
    del shelf
    assert not list(tmp_path.iterdir())
