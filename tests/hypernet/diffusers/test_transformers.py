"""apply() on a tiny random transformer of every class of diffusers."""

from __future__ import annotations

import copy
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

pytest.importorskip("diffusers")
import tiny_models

import hypernet.diffusers
from hypernet import HypernetSpec, Hypernetwork
from hypernet.families import take_census
from hypernet.network.hypernetwork import Record

FAMILIES = (
    "flux", "chroma", "flux2", "sd3", "lumina2", "z_image", "qwen_image", "wan", "wan_i2v",
    "cosmos_predict2", "hidream", "krea2", "ernie",
)  # fmt: skip
STRENGTH = 0.7
VISIBLE = 1e-4  # a network that changes the output by less does nothing


class Cut(nn.Module):
    """A layer with its own input for keys and for values, by rows where it makes both."""

    def __init__(self, layer, site, network):
        super().__init__()
        self.layer, self.site, self.network = layer, site, network

    def forward(self, x):
        if self.site.side != "kv":
            return self.layer(self.changed(x, self.site.side))
        inputs = x, self.changed(x, "k"), self.changed(x, "v"), x
        ends = [0, *torch.tensor(self.site.rows).cumsum(0).tolist()]
        return torch.cat(
            [
                F.linear(
                    tokens,
                    self.layer.weight[start:end],
                    None if self.layer.bias is None else self.layer.bias[start:end],
                )
                for (start, end), tokens in zip(pairwise(ends), inputs, strict=False)
            ],
            -1,
        )

    def changed(self, x, side):
        pair = self.network.spec.pair_at(x.shape[-1], self.site.place)
        return x if pair is None else x + STRENGTH * self.network.mlp(pair, side)(x)


def network_for(model, seed=0, **settings):
    census = take_census(model)
    places = tuple((stream, w) for stream, widths in census.widths().items() for w in widths)
    spec = {"places": places, "widths": (), "activation": "relu", "seed": seed}
    spec |= {"weight_initialization": "XavierNormal"} | settings
    return Hypernetwork(HypernetSpec(**spec), Record(architecture=census.architecture))


def reference(model, network):
    model = copy.deepcopy(model)
    for site in take_census(model).sites:
        parent, _, name = site.path.rpartition(".")
        layer = model.get_submodule(site.path)
        setattr(model.get_submodule(parent), name, Cut(layer, site, network))
    return model


@torch.no_grad()
def answer(model, inputs):
    torch.manual_seed(0)
    found = model(**inputs)[0]
    return found[0] if isinstance(found, list) else found


def is_bare(model):
    return not any("forward" in vars(each) for each in model.modules())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_network_changes_keys_and_values_as_the_reference_does(name):
    model, inputs = tiny_models.build(name)
    network, bare = network_for(model), answer(model, inputs)
    with hypernet.diffusers.apply(model, network, STRENGTH):
        found = answer(model, inputs)
    expected = answer(reference(model, network), inputs)
    assert (expected - bare).abs().max() > VISIBLE
    assert (found - expected).abs().max() <= 1e-6 * max(1, expected.abs().max())
    assert is_bare(model) and answer(model, inputs).equal(bare)


@pytest.mark.parametrize("name", FAMILIES)
def test_strength_0_is_bitwise_the_bare_model(name):
    model, inputs = tiny_models.build(name)
    bare = answer(model, inputs)
    with hypernet.diffusers.apply(model, network_for(model), 0.0):
        assert is_bare(model) and answer(model, inputs).equal(bare)


def test_of_blocks_inside_one_another_the_outer_network_acts_first():
    model, inputs = tiny_models.build("flux")
    first, second = network_for(model, 1), network_for(model, 2)
    with hypernet.diffusers.apply(model, first, STRENGTH):
        with hypernet.diffusers.apply(model, second, STRENGTH):
            found = answer(model, inputs)
        alone = answer(model, inputs)
    chained = reference(model, second)
    for layer in chained.modules():
        if isinstance(layer, Cut):
            layer.changed = in_a_row(layer, first)
    assert (found - answer(chained, inputs)).abs().max() <= 1e-5
    assert (alone - answer(reference(model, first), inputs)).abs().max() <= 1e-6


def in_a_row(layer, first):
    second = layer.network

    def changed(x, side):
        for network in (first, second):
            x = Cut(layer.layer, layer.site, network).changed(x, side)
        return x

    return changed


def test_both_transformers_of_a_pipeline_are_changed():
    early, inputs = tiny_models.build("wan")
    late = copy.deepcopy(early)
    network, bare = network_for(early), answer(early, inputs)
    pipeline = SimpleNamespace(transformer=early, transformer_2=late)
    with hypernet.diffusers.apply(pipeline, network):
        assert answer(early, inputs).equal(answer(late, inputs))
        assert not answer(late, inputs).equal(bare)
    assert answer(late, inputs).equal(bare)


def test_a_network_for_another_architecture_is_refused():
    flux, qwen = tiny_models.build("flux")[0], tiny_models.build("qwen_image")[0]
    with pytest.raises(ValueError, match="flux"), hypernet.diffusers.apply(qwen, network_for(flux)):
        pass
    assert is_bare(qwen)


def test_a_model_that_the_census_does_not_know_is_refused_with_its_class():
    network = network_for(tiny_models.build("flux")[0])
    with pytest.raises(ValueError, match="Linear"):
        with hypernet.diffusers.apply(nn.Linear(2, 2), network):
            pass
