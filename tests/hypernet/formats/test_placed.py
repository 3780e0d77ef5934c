"""Networks for transformers in files: what is kept, and what is refused."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hypernet.formats.networks import open_network, save_network
from hypernet.network.hypernetwork import Hypernetwork, Record
from hypernet.network.places import Place
from hypernet.network.spec import HypernetSpec

PLACES = (("self", 16), ("cross", 8))


def network(**changes):
    spec = HypernetSpec(places=PLACES, layer_structure=(1, 0.5, 1), activation="mish", **changes)
    return Hypernetwork(spec, Record(name="waves", step=7, architecture="anima"))


@pytest.fixture
def file(tmp_path):
    return save_network(network(groups=2, arithmetic="bfloat16"), tmp_path / "waves.safetensors")


def changed(file, tensors=lambda name: name, **settings):
    """The file with other names of tensors and other settings; None leaves a setting out."""
    with safe_open(file, "pt") as opened:
        record = json.loads(opened.metadata()["hypernetwork"]) | settings
    record = {key: value for key, value in record.items() if value is not None}
    found = {tensors(name): value for name, value in load_file(file).items() if tensors(name)}
    save_file(found, file, {"hypernetwork": json.dumps(record)})
    return file


def test_a_network_comes_back_with_its_places_groups_and_arithmetic(file):
    before, after = network(groups=2, arithmetic="bfloat16"), open_network(file)
    assert after.spec.places == (("cross", 8), ("self", 16))
    assert (after.spec.groups, after.spec.arithmetic) == (2, "bfloat16")
    assert (after.record.name, after.record.step) == ("waves", 7)
    assert after.record.architecture == "anima"
    assert after.record.extra == {}
    for name, weight in before.state_dict().items():
        assert torch.equal(after.state_dict()[name], weight)


def test_a_network_without_biases_comes_back_without_them(tmp_path):
    before = network(bias=False)
    file = save_network(before, tmp_path / "folds.safetensors")
    assert open_network(file).spec == before.spec
    assert [name for name in load_file(file) if name.endswith("bias")]
    for name, weight in before.state_dict().items():
        assert torch.equal(open_network(file).state_dict()[name], weight)


def test_tensors_are_named_by_place_width_and_group(file):
    names = {name.partition(".linear")[0] for name in load_file(file)}
    pairs = [f"{place}.{group}" for place in ("self.16", "cross.8") for group in (0, 1)]
    assert names == {f"{pair}.{side}" for pair in pairs for side in "kv"}


def test_one_group_is_not_named(tmp_path):
    names = load_file(save_network(network(), tmp_path / "a.safetensors"))
    assert "self.16.k.linear.0.weight" in names


def test_its_size_is_foretold(tmp_path):
    spec = HypernetSpec(places=(("joint", 128), ("text", 128)), groups=3)
    path = save_network(Hypernetwork(spec), tmp_path / "a.safetensors")
    assert path.stat().st_size == pytest.approx(spec.file_bytes, rel=0.02)
    assert spec.parameters == sum(p.numel() for p in Hypernetwork(spec).parameters())


def test_no_pt_of_it_is_written(tmp_path):
    with pytest.raises(ValueError, match=r'"a.pt": a network for anima is saved as ".safetensors"'):
        save_network(network(), tmp_path / "a.pt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"layout": 3}, "has layout 3; this version of Hypernet reads up to 2"),
        ({"layout": None}, "has layout None"),
        ({"groups": 0}, '"groups" should be 1 to 64'),
        ({"groups": 3}, "its record and its tensors differ in cross.8.2, self.16.2"),
        ({"architecture": 5}, '"architecture" should be text'),
        ({"arithmetic": "int8"}, 'arithmetic "int8": give float32 or bfloat16'),
    ],
)
def test_other_settings_are_refused(file, settings, words):
    with pytest.raises(ValueError, match=words):
        open_network(changed(file, **settings))


def test_a_missing_pair_is_refused(file):
    def without_one(name):
        return "" if name.startswith("self.16.1.") else name

    with pytest.raises(ValueError, match=r"differ in self\.16\.1"):
        open_network(changed(file, without_one))


def test_an_unknown_place_is_no_hypernetwork(file):
    with pytest.raises(ValueError, match='it holds a tensor "sideways'):
        open_network(changed(file, lambda name: name.replace("self", "sideways")))


def test_a_pair_acts_at_its_place_alone():
    made = network()
    x = torch.randn(1, 3, 16)
    assert not torch.equal(made.keys(x, place=Place("self")), x)
    for elsewhere in (None, Place("cross"), Place("joint")):
        assert made.keys(x, place=elsewhere) is x
        assert not made.holds(16, elsewhere)


def test_groups_divide_the_depth():
    made = network(groups=2)
    x = torch.randn(1, 3, 16)
    found = [made.values(x, place=Place("self", depth, 5)) for depth in range(5)]
    same = [torch.equal(each, found[0]) for each in found]
    assert same == [True, True, True, False, False]


def test_a_network_for_unets_acts_by_width_everywhere():
    made = Hypernetwork(HypernetSpec(widths=(16,)))
    x = torch.randn(1, 3, 16)
    assert torch.equal(made.keys(x, place=Place("cross", 3, 9)), made.keys(x))


def test_bfloat16_keeps_what_it_is_given_and_trains_float32_weights():
    made = network(arithmetic="bfloat16")
    exact = Hypernetwork(network().spec)
    exact.load_state_dict(made.state_dict())
    x = torch.randn(1, 3, 16)
    found = made.keys(x, place=Place("self"))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact.keys(x, place=Place("self")), atol=1e-4, rtol=1e-2)
    found.square().sum().backward()
    used = [p for p in made.parameters() if p.grad is not None]
    assert len(used) == 4
    assert {p.grad.dtype for p in used} == {torch.float32}
