"""Changed inputs at linear layers: what is computed, what stays bit for bit, what is put back."""

import copy
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._dynamo.testing import CompileCounter

from hypernet import HypernetSpec, Hypernetwork
from hypernet.apply.effect import Effect, make_schedule
from hypernet.apply.site_patches import SitePatch, applied
from hypernet.apply.sites import installed
from hypernet.network.places import Place

WIDTH, TEXT = 16, 12
FUSED = (16, 8, 8, 4)  # rows of q, k, v and the rest


@dataclass(frozen=True)
class Site:
    """As a census gives it."""

    path: str
    place: Place
    width: int
    side: str
    rows: tuple[int, ...] = ()


class Block(nn.Module):
    """Cross-attention with separate layers, then one layer that makes q, k, v and more."""

    def __init__(self, linear):
        super().__init__()
        self.q, self.k, self.v = linear(WIDTH, 8), linear(TEXT, 8), linear(TEXT, 8)
        self.qkv = linear(WIDTH, sum(FUSED))
        self.out = linear(8 + 16 + 4, WIDTH)

    def forward(self, x, text):
        crossed = F.scaled_dot_product_attention(self.q(x), self.k(text), self.v(text))
        q, k, v, more = self.qkv(x).split(FUSED, dim=-1)
        seen = F.scaled_dot_product_attention(q[..., :8], k, v)
        return x + self.out(torch.cat([crossed, seen, q[..., 8:], more, crossed[..., :0]], -1))


class Model(nn.Module):
    def __init__(self, linear=nn.Linear, blocks=2):
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList(Block(linear) for _ in range(blocks))
        self.blocks.append(nn.Identity())

    def forward(self, x, text):
        for block in self.blocks[:-1]:
            x = block(x, text)
        return x

    def sites(self):
        found = []
        of = len(self.blocks) - 1
        for i in range(of):
            cross, joint = Place("cross", i, of), Place("joint", i, of)
            found += [
                Site(f"blocks.{i}.k", cross, TEXT, "k"),
                Site(f"blocks.{i}.v", cross, TEXT, "v"),
                Site(f"blocks.{i}.qkv", joint, WIDTH, "kv", FUSED),
            ]
        return tuple(found)


class Cut(nn.Module):
    """The reference: every block of rows of a fused layer as a layer of its own."""

    def __init__(self, fused, keys, values):
        super().__init__()
        ends = (0, *torch.tensor(FUSED).cumsum(0).tolist())
        self.parts = nn.ModuleList()
        for start, end in pairwise(ends):
            part = nn.Linear(WIDTH, end - start)
            part.weight.data = fused.weight.data[start:end].clone()
            part.bias.data = fused.bias.data[start:end].clone()
            self.parts.append(part)
        self.changes = (None, keys, values, None)

    def forward(self, x):
        return torch.cat(
            [
                part(x if change is None else change(x))
                for part, change in zip(self.parts, self.changes, strict=True)
            ],
            -1,
        )


class Changed(nn.Module):
    def __init__(self, layer, change):
        super().__init__()
        self.layer, self.change = layer, change

    def forward(self, x):
        return self.layer(self.change(x))


def reference(model, *chain):
    """The model with networks in its layers. chain: (network, strength on keys, on values)."""
    model = copy.deepcopy(model)

    def through(side, place):
        def change(x):
            for network, on_keys, on_values in chain:
                strength = on_keys if side == "k" else on_values
                x = (network.keys if side == "k" else network.values)(x, strength, place)
            return x

        return change

    for site in model.sites():
        parent, _, name = site.path.rpartition(".")
        layer = model.get_submodule(site.path)
        if site.side == "kv":
            new = Cut(layer, through("k", site.place), through("v", site.place))
        else:
            new = Changed(layer, through(site.side, site.place))
        setattr(model.get_submodule(parent), name, new)
    return model


def network(seed=1, places=(("cross", TEXT), ("joint", WIDTH)), **settings):
    spec = {"activation": "relu", "weight_initialization": "XavierNormal"} | settings
    return Hypernetwork(HypernetSpec(widths=(), places=places, seed=seed, **spec))


def inputs(batch=2):
    draw = torch.Generator().manual_seed(7)
    return torch.randn(batch, 6, WIDTH, generator=draw), torch.randn(batch, 5, TEXT, generator=draw)


def patch(net, **effect):
    return SitePatch(net, Effect(**effect))


@torch.no_grad()
def run(model, *patches, sites=None, data=None, **options):
    x, text = data or inputs()
    with applied(model, model.sites() if sites is None else sites, patches, options):
        return model(x, text)


def is_bare(model):
    return not any("forward" in vars(each) for each in model.modules())


# --- numbers -------------------------------------------------------------------------------------


def test_a_network_changes_keys_and_values_as_a_model_cut_into_layers_does():
    model, net = Model(), network()
    found = run(model, patch(net))
    expected = reference(model, (net, 1, 1))(*inputs())
    assert not found.equal(run(model))
    assert (found - expected).abs().max() <= 1e-6


def test_separate_layers_differ_in_no_bit_from_the_reference():
    model, net = Model(), network(places=(("cross", TEXT),))
    assert run(model, patch(net)).equal(reference(model, (net, 1, 1))(*inputs()))


@pytest.mark.parametrize("on", [{"keys": 0.0}, {"values": 0.0}, {"strength": -0.5, "keys": 2.0}])
def test_keys_and_values_have_strengths_of_their_own(on):
    model, net = Model(), network()
    effect = Effect(**on)
    expected = reference(model, (net, effect.on_keys(WIDTH), effect.on_values(WIDTH)))(*inputs())
    assert (run(model, patch(net, **on)) - expected).abs().max() <= 1e-6


def test_networks_act_in_the_order_of_the_chain():
    model, first, second = Model(), network(1), network(2)
    expected = reference(model, (first, 1, 1), (second, 0.5, 0.5))(*inputs())
    found = run(model, patch(first), patch(second, strength=0.5))
    other = run(model, patch(second, strength=0.5), patch(first))
    assert (found - expected).abs().max() <= 1e-6
    assert (other - expected).abs().max() > 1e-4


def test_of_blocks_inside_one_another_the_outer_one_acts_first():
    model, first, second = Model(), network(1), network(2)
    chained = run(model, patch(first), patch(second))
    with applied(model, model.sites(), [patch(first)], {}):
        assert run(model, patch(second)).equal(chained)
        assert run(model).equal(run(Model(), patch(first)))
    assert is_bare(model)


def test_each_group_of_blocks_has_its_own_pair():
    model, net = Model(blocks=4), network(groups=2)
    expected = reference(model, (net, 1, 1))(*inputs())
    assert (run(model, patch(net)) - expected).abs().max() <= 1e-6


def test_only_the_chosen_prompts_are_changed():
    model, net = Model(), network()
    found = run(model, patch(net, prompts="positive"), cond_or_uncond=[1, 0])
    bare, whole = run(model), run(model, patch(net))
    assert found[0].allclose(bare[0], atol=1e-6) and found[1].allclose(whole[1], atol=1e-6)
    assert run(model, patch(net, prompts="positive"), cond_or_uncond=[1, 1]).equal(bare)


def test_a_schedule_acts_at_its_noise_levels():
    model, net = Model(), network()
    # a percent's sigma falls from 1 to 0
    half = patch(net, schedule=make_schedule(lambda share: 1 - share, 0, 1, ((0, 1), (1, 0))))
    late = patch(net, schedule=make_schedule(lambda share: 1 - share, 0.5, 1))
    expected = run(model, patch(net, strength=0.4))
    assert (run(model, half, sigmas=torch.tensor([0.4])) - expected).abs().max() <= 1e-6
    assert run(model, late, sigmas=torch.tensor([0.9])).equal(run(model))
    assert run(model, late, sigmas=torch.tensor([0.2])).equal(run(model, patch(net)))


def test_bfloat16_networks_keep_bfloat16_weights():
    net = network(arithmetic="bfloat16")
    placed = patch(net)
    assert {weight.dtype for weight in placed.weights.home.parameters()} == {torch.bfloat16}
    model = Model()
    exact, rough = run(model, patch(network())), run(model, placed)
    assert 0 < (exact - rough).abs().max() < 0.05
    assert {weight.dtype for weight in net.parameters()} == {torch.float32}


# --- nothing where nothing changes ---------------------------------------------------------------

NOTHING = {
    "strength 0": dict(strength=0.0),
    "keys and values 0": dict(keys=0.0, values=0.0),
    "width factors 0": dict(widths=((WIDTH, 0.0), (TEXT, 0.0))),
}


@pytest.mark.parametrize("effect", NOTHING.values(), ids=NOTHING)
def test_an_effect_of_nothing_installs_nothing(effect):
    model = Model()
    with applied(model, model.sites(), [patch(network(), **effect)], {}):
        assert is_bare(model)


@pytest.mark.parametrize(
    "places", [(("joint", TEXT),), (("image", WIDTH),), (("cross", WIDTH),), (("joint", 99),)]
)
def test_a_stream_or_width_that_is_not_held_installs_nothing(places):
    model = Model()
    with applied(model, model.sites(), [patch(network(places=places))], {}):
        assert is_bare(model)


def test_only_held_sites_are_touched():
    model, net = Model(), network(places=(("cross", TEXT),))
    with applied(model, model.sites(), [patch(net, values=0.0)], {}):
        touched = {name for name, each in model.named_modules() if "forward" in vars(each)}
    assert touched == {"blocks.0.k", "blocks.1.k"}


def test_a_change_that_returns_its_input_is_bitwise_bare():
    model, (x, text) = Model(), inputs()
    bare = model(x, text)
    with installed(model, model.sites(), lambda site, side, tokens: tokens):
        assert model(x, text).equal(bare)


def test_a_network_of_widths_alone_acts_wherever_they_are():
    model = Model()
    old = Hypernetwork(HypernetSpec(widths=(TEXT,), weight_initialization="XavierNormal"))
    assert run(model, patch(old)).equal(reference(model, (old, 1, 1))(*inputs()))


# --- somebody else's things ----------------------------------------------------------------------


def test_the_model_is_bare_afterwards_also_after_an_exception():
    model, bare = Model(), run(Model())
    with pytest.raises(RuntimeError), installed(model, model.sites(), wrong):
        model(*inputs())
    assert is_bare(model) and run(model).equal(bare)


def wrong(site, side, x):
    raise RuntimeError


def test_an_unknown_path_leaves_nothing_behind():
    model = Model()
    sites = (*model.sites(), Site("blocks.9.k", Place("cross"), TEXT, "k"))
    with pytest.raises(AttributeError), installed(model, sites, wrong):
        pass
    assert is_bare(model)


def test_a_forward_of_somebody_else_is_called_and_kept():
    """As bypass adapters do: the layer's own result and something on it, by its input."""
    model, net = Model(), network()
    delta = torch.randn(sum(FUSED), WIDTH, generator=torch.Generator().manual_seed(3)) * 0.1
    added = Model()
    for block in added.blocks[:-1]:
        block.qkv.weight.data += delta
    expected = run(added, patch(net))
    for block in model.blocks[:-1]:
        own = block.qkv.forward
        block.qkv.forward = lambda x, own=own: own(x) + F.linear(x, delta)
    before = [vars(block.qkv)["forward"] for block in model.blocks[:-1]]
    found = run(model, patch(net))
    assert (found - expected).abs().max() <= 2e-6
    assert [vars(block.qkv)["forward"] for block in model.blocks[:-1]] == before


class Rounded(nn.Linear):
    """As quantized layers: not a plain product, and it clamps what it is given."""

    def forward(self, x):
        return F.linear(x.clamp_(-2, 2).mul(8).round().div(8), self.weight, self.bias)


def test_a_foreign_class_of_layer_keeps_its_own_arithmetic():
    model, net, seen = Model(Rounded, blocks=1), network(places=(("joint", WIDTH),)), {}
    layer, (site,) = model.blocks[0].qkv, [s for s in model.sites() if s.side == "kv"]
    x = 3 * inputs()[0]
    q, k, v, more = FUSED
    with applied(model, [site], [patch(net)], {}), torch.no_grad():
        seen = layer(x.clone())
    with torch.no_grad():
        whole = layer(x.clone())
        keys, values = layer(net.keys(x, 1.0, site.place)), layer(net.values(x, 1.0, site.place))
    assert seen[..., :q].equal(whole[..., :q]) and seen[..., q + k + v :].equal(whole[..., -more:])
    assert seen[..., q : q + k].equal(keys[..., q : q + k])
    assert seen[..., q + k : q + k + v].equal(values[..., q + k : q + k + v])


def test_a_host_says_how_weights_are_read():
    """As ComfyUI does for weights that lie elsewhere, or have LoRAs that are added on the fly."""
    model, net, open_now = Model(Rounded), network(places=(("joint", WIDTH),)), []

    @contextmanager
    def read(layer, x):
        open_now.append(layer)
        yield 2 * layer.weight, None
        open_now.pop()

    site = model.sites()[2]
    x = inputs()[0]
    with applied(model, [site], [patch(net)], {}, read), torch.no_grad():
        found = model.blocks[0].qkv(x)
    assert not open_now
    weight = 2 * model.blocks[0].qkv.weight
    assert found[..., :16].allclose(F.linear(x, weight[:16]), atol=1e-6)


# --- what is remembered --------------------------------------------------------------------------


def test_a_text_is_computed_once_for_all_blocks_and_calls():
    model, net, counts = Model(blocks=4), network(groups=2), []
    placed = patch(net)
    for pair in placed.weights.home.network.pairs.values():
        pair["k"].register_forward_hook(lambda *_: counts.append(1))
    data = inputs()
    first = run(model, placed, data=data)
    assert len(counts) == 4 + 2  # each picture's tokens, and the text for each group
    assert run(model, placed, data=data).equal(first) and len(counts) == 2 * 4 + 2
    data[1].mul_(2)
    expected = reference(model, (net, 1, 1))(*data)
    assert (run(model, placed, data=data) - expected).abs().max() <= 1e-6
    placed.cleanup()
    assert not placed._memos


# --- gradients and compiling ---------------------------------------------------------------------


def test_gradients_reach_every_pair_and_fit_finite_differences():
    model, net = Model().double().requires_grad_(False), network(activation="tanh")
    net.double()
    x, text = (each.double() for each in inputs())

    def loss():
        def change(site, side, tokens):
            mlp = net.mlp(net.spec.pair_at(site.width, site.place), side)
            return tokens + mlp(tokens)

        with installed(model, model.sites(), change):
            return model(x, text).square().mean()

    weights = list(net.parameters())
    for weight, gradient in zip(
        weights, torch.autograd.grad(loss(), weights, allow_unused=False), strict=True
    ):
        at = gradient.abs().argmax()
        with torch.no_grad():
            weight.view(-1)[at] += 1e-6
            above = loss()
            weight.view(-1)[at] -= 2e-6
            below = loss()
            weight.view(-1)[at] += 1e-6
        # a constant on all keys drops out of softmax: there both are 0
        expected = pytest.approx(gradient.view(-1)[at].item(), rel=1e-3, abs=1e-8)
        assert ((above - below) / 2e-6).item() == expected


@pytest.mark.parametrize("first", ["network", "compile"])
def test_compiled_models_heed_networks_that_come_and_go(first):
    torch._dynamo.reset()
    model, net, (x, text) = Model(), network(), inputs()
    expected = {s: run(model, patch(net, strength=s)) for s in (1.0, 0.5)}
    bare = run(model)
    compiled = torch.compile(model, backend="eager", fullgraph=True)

    def through(*patches):
        with applied(model, model.sites(), patches, {}), torch.no_grad():
            return compiled(x, text)

    if first == "compile":
        assert through().allclose(bare, atol=1e-6)
    for strength in (1.0, 0.5, 1.0):
        found = through(patch(net, strength=strength))
        assert found.allclose(expected[strength], atol=1e-6)
        assert through().allclose(bare, atol=1e-6)


def test_nothing_is_compiled_again_for_a_network_that_was_there_before():
    torch._dynamo.reset()
    counter, model, (x, text) = CompileCounter(), Model(), inputs()
    compiled = torch.compile(model, backend=counter)
    kept = patch(network()), patch(network(), strength=0.5), patch(network(), strength=0.3)

    def through(*patches):
        with applied(model, model.sites(), patches, {}), torch.no_grad():
            compiled(x, text)
        return counter.frame_count

    for one in kept:
        through(one)
    seen = through()
    assert [through(*patches) for patches in ((), kept[:1], kept[1:2], (), kept[2:])] == [seen] * 5
