"""Folding into transformers, against the network that acts at the inputs of their layers."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import nn

from hypernet import HypernetSpec, Hypernetwork, Record
from hypernet.apply.effect import Effect
from hypernet.apply.fold import weight_changes
from hypernet.apply.fold_sites import SiteWeights
from hypernet.apply.lora_file import save_lora, to_lora
from hypernet.apply.site_patches import SitePatch, applied
from hypernet.families import Site
from hypernet.formats.hns import Leaf, NetworkTree, Parallel, Sequential
from hypernet.network.places import Place

WIDTH, TEXT, BLOCKS = 16, 12, 4
ROWS = (16, 8, 8, 4)  # of q, k, v and the rest: several heads of queries share one of keys
PLACES = (("cross", TEXT), ("joint", WIDTH))


class Block(nn.Module):
    """Separate layers for the text, then one layer for q, k, v and more. Keys pass a norm."""

    def __init__(self, bias):
        super().__init__()
        self.q, self.out = nn.Linear(WIDTH, 8), nn.Linear(8 + 16 + 4, WIDTH)
        self.k, self.v = nn.Linear(TEXT, 8, bias=bias), nn.Linear(TEXT, 8, bias=bias)
        self.qkv = nn.Linear(WIDTH, sum(ROWS), bias=bias)

    def forward(self, x, text):
        keys = F.rms_norm(self.k(text), (8,))
        crossed = F.scaled_dot_product_attention(self.q(x), keys, self.v(text))
        q, k, v, more = self.qkv(x).split(ROWS, dim=-1)
        seen = F.scaled_dot_product_attention(q[..., :8], F.rms_norm(k, (8,)), v)
        return x + self.out(torch.cat([crossed, seen, q[..., 8:], more], -1))


class Model(nn.Module):
    def __init__(self, bias=True):
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList(Block(bias) for _ in range(BLOCKS))
        self.requires_grad_(False)

    def forward(self, x, text):
        for block in self.blocks:
            x = block(x, text)
        return x

    def sites(self):
        for i in range(BLOCKS):
            cross, joint = Place("cross", i, BLOCKS), Place("joint", i, BLOCKS)
            yield Site(f"blocks.{i}.k", cross, TEXT, "k")
            yield Site(f"blocks.{i}.v", cross, TEXT, "v")
            yield Site(f"blocks.{i}.qkv", joint, WIDTH, "kv", ROWS)

    def weights(self):
        for site in self.sites():
            layer = self.get_submodule(site.path)
            has_bias = layer.bias is not None
            yield SiteWeights(site, layer.weight.clone(), has_bias, torch.float32)

    def changed(self, changes):
        twin = copy.deepcopy(self)
        for target, change in changes.items():
            name, first = (target, 0) if isinstance(target, str) else target
            twin.get_parameter(name)[first : first + len(change)] += change
        return twin

    def with_networks(self, inputs, chain):
        patches = [SitePatch(network, Effect(strength=strength)) for network, strength in chain]
        with applied(self, list(self.sites()), patches, {}):
            return self(*inputs)


def a_network(seed=1, structure=(1, 0.5, 1), **settings):
    spec = HypernetSpec(**{"places": PLACES, "layer_structure": structure} | settings)
    network = Hypernetwork(spec, Record(name=f"style {seed}", architecture="z_image"))
    numbers = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            scale = 1 / weight.shape[-1] ** 0.5 if weight.ndim == 2 else 0.3
            weight.normal_(0, scale, generator=numbers)
    return network


@pytest.fixture
def inputs():
    numbers = torch.Generator().manual_seed(3)
    return torch.randn(2, 9, WIDTH, generator=numbers), torch.randn(2, 5, TEXT, generator=numbers)


def distance(found, expected):
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("structure", [(1, 1), (1, 0.25, 1), (1, 2, 0.5, 1)])
@pytest.mark.parametrize("bias", [True, False])
def test_folded_layers_give_what_the_network_gives(inputs, structure, bias):
    model, chain = Model(bias), [(a_network(structure=structure, bias=bias), 0.7)]
    expected = model.with_networks(inputs, chain)
    folded = model.changed(dict(weight_changes(model.weights(), chain)))
    assert distance(model(*inputs), expected) > 0.01, "or this proves nothing"
    assert distance(folded(*inputs), expected) < 1e-6


def test_groups_of_blocks_fold_with_their_own_pairs_and_chains_in_their_order(inputs):
    model, chain = Model(), [(a_network(1, groups=2), 0.7), (a_network(2, groups=4), -1.0)]
    expected = model.with_networks(inputs, chain)
    assert distance(model.with_networks(inputs, chain[::-1]), expected) > 0.01
    at_once = dict(weight_changes(model.weights(), chain))
    first = dict(weight_changes(model.weights(), chain[:1]))
    second = dict(weight_changes(model.weights(), chain, folded=chain[:1]))
    assert first.keys() == second.keys() == at_once.keys()
    for changes in (at_once, {name: first[name] + second[name] for name in first}):
        assert distance(model.changed(changes)(*inputs), expected) < 1e-6


def test_a_tree_folds(inputs):
    part = Sequential((Leaf("a", 0.5), Parallel((Leaf("a"), Leaf("b", -1.0)), (0.25, 0.75))))
    tree = NetworkTree(part, {"a": a_network(1), "b": a_network(2, places=PLACES[:1])})
    model = Model()
    folded = model.changed(dict(weight_changes(model.weights(), [(tree, 1.0)])))
    assert distance(folded(*inputs), model.with_networks(inputs, [(tree, 1.0)])) < 1e-6


def test_only_rows_of_keys_and_values_change_and_only_at_places_that_the_network_has():
    changes = dict(weight_changes(Model().weights(), [(a_network(places=PLACES[1:]), 1.0)]))
    assert {target for target in changes if target[0].startswith("blocks.2")} == {
        ("blocks.2.qkv.weight", 16), ("blocks.2.qkv.weight", 24),
        ("blocks.2.qkv.bias", 16), ("blocks.2.qkv.bias", 24),
    }  # fmt: skip
    assert {len(change) for change in changes.values()} == {8}
    assert len(changes) == 4 * BLOCKS


def test_a_constant_is_refused_where_no_bias_holds_it():
    model = Model(bias=False)
    for act in (lambda *a: dict(weight_changes(*a)), lambda b, c: to_lora(b, c[0][0])):
        with pytest.raises(ValueError, match=r'"style 1".*blocks\.0\.k: .*no bias.*bias off'):
            act(model.weights(), [(a_network(), 1.0)])


@pytest.mark.parametrize(
    ("settings", "words"), [({"activation": "relu"}, "ReLU"), ({"layer_norm": True}, "LayerNorm")]
)
def test_a_nonlinear_network_is_refused_with_the_reason(settings, words):
    with pytest.raises(ValueError, match=f'"style 1" cannot be folded.*{words}'):
        dict(weight_changes(Model().weights(), [(a_network(**settings), 1.0)]))


def test_a_network_of_other_places_is_refused():
    with pytest.raises(ValueError, match="None of the hypernetwork's"):
        dict(weight_changes(Model().weights(), [(a_network(places=(("text", TEXT),)), 1.0)]))
    with pytest.raises(ValueError, match="None of the hypernetwork's"):
        to_lora(Model().weights(), a_network(places=(("text", TEXT),)))


def loaded(tensors):
    """A LoRA's tensors as differences of weights, by the rules of ComfyUI's loader."""
    changes = {}
    for name in tensors:
        layer, _, part = name.removeprefix("diffusion_model.").rpartition(".")
        if part == "diff":
            changes[f"{layer}.weight"] = tensors[name].float()
        elif part == "diff_b":
            changes[f"{layer}.bias"] = tensors[name].float()
        elif part == "alpha":
            found = f"diffusion_model.{layer}.lora_"
            up, down = (tensors[f"{found}{end}.weight"].float() for end in ("up", "down"))
            changes[f"{layer}.weight"] = up @ down * tensors[name] / len(down)
    return changes


@pytest.mark.parametrize(
    ("structure", "rank", "numbers", "error", "far"),
    [
        ((1, 2, 1), 0, "float32", 1e-6, 1e-6),
        ((1, 2, 1), 0, "float16", 3e-4, 1e-3),
        ((1, 0.25, 1), 0, "float32", 1e-6, 1e-6),
        ((1, 0.25, 1), 4, "float32", 1e-6, 1e-6),
    ],
)
def test_a_lora_gives_what_the_network_gives(inputs, structure, rank, numbers, error, far):
    model, network = Model(), a_network(structure=structure)
    lora = to_lora(model.weights(), network, 0.7, rank=rank, numbers=numbers)
    expected = model.with_networks(inputs, [(network, 0.7)])
    assert lora.error <= error
    assert distance(model.changed(loaded(lora.tensors))(*inputs), expected) < far


def test_a_narrow_network_is_stored_as_two_thin_matrices_exactly():
    lora = to_lora(Model().weights(), a_network(structure=(1, 0.25, 1), groups=2))
    shapes = {name.removeprefix("diffusion_model."): t.shape for name, t in lora.tensors.items()}
    assert shapes["blocks.1.qkv.lora_up.weight"] == (sum(ROWS), 4 + 4)
    assert shapes["blocks.1.qkv.lora_down.weight"] == (4 + 4, WIDTH)
    assert shapes["blocks.1.k.lora_down.weight"] == (3, TEXT)
    up = lora.tensors["diffusion_model.blocks.1.qkv.lora_up.weight"]
    assert not up[:16].any() and not up[16:24, 4:].any() and not up[24:32, :4].any()
    assert not up[32:].any()


@pytest.mark.parametrize("structure", [(1, 2, 1), (1, 0.25, 1)])
def test_keys_and_values_that_loaders_know_by_name_are_stored_without_zeros(structure):
    network = a_network(structure=structure)
    wanted = dict(weight_changes(Model().weights(), [(network, 1.0)]))
    known = [
        replace(block, parts={"k": f"transformer.{i}.to_k", "v": f"transformer.{i}.to_v"})
        for i, block in enumerate(Model().weights())
    ]
    lora = to_lora(known, network, numbers="float32")
    found = loaded({name.replace("transformer.", "diffusion_model."): t
                    for name, t in lora.tensors.items()})  # fmt: skip
    for i, side, first in ((2, "k", 16), (2, "v", 24)):
        change = wanted["blocks.0.qkv.weight", first]
        torch.testing.assert_close(found[f"{i}.to_{side}.weight"], change, atol=1e-5, rtol=1e-4)
    assert "blocks.0.qkv.bias" in found and "blocks.0.qkv.weight" not in found
    assert "blocks.0.k.weight" in found, "a separate layer keeps its own name"


def test_a_lora_of_low_rank_is_the_nearest_one_and_states_its_error():
    network = a_network(bias=False, structure=(1, 0.5, 1))
    wanted = dict(weight_changes(Model().weights(), [(network, 1.0)]))
    lora = to_lora(Model().weights(), network, rank=2, numbers="float32")
    missed = whole = 0.0
    for change in wanted.values():
        values = torch.linalg.svdvals(change).square()
        missed, whole = missed + values[2:].sum(), whole + values.sum()
    assert lora.error == pytest.approx(float((missed / whole).sqrt()), rel=1e-4)
    assert 0.1 < lora.error < 1


def test_a_lora_file_says_for_which_architecture_it_is(tmp_path):
    path = save_lora(to_lora(Model().weights(), a_network()), tmp_path / "style.safetensors")
    with safe_open(path, "pt") as file:
        assert '"architecture": "z_image"' in file.metadata()["hypernet"]
