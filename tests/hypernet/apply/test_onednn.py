"""Large products by oneDNN: equal except for the last bits, and only where it is safe."""

import copy

import pytest
import torch

from hypernet import HypernetSpec, Hypernetwork
from hypernet.apply import onednn
from hypernet.apply.onednn import WORTHWHILE, QuickLinear, is_worthwhile, quicken, quickened
from hypernet.apply.patches import make_patches

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this torch is built without oneDNN"
)


@pytest.fixture(autouse=True)
def on_amd(monkeypatch):
    monkeypatch.setattr(onednn, "mkl_is_slow", lambda: True)


@pytest.fixture
def linear():
    return torch.nn.Linear(320, 640)


@pytest.fixture
def many():
    return torch.randn(2, 1024, 320)


@pytest.mark.parametrize("inference", [False, True])
def test_large_products_differ_in_the_last_bits_at_most(linear, many, inference):
    quick = QuickLinear(linear)
    with torch.inference_mode(inference), torch.no_grad():
        assert is_worthwhile(many, quick.weight)
        found, usual = quick(many), linear(many)
        exact = many.double() @ linear.weight.double().T + linear.bias.double()
        assert found.shape == usual.shape and found.is_inference() == inference
        error, usually = ((each - exact).abs().max() for each in (found, usual))
        assert error <= 4 * usually


def test_small_products_are_computed_as_usual(linear, many):
    quick = QuickLinear(linear)
    few = many[:, : WORTHWHILE // linear.weight.numel() // 4]
    with torch.no_grad():
        assert torch.equal(quick(few), linear(few))


@pytest.mark.parametrize(
    "cpu_name, slow", [("Intel Xeon", False), ("AMD EPYC 9654", True), (None, True)]
)
def test_mkl_stays_on_intels_processors(monkeypatch, linear, many, cpu_name, slow):
    monkeypatch.undo()
    told = {} if cpu_name is None else {"cpu_name": cpu_name}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)
    onednn.mkl_is_slow.cache_clear()
    try:
        assert is_worthwhile(many, linear.weight) == slow
    finally:
        onednn.mkl_is_slow.cache_clear()


@pytest.mark.parametrize("bias", [True, False])
def test_gradients_are_equal_except_for_the_last_bits(many, bias):
    linear, way = torch.nn.Linear(320, 640, bias=bias), torch.randn(2, 1024, 640)
    wanted = [many.requires_grad_(), *linear.parameters()]
    expected = torch.autograd.grad(linear(many), wanted, way)
    with quickened(linear):
        found = torch.autograd.grad(linear(many), wanted, way)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()
    assert not torch.equal(found[0], expected[0]), "it went another way"
    assert torch.equal(torch.autograd.grad(linear(many), wanted, way)[0], expected[0])


def test_only_the_needed_gradients_are_computed(linear, many):
    with quickened(linear):
        linear(many).sum().backward()
    assert many.grad is None and linear.weight.grad is not None


@torch.no_grad()
def test_a_write_into_the_weights_is_noticed(linear, many):
    quick = QuickLinear(linear)
    before = quick(many)
    linear.weight.mul_(2)
    linear.bias.mul_(2)
    assert torch.allclose(quick(many), 2 * before, atol=1e-5)


@torch.no_grad()
def test_copied_and_moved_layers_use_their_own_weights(linear, many):
    module = torch.nn.Sequential(linear)
    quicken(module)
    expected = module(many)
    twin = copy.deepcopy(module)
    module[0].weight.zero_()
    assert torch.equal(twin(many), expected)
    twin.to(torch.float64)
    assert torch.allclose(twin(many.double()).float(), expected, atol=1e-5)


@torch.inference_mode()
def test_a_patch_gives_the_networks_result_except_for_the_last_bits():
    network = Hypernetwork(HypernetSpec(widths=(320,), activation="relu"))
    patch, _ = make_patches(network)
    n = torch.randn(2, 1024, 320)
    _, keys, values = patch(n, n, n, {})
    assert torch.allclose(keys, network.keys(n), rtol=0, atol=1e-6)
    assert torch.allclose(values, network.values(n), rtol=0, atol=1e-6)
    assert not torch.equal(keys, n)
