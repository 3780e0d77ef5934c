"""Folding against the patch: the same attention block, once with the network before its
projections, once with changed weights and no network."""

import json

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open

from hypernet import HypernetSpec, Hypernetwork, Record
from hypernet.apply.fold import AttentionWeights, rounding_note, weight_changes
from hypernet.apply.lora_file import save_lora, to_lora
from hypernet.formats.hns import Leaf, NetworkTree, Parallel, Sequential

WIDTH, TEXT, HEADS = 32, 24, 4
STRUCTURES = [(1, 1), (1, 2, 1), (1, 2, 2, 1), (1, 0.5, 1), (1, 2, 4, 2, 1)]


class Block(torch.nn.Module):
    """Self-attention (context of the same width) or cross-attention, as UNets have it."""

    def __init__(self, context_width):
        super().__init__()
        self.to_q = torch.nn.Linear(WIDTH, WIDTH, bias=False)
        self.to_k = torch.nn.Linear(context_width, WIDTH, bias=False)
        self.to_v = torch.nn.Linear(context_width, WIDTH, bias=False)
        self.to_out = torch.nn.ModuleList([torch.nn.Linear(WIDTH, WIDTH)])

    def forward(self, x, context, chain=()):
        keys = values = context
        for network, strength in chain:
            keys = network.keys(keys, strength)
            values = network.values(values, strength)
        q, k, v = (
            t.unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for t in (self.to_q(x), self.to_k(keys), self.to_v(values))
        )
        return self.to_out[0](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Unet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        layer = torch.nn.ModuleDict({"attn1": Block(WIDTH), "attn2": Block(TEXT)})
        self.mid = torch.nn.ModuleList([layer])
        self.requires_grad_(False)

    def forward(self, x, text, chain=()):
        for layer in self.mid:
            x = x + layer["attn1"](x, x, chain)
            x = x + layer["attn2"](x, text, chain)
        return x

    def blocks(self):
        for name, block in self.named_modules():
            if isinstance(block, Block):
                yield AttentionWeights(
                    name=name,
                    keys=block.to_k.weight.clone(),
                    values=block.to_v.weight.clone(),
                    out=block.to_out[0].weight.clone(),
                    dtype=torch.float32,
                )

    def changed(self, changes):
        twin = Unet()
        for name, change in changes.items():
            twin.get_parameter(name).add_(change)
        return twin


def a_network(structure=(1, 2, 1), seed=1, widths=(WIDTH, TEXT), **settings):
    spec = HypernetSpec(widths=widths, layer_structure=structure, **settings)
    network = Hypernetwork(spec, Record(name=f"style {seed}", step=seed))
    numbers = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            scale = 0.5 / weight.shape[-1] ** 0.5 if weight.ndim == 2 else 0.2
            weight.normal_(0, scale, generator=numbers)
    return network


@pytest.fixture
def inputs():
    numbers = torch.Generator().manual_seed(3)
    return torch.randn(2, 9, WIDTH, generator=numbers), torch.randn(2, 5, TEXT, generator=numbers)


def distance(found, expected):
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("strength", (-1.0, 0.5, 1.0, 2.0))
@pytest.mark.parametrize("structure", STRUCTURES)
@torch.no_grad()
def test_folded_weights_give_the_result_of_the_patch(inputs, structure, strength):
    unet, chain = Unet(), [(a_network(structure), strength)]
    expected = unet(*inputs, chain)
    folded = unet.changed(dict(weight_changes(unet.blocks(), chain)))
    assert distance(unet(*inputs), expected) > 0.01, "or this proves nothing"
    assert distance(folded(*inputs), expected) < 1e-6


@torch.no_grad()
def test_a_chain_folds_in_order_at_once_or_one_by_one(inputs):
    unet = Unet()
    chain = [(a_network(seed=1), 1.0), (a_network((1, 1), seed=2), -2.0)]
    expected = unet(*inputs, chain)
    assert distance(unet(*inputs, chain[::-1]), expected) > 0.01
    at_once = unet.changed(dict(weight_changes(unet.blocks(), chain)))
    assert distance(at_once(*inputs), expected) < 1e-6
    first = dict(weight_changes(unet.blocks(), chain[:1]))
    second = dict(weight_changes(unet.blocks(), chain, folded=chain[:1]))
    both = {name: first[name] + second[name] for name in first}
    assert distance(unet.changed(both)(*inputs), expected) < 1e-6


@torch.no_grad()
def test_a_tree_of_linear_networks_folds(inputs):
    unet = Unet()
    part = Sequential((Leaf("a", 0.5), Parallel((Leaf("a"), Leaf("b", -1.0)), (0.25, 0.75))))
    tree = NetworkTree(part, {"a": a_network(seed=1), "b": a_network(seed=2, widths=(TEXT,))})
    chain = [(tree, 0.8)]
    folded = unet.changed(dict(weight_changes(unet.blocks(), chain)))
    assert distance(folded(*inputs), unet(*inputs, chain)) < 1e-6


@torch.no_grad()
def test_a_network_with_skip_connections_folds_if_it_is_linear(inputs):
    network = a_network(skip_connection=True)
    unet, chain = Unet(), [(network, 0.3)]
    folded = unet.changed(dict(weight_changes(unet.blocks(), chain)))
    assert distance(folded(*inputs), unet(*inputs, chain)) < 1e-5


@torch.no_grad()
def test_blocks_of_other_widths_are_unchanged():
    changes = dict(weight_changes(Unet().blocks(), [(a_network(widths=(TEXT, 40)), 1.0)]))
    assert {name.split(".")[2] for name in changes} == {"attn2"}


def test_folding_into_8_bit_weights_gives_a_warning_about_rounding():
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        assert rounding_note(dtype) == ""
    for dtype in (torch.float8_e4m3fn, torch.float8_e5m2):
        assert "8 bits" in rounding_note(dtype) and "Apply Hypernet" in rounding_note(dtype)


def test_a_network_that_does_not_fit_is_refused_with_the_widths_of_both():
    with pytest.raises(ValueError, match=r"\[40\].*\[24, 32\]"):
        dict(weight_changes(Unet().blocks(), [(a_network(widths=(40,)), 1.0)]))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"activation": "relu"}, "ReLU"),
        ({"layer_norm": True}, "LayerNorm"),
        ({"activation": "swish", "layer_norm": True}, "Hardswish and LayerNorm"),
        ({"structure": (1, 1), "activation": "mish", "activate_output": True}, "Mish"),
    ],
)
def test_a_nonlinear_network_is_refused_with_the_reason(settings, words):
    with pytest.raises(ValueError, match=f'"style 1" cannot be folded.*{words}'):
        dict(weight_changes(Unet().blocks(), [(a_network(**settings), 1.0)]))


@torch.no_grad()
def test_dropout_and_an_unused_activation_do_not_matter(inputs):
    network = a_network((1, 1), activation="relu", dropout_structure=(0, 0.5))
    unet, chain = Unet(), [(network, 1.0)]
    folded = unet.changed(dict(weight_changes(unet.blocks(), chain)))
    assert distance(folded(*inputs), unet(*inputs, chain)) < 1e-6


def as_changes(tensors):
    """A LoRA's tensors as differences of weights, by the rules of its loaders."""
    names = {f"lora_unet_mid_0_{kind}_to_{end}": f"mid.0.{kind}.to_{end.replace('_', '.')}"
             for kind in ("attn1", "attn2") for end in ("k", "v", "out_0")}  # fmt: skip
    changes = {}
    for key in tensors:
        layer, _, part = key.partition(".")
        if part == "diff":
            changes[f"{names[layer]}.weight"] = tensors[key].float()
        elif part == "diff_b":
            changes[f"{names[layer]}.bias"] = tensors[key].float()
            assert f"{layer}.diff" in tensors, "A1111 would not see it"
        elif part == "lora_up.weight":
            up, down = tensors[key].float(), tensors[f"{layer}.lora_down.weight"].float()
            changes[f"{names[layer]}.weight"] = up @ down * tensors[f"{layer}.alpha"] / len(down)
    return changes


@pytest.mark.parametrize(
    ("rank", "numbers", "error", "far"),
    [(0, "float32", 0, 1e-6), (0, "float16", 3e-4, 1e-4), (24, "float32", 1e-5, 1e-4)],
)
@torch.no_grad()
def test_a_lora_of_full_rank_gives_what_the_network_gives(inputs, rank, numbers, error, far):
    unet, network = Unet(), a_network(widths=(TEXT,))
    lora = to_lora(unet.blocks(), network, 0.7, rank=rank, numbers=numbers)
    changed = unet.changed(as_changes(lora.tensors))
    assert lora.error <= error
    assert distance(changed(*inputs), unet(*inputs, [(network, 0.7)])) < far


def test_a_lora_of_low_rank_states_its_error():
    lora = to_lora(Unet().blocks(), a_network(), rank=4, numbers="float32")
    wanted = {
        name: change
        for name, change in weight_changes(Unet().blocks(), [(a_network(), 1.0)])
        if name.endswith("weight")
    }
    found = as_changes(lora.tensors)
    square = sum((found[name] - change).square().sum() for name, change in wanted.items())
    whole = sum(change.square().sum() for change in wanted.values())
    assert lora.error == pytest.approx(float((square / whole).sqrt()), rel=1e-4)
    assert 0.1 < lora.error < 1
    assert lora.tensors["lora_unet_mid_0_attn1_to_k.lora_up.weight"].shape == (WIDTH, 4)


def test_a_lora_file_says_what_it_is_and_is_never_overwritten(tmp_path):
    path = save_lora(to_lora(Unet().blocks(), a_network(), 2.0), tmp_path / "style.safetensors")
    with safe_open(path, "pt") as file:
        origin = json.loads(file.metadata()["hypernet"])
        assert len(file.keys()) == 8
    assert (origin["name"], origin["strength"], origin["rank"]) == ("style 1", 2.0, "full")
    with pytest.raises(FileExistsError, match=r"style\.safetensors"):
        save_lora(to_lora(Unet().blocks(), a_network()), path)
