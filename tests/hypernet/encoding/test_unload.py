"""Weights leave RAM for a file and are the same weights there."""

import copy
import sys

import pytest
import torch

from hypernet.encoding.unload import unload


def layers(inference: bool) -> torch.nn.Module:
    with torch.inference_mode(inference):
        found = torch.nn.Sequential(
            torch.nn.Linear(1000, 2000),
            torch.nn.BatchNorm1d(3).half(),
            torch.nn.Linear(2000, 1000, bias=False).bfloat16(),
        )
        found[2].weight = torch.nn.Parameter(found[2].weight.t(), requires_grad=False)
        found.tied = found[0].weight
    return found


def tensors(module):
    return [*module.parameters(), *module.buffers()]


@pytest.mark.parametrize("inference", [False, True])
def test_the_same_tensors_hold_the_same_numbers(inference, tmp_path):
    module = layers(inference)
    objects, numbers = tensors(module), copy.deepcopy(tensors(module))
    moved = unload(module, tmp_path / "folder")
    assert moved >= sum(tensor.nbytes for tensor in objects)
    for now, then, number in zip(tensors(module), objects, numbers, strict=True):
        assert now is then and torch.equal(now, number)
        assert (now.dtype, now.is_inference()) == (number.dtype, inference)
        assert now.untyped_storage().filename
    assert module.tied is module[0].weight


def test_weights_already_in_a_file_are_not_written_again(tmp_path):
    module = layers(False)
    unload(module, tmp_path)
    assert unload(module, tmp_path) == 0


def test_weights_can_be_used_trained_and_copied_from_there(tmp_path):
    module, other = layers(False), layers(False)
    other.load_state_dict(module.state_dict())
    unload(module, tmp_path)
    x = torch.randn(4, 1000)
    assert torch.equal(module[0](x), other[0](x))
    for each in (module, other):
        each[0](x).sum().backward()
        with torch.no_grad():
            each[0].weight -= each[0].weight.grad
    assert torch.equal(module[0].weight, other[0].weight)
    assert copy.deepcopy(module)[0].weight.untyped_storage().filename is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's account of this process")
def test_ram_is_free_again_and_nothing_is_left_behind(tmp_path):
    def in_ram() -> int:
        lines = open("/proc/self/status").read().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))

    module = torch.nn.Linear(8192, 8192)  # 256 MiB
    before = in_ram()
    unload(module, tmp_path)
    assert before - in_ram() > 200 * 2**20
    assert not any(tmp_path.iterdir())


def test_without_room_every_weight_stays_in_ram(tmp_path):
    module = layers(False)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="file"):
        unload(module, tmp_path / "file")
    assert {tensor.untyped_storage().filename for tensor in tensors(module)} == {None}
