"""apply() on diffusers' own UNet with diffusers' own attention processors."""

import copy
from types import SimpleNamespace

import pytest
import torch

import hypernet.diffusers
from hypernet import HypernetSpec, Hypernetwork
from hypernet.apply.effect import Effect
from hypernet.apply.patches import make_patches
from hypernet.diffusers.unet import install_patched_attention

TEXT = 24
WIDTHS = (16, TEXT, 32)


@pytest.fixture(scope="module")
def unet():
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"],
        block_out_channels=[16, 32],
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=TEXT,
        attention_head_dim=2,
    ).eval()


def network(widths=WIDTHS, seed=0):
    return Hypernetwork(
        HypernetSpec(
            widths=widths, activation="relu", weight_initialization="XavierNormal", seed=seed
        )
    )


@torch.no_grad()
def answer(unet, text=None):
    numbers = torch.Generator().manual_seed(1)
    noisy = torch.randn(2, 4, 8, 8, generator=numbers)
    context = torch.randn(2, 7, TEXT, generator=numbers) if text is None else text
    return unet(noisy, torch.tensor([5, 5]), context, return_dict=False)[0]


def by_host(unet, *networks, **effect):
    """The same through the patch points of the stand-in host."""
    twin = copy.deepcopy(unet)
    install_patched_attention(twin)
    pairs = [make_patches(network, Effect(**effect)) for network in networks]
    patches = {f"attn{i + 1}_patch": [pair[i] for pair in pairs] for i in (0, 1)}
    numbers = torch.Generator().manual_seed(1)
    noisy = torch.randn(2, 4, 8, 8, generator=numbers)
    context = torch.randn(2, 7, TEXT, generator=numbers)
    options = {"transformer_options": {"patches": patches}}
    with torch.no_grad():
        return twin(
            noisy,
            torch.tensor([5, 5]),
            context,
            cross_attention_kwargs=options,
            return_dict=False,
        )[0]


def test_the_network_acts_only_inside_the_block(unet):
    before = answer(unet)
    with hypernet.diffusers.apply(unet, network()):
        inside = answer(unet)
    assert (inside - before).abs().max() > 1e-3
    torch.testing.assert_close(inside, by_host(unet, network()))
    assert answer(unet).equal(before)
    assert not any(module._forward_pre_hooks for module in unet.modules())


def test_a_unet_whose_projections_were_unfused_again_is_accepted(unet):
    with hypernet.diffusers.apply(unet, network()):
        before = answer(unet)
    other = copy.deepcopy(unet)
    other.fuse_qkv_projections()
    other.unfuse_qkv_projections()  # leaves the layers' flag set
    with hypernet.diffusers.apply(other, network()):
        assert answer(other).equal(before)


@pytest.mark.parametrize(
    "effect", [{"strength": -2.0}, {"keys": 0.0}, {"values": 0.5}, {"widths": {TEXT: 0.0}}]
)
def test_factors_have_the_same_effect_as_in_a_host(unet, effect):
    with hypernet.diffusers.apply(unet, network(), **effect):
        inside = answer(unet)
    if "widths" in effect:
        effect = {"widths": tuple(effect["widths"].items())}
    torch.testing.assert_close(inside, by_host(unet, network(), **effect))


def test_strength_zero_changes_nothing(unet):
    before = answer(unet)
    with hypernet.diffusers.apply(unet, network(), 0.0):
        assert answer(unet).equal(before)


def test_blocks_nest_and_the_outer_network_acts_first(unet):
    first, second = network(seed=1), network(seed=2)
    with hypernet.diffusers.apply(unet, first), hypernet.diffusers.apply(unet, second):
        both = answer(unet)
    torch.testing.assert_close(both, by_host(unet, first, second))
    assert (both - by_host(unet, second, first)).abs().max() > 1e-4


def test_another_prompt_in_the_same_memory_is_noticed(unet):
    text = torch.randn(2, 7, TEXT, generator=torch.Generator().manual_seed(3))
    with hypernet.diffusers.apply(unet, network()):
        expected = [answer(unet, text * factor) for factor in (1, 2)]
    with hypernet.diffusers.apply(unet, network()):
        found = [answer(unet, text), answer(unet, text.mul_(2))]
    for a, b in zip(found, expected, strict=True):
        assert a.equal(b)


def test_an_error_inside_removes_the_network_too(unet):
    before = answer(unet)
    with pytest.raises(KeyError), hypernet.diffusers.apply(unet, network()):
        raise KeyError
    assert answer(unet).equal(before)


def test_a_pipeline_is_taken_by_its_unet(unet):
    with hypernet.diffusers.apply(SimpleNamespace(unet=unet), network()):
        inside = answer(unet)
    torch.testing.assert_close(inside, by_host(unet, network()))


def test_a_network_that_does_not_fit_is_refused_or_gives_a_warning(unet):
    with pytest.raises(TypeError, match="SimpleNamespace is no UNet"):
        hypernet.diffusers.apply(SimpleNamespace(), network()).__enter__()
    with pytest.raises(ValueError, match=r"5, 7.*16, 24, 32"):
        hypernet.diffusers.apply(unet, network((5, 7))).__enter__()
    with pytest.warns(UserWarning, match="Only 16 can act, 99 cannot"):
        with hypernet.diffusers.apply(unet, network((16, 99))):
            pass


def test_fused_projections_are_refused(unet):
    unet = copy.deepcopy(unet)
    unet.fuse_qkv_projections()
    with pytest.raises(ValueError, match="unfuse_qkv_projections"):
        hypernet.diffusers.apply(unet, network()).__enter__()
    assert not any(module._forward_pre_hooks for module in unet.modules())
