"""Layers that spare memory or time: the same numbers, and less that is kept."""

import copy
import shutil
import weakref

import pytest
import torch
from torch import nn

from hypernet.training import memory_saving

WIDTH, LAYERS = 16, 6
CPU = torch.device("cpu")


@pytest.fixture
def tower():
    torch.manual_seed(0)
    layers = [
        nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Dropout(0.3), nn.Tanh()) for _ in range(LAYERS)
    ]
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), *layers).requires_grad_(False)


def gradient_of(tower):
    torch.manual_seed(1)
    x = torch.ones(4, WIDTH, requires_grad=True)
    tower(x).square().sum().backward()
    return x.grad


def test_visiting_weights_change_nothing_and_few_are_there_at_a_time(tower, monkeypatch):
    expected, before = gradient_of(tower), dict(tower.named_parameters())
    blocks = memory_saving.outermost(tower, (nn.Sequential,))
    assert len(blocks) == LAYERS
    alive, most = set(), 0
    make = memory_saving.copy_on

    def counted(device, tensor):
        nonlocal most
        found = make(device, tensor)
        alive.add(number := object())
        weakref.finalize(found, alive.discard, number)
        most = max(most, len(alive))
        return found

    monkeypatch.setattr(memory_saving, "copy_on", counted)
    swap = memory_saving.Swap(blocks, CPU)
    with (
        memory_saving.visiting(tower, CPU, but=blocks),
        memory_saving.computed_by({block: swap.visited(block) for block in blocks}),
    ):
        assert tower[0].weight is not before["0.weight"]
        assert tower[1][0].weight is before["1.0.weight"]
        found = gradient_of(tower)
        with torch.no_grad():
            tower(torch.ones(4, WIDTH))
        assert len(alive) == 2, "the first layer's, which stay"
    assert torch.equal(found, expected)
    assert most <= 2 + 2 * 2, "and those of two blocks"
    assert not alive
    assert all(weight is before[name] for name, weight in tower.named_parameters())
    assert not any("forward" in vars(layer) for layer in tower.modules())


def test_the_next_block_is_on_its_way_in_both_directions(tower, monkeypatch):
    """Only where a direction begins is one fetched in the moment it is needed."""
    swap, sent, missed = memory_saving.Swap(tower[1:], CPU), [], []
    send, arrived = swap._send, swap._arrived

    def noted(place):
        if swap._ahead is None or swap._ahead[0] != place:
            missed.append(place)
        return arrived(place)

    monkeypatch.setattr(swap, "_send", lambda place: sent.append(place) or send(place))
    monkeypatch.setattr(swap, "_arrived", noted)
    with memory_saving.computed_by({block: swap.visited(block) for block in swap.blocks}):
        expected = gradient_of(tower)
        gradient_of(tower)
    assert missed == [0, LAYERS - 1] * 2 and expected.abs().sum() > 0
    assert sent == [1, 2, 3, 4, 5, 6, 4, 3, 2, 1, 0, -1] * 2
    assert swap._ahead is None, "nothing waits for an update that may never come"


def test_swapped_blocks_are_spread_evenly():
    assert memory_saving.spread("abcdef", 3) == ["a", "c", "e"]
    assert memory_saving.spread("abc", memory_saving.ALL) == ["a", "b", "c"]
    assert memory_saving.spread("abc", 0) == []


def test_what_is_computed_again_is_the_same_dropout_included(tower):
    expected, calls = gradient_of(tower), []
    plain = {layer: layer.forward for layer in tower[1:]}

    def twice(layer):
        def forward(x):
            calls.append(layer)
            return plain[layer](x)

        return lambda x: memory_saving.again(forward, x)

    with memory_saving.computed_by({layer: twice(layer) for layer in plain}):
        assert torch.equal(gradient_of(tower), expected)
    assert len(calls) == 2 * LAYERS


def test_all_comes_back_when_something_fails(tower):
    before = dict(tower.named_parameters())
    with (
        pytest.raises(KeyError),
        memory_saving.visiting(tower, CPU),
        memory_saving.computed_by({tower[1]: tower[1].forward}),
    ):
        raise KeyError
    assert all(weight is before[name] for name, weight in tower.named_parameters())
    assert "forward" not in vars(tower[1])


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a compiler")
def test_compiled_layers_compute_the_same(tower):
    tower.eval()
    expected, heard = gradient_of(tower), []
    with memory_saving.compiled(tower[1:2], heard.append):
        found = gradient_of(tower)
    assert not heard
    torch.testing.assert_close(found, expected)


def test_where_there_is_no_compiler_a_sentence_says_so_and_all_goes_on(tower):
    import torch._inductor.config as inductor

    tower.eval()
    expected, heard = gradient_of(tower), []
    other = copy.deepcopy(tower)
    torch._dynamo.reset()
    broken = {"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True}
    with inductor.patch(broken), memory_saving.compiled(other[1:], heard.append):
        found = gradient_of(other)
    assert torch.equal(found, expected)
    (sentence,) = heard
    assert sentence.startswith("Training goes on without compile, which failed here: ")
