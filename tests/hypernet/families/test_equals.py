"""Which model may use which network: equal widths are no reason."""

from __future__ import annotations

import re
from itertools import product

import pytest

from hypernet.families import misfit
from hypernet.families.comfyui_table import COMFYUI
from hypernet.families.diffusers_table import DIFFUSERS

NAMES = {
    family.architecture
    for family in (*COMFYUI.values(), *DIFFUSERS.values())
    if isinstance(family.architecture, str)
} | {"flux", "flux2", "lumina2", "z_image", "cosmos_predict2"}


@pytest.mark.parametrize("name", ["", *sorted(NAMES)])
def test_a_network_fits_the_architecture_that_it_was_trained_for(name):
    assert misfit(name, name or "unet") == ""


@pytest.mark.parametrize(
    ("trained_for", "architecture"),
    [("anima", "cosmos_predict2"), ("cosmos_predict2", "anima"), ("unet", "unet"), ("unet", "")],
)
def test_models_of_one_origin_and_one_class_share_networks(trained_for, architecture):
    assert misfit(trained_for, architecture) == ""


@pytest.mark.parametrize(
    ("trained_for", "architecture", "words"),
    [
        ("flux", "chroma", "trained for flux and acts on chroma"),
        ("chroma", "flux", "trained for chroma and acts on flux"),
        ("", "anima", "does not say.*Stable Diffusion, it does not fit anima"),
        ("", "cosmos_predict2", "does not say.*does not fit cosmos_predict2"),
    ],
)
def test_relatives_and_old_files_act_with_a_warning(trained_for, architecture, words):
    assert re.search(words, misfit(trained_for, architecture))


@pytest.mark.parametrize(
    ("trained_for", "architecture", "words"),
    [
        ("flux2", "flux", "trained for flux2 and the model is flux"),  # klein 4B is 3072 wide, too
        ("qwen_image", "flux", "trained for qwen_image and the model is flux"),
        ("lumina2", "z_image", "trained for lumina2 and the model is z_image"),
        ("", "flux", "trained for Stable Diffusion's UNets and the model is flux"),
        ("anima", "unet", "trained for anima and the model is a UNet, as Stable"),
    ],
)
def test_everything_else_is_refused_in_words(trained_for, architecture, words):
    with pytest.raises(ValueError, match=words):
        misfit(trained_for, architecture)


def test_no_two_other_architectures_share_networks():
    together = {
        (one, other) for one, other in product(sorted(NAMES), repeat=2) if not refused(one, other)
    }
    pairs = [("anima", "cosmos_predict2"), ("chroma", "flux")]
    expected = {(name, name) for name in NAMES} | {*pairs, *((b, a) for a, b in pairs)}
    expected |= {("unet", "anima"), ("unet", "cosmos_predict2")}
    assert together == expected


def refused(trained_for: str, architecture: str) -> bool:
    try:
        misfit(trained_for, architecture)
    except ValueError:
        return True
    return False
