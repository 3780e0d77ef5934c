"""The census of every class of diffusers, on tiny random models of the real classes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

pytest.importorskip("diffusers")
import tiny_models
from tiny_models.reach import check

from hypernet.families import Census, Site, take_census
from hypernet.families.census import FAMILIES, class_name
from hypernet.families.diffusers_table import DIFFUSERS
from hypernet.network.places import PLACES, Place

JOINT = {"image": (2, 64), "text": (2, 64), "joint": (3, 64)}
REFINED = {"image": 2, "text": 2, "joint": 3}
# name of the tiny model → what it is and, for each stream, its blocks and its width
EXPECTED = {
    "flux": ("flux", JOINT),
    "chroma": ("chroma", JOINT),
    "flux2": ("flux2", JOINT),
    "sd3": ("sd3", {"image": (3, 128), "text": (3, 128), "self": (2, 128)}),
    "lumina2": ("lumina2", {stream: (blocks, 64) for stream, blocks in REFINED.items()}),
    "z_image": ("z_image", {stream: (blocks, 288) for stream, blocks in REFINED.items()}),
    "qwen_image": ("qwen_image", {"image": (3, 64), "text": (3, 64)}),
    "wan": ("wan", {"self": (3, 64), "cross": (3, 64)}),
    "wan_i2v": ("wan", {"self": (3, 64), "cross": (3, 64), "cross_image": (3, 64)}),
    "cosmos_predict2": ("cosmos_predict2", {"self": (3, 64), "cross": (3, 24)}),
    "hidream": ("hidream", JOINT),
    "krea2": ("krea2", {"joint": (3, 64)}),
    "ernie": ("ernie", {"joint": (3, 64)}),
}


def summary(census: Census) -> dict[str, tuple[int, int]]:
    (widths,) = zip(*census.widths().values(), strict=True)
    blocks = {site.place.stream: site.place.of for site in census.sites}
    return {stream: (blocks[stream], width) for stream, width in zip(blocks, widths, strict=True)}


@pytest.mark.parametrize("name", EXPECTED)
def test_each_family_has_its_streams_with_their_blocks_and_widths(name):
    model, _inputs = tiny_models.build(name)
    census = take_census(model)
    assert (census.architecture, summary(census)) == EXPECTED[name]
    assert set(census.widths()) <= set(PLACES)
    for stream, (blocks, _width) in EXPECTED[name][1].items():
        sites = [site for site in census.sites if site.place.stream == stream]
        expected = ["kv"] * blocks if sites[-1].rows else ["k", "v"] * blocks
        assert [site.side for site in sites] == expected
        depths = [site.place.depth for site in sites if site.side != "v"]
        assert depths == list(range(blocks))


@pytest.mark.parametrize("name", EXPECTED)
def test_each_site_changes_keys_or_values_of_its_stream_and_nothing_else(name):
    model, inputs = tiny_models.build(name)
    check(model, model, inputs, take_census(model).sites)


def test_a_unet_is_counted_in_the_order_in_which_it_runs():
    model, inputs = tiny_models.build("unet")
    census = take_census(model)
    assert census.architecture == "unet"
    assert census.widths() == {"self": (32, 64), "cross": (24,)}
    for first in (0, 8):  # of "self", of "cross": keys and values of four blocks
        parts = [site.path.split("_")[0] for site in census.sites[first : first + 8 : 2]]
        assert parts == ["down", "mid", "up", "up"]
    check(model, model, inputs, census.sites)


def test_every_class_of_the_table_is_tried_here():
    tried = {class_name(tiny_models.build(name)[0]) for name in tiny_models.RECIPES}
    assert tried == set(DIFFUSERS)


def test_rows_of_a_fused_layer_are_queries_keys_values_and_the_rest():
    model, _inputs = tiny_models.build("flux2")
    fused = [site for site in take_census(model).sites if site.side == "kv"]
    assert fused[0] == Site(
        "single_transformer_blocks.0.attn.to_qkv_mlp_proj",
        Place("joint", 0, 3),
        64,
        "kv",
        (64, 64, 64, 384),
    )


def test_a_model_without_a_row_is_refused_by_its_class():
    with pytest.raises(ValueError, match=r"class torch\.nn\.modules\.linear\.Linear are not known"):
        take_census(nn.Linear(2, 2))


def cut_rows(model):
    model.single_transformer_blocks[1].attn.to_qkv_mlp_proj = nn.Linear(64, 500)


def another_cut(model):
    """As many rows as before, but other ones."""
    attention = model.single_transformer_blocks[0].attn
    attention.inner_dim, attention.mlp_hidden_dim = 60, 198


def another_attention(model):
    model.transformer_blocks[1].attn.__class__ = type("Attention2", (nn.Module,), {})


def no_keys(model):
    del model.transformer_blocks[0].attn.to_k


def no_blocks(model):
    del model.transformer_blocks


def no_splits(model):
    del model.single_transformer_blocks[0].attn.inner_dim


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (cut_rows, r"blocks\.1\.attn\.to_qkv_mlp_proj has 500 rows of 64, not \(64, 64, 64, 384\)"),
        (
            another_cut,
            r"blocks\.0\.attn\.to_qkv_mlp_proj has 576 rows of 64, not \(60, 60",
        ),
        (another_attention, r"transformer_blocks\.1\.attn is a .*Attention2, not a .*Flux2Attenti"),
        (no_keys, r"transformer_blocks\.0\.attn has no to_k"),
        (no_blocks, "transformer_blocks"),
        (no_splits, "inner_dim"),
    ],
)
def test_a_class_that_has_changed_is_refused_in_words(change, words):
    model, _inputs = tiny_models.build("flux2")
    change(model)
    with pytest.raises(ValueError, match=words) as refusal:
        take_census(model)
    assert "Flux2Transformer2DModel is built in a way that is not known here" in str(refusal.value)


@pytest.mark.parametrize("name", ["flux", "sd3", "wan", "unet"])
def test_projections_that_were_fused_are_refused(name):
    model, _inputs = tiny_models.build(name)
    paths = [site.path for site in take_census(model).sites]
    model.fuse_qkv_projections()
    with pytest.raises(ValueError, match="are fused.*unfuse_qkv_projections"):
        take_census(model)
    model.unfuse_qkv_projections()
    assert [site.path for site in take_census(model).sites] == paths


def test_a_projection_that_peft_has_wrapped_is_found_from_outside():
    peft = pytest.importorskip("peft")
    model, inputs = tiny_models.build("flux")
    bare = take_census(model)
    model.add_adapter(peft.LoraConfig(r=2, target_modules=["to_k", "to_v"]))
    wrapped = take_census(model)
    assert wrapped == bare
    layer = model.get_submodule(wrapped.sites[0].path)
    assert isinstance(layer, peft.tuners.lora.LoraLayer)
    check(model, model, inputs, wrapped.sites[:4])


class Packed(nn.Module):
    """A quantised layer of a class of its own: it has a weight with a shape, and no more."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.weight = linear.weight


def test_a_foreign_layer_is_measured_by_its_weight():
    model, _inputs = tiny_models.build("flux2")
    bare = take_census(model)
    for site in bare.sites:
        path, _, name = site.path.rpartition(".")
        owner = model.get_submodule(path)
        setattr(owner, name, Packed(getattr(owner, name)))
    assert take_census(model) == bare
    layer.weight = nn.Parameter(torch.zeros(8)) if (layer := getattr(owner, name)) else None
    with pytest.raises(ValueError, match="Packed has no in_features"):
        take_census(model)


def test_a_compiled_model_is_known_by_what_is_inside():
    model, _inputs = tiny_models.build("qwen_image")
    compiled = torch.compile(model, backend="eager")
    assert take_census(compiled) == take_census(model)
    site = take_census(compiled).sites[0]
    assert compiled.get_submodule(site.path) is model.get_submodule(site.path)


def test_no_class_is_in_two_tables():
    assert len(FAMILIES) > len(DIFFUSERS)
    assert all(name.startswith(("comfy.ldm.", "diffusers.models.")) for name in FAMILIES)
