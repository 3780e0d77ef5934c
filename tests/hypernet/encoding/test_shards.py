"""Tensors on disk are read back unchanged, also by the next process; damaged ones are ignored."""

import os
import time

import pytest
import torch

from hypernet.encoding.shards import Shards, forget_old


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64])
def test_tensors_come_back_bit_by_bit(tmp_path, dtype):
    kept = {
        f"key{n}": {
            "context": torch.randn(n, 5).to(dtype),
            "pooled": torch.arange(3).to(dtype).expand(2, 3),
            "size": torch.tensor(7).to(dtype),
        }
        for n in range(4)
    }
    shards = Shards(tmp_path)
    for key, tensors in kept.items():
        shards.add(key, tensors)
    unwritten = shards["key3"]
    shards.write()
    assert len(shards) == 4 and "no" not in shards
    for again in (shards, Shards(tmp_path)):
        assert again.missing(["key3", "no", "key0", "no"]) == ["no"]
        for key, tensors in kept.items():
            assert again.shape(key, "context") == (int(key[-1]), 5)
            assert again[key].keys() == tensors.keys()
            for name, found in again[key].items():
                assert found.dtype == dtype and torch.equal(found, tensors[name])
    assert torch.equal(unwritten["context"], kept["key3"]["context"])


def test_changing_a_returned_tensor_does_not_change_the_shard(tmp_path):
    shards = Shards(tmp_path)
    shards.add("a", {"x": torch.zeros(3)})
    shards.write()
    shards["a"]["x"].add_(1)
    assert shards["a"]["x"].sum() == 0


def test_many_megabytes_are_written_to_several_files_as_they_are_added(tmp_path):
    shards = Shards(tmp_path)
    for n in range(10):
        shards.add(str(n), {"x": torch.full((2**21,), float(n))})  # 8 MiB
    assert len(list(tmp_path.iterdir())) == 2 and not shards.in_memory
    assert [shards[str(n)]["x"][-1].item() for n in range(10)] == list(range(10))


@pytest.mark.parametrize("cut", [0, 7, 40, 100, -1])
def test_a_shard_that_was_cut_off_is_ignored(tmp_path, cut):
    shards = Shards(tmp_path)
    shards.add("a", {"x": torch.zeros(30)})
    shards.write()
    (shard,) = tmp_path.iterdir()
    shard.write_bytes(shard.read_bytes()[:cut])
    (tmp_path / "of another kind.safetensors").write_bytes(b"\x05" + bytes(7) + b"[1,2]")
    assert Shards(tmp_path).missing(["a"]) == ["a"]


def test_without_room_everything_stays_in_memory(tmp_path):
    (tmp_path / "file").write_text("where the folder should be")
    shards = Shards(tmp_path / "file" / "folder")
    shards.add("a", {"x": torch.ones(3)})
    shards.write()
    assert shards.in_memory == 1 and shards["a"]["x"].sum() == 3


def test_shards_that_no_run_uses_are_deleted_after_a_while(tmp_path):
    for folder in ("old", "used"):
        shards = Shards(tmp_path / folder)
        shards.add("a", {"x": torch.ones(3)})
        shards.write()
        (shard,) = (tmp_path / folder).iterdir()
        os.utime(shard, (time.time() - 31 * 86_400,) * 2)
    Shards(tmp_path / "used").missing(["a"])
    forget_old(tmp_path)
    assert [shard.parent.name for shard in tmp_path.rglob("*.safetensors")] == ["used"]
