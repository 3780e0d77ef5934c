"""Which network suits a model, by the widths of its streams."""

import pytest

from hypernet.network.for_model import fitted, is_unet, read_places, usual_structure
from hypernet.network.spec import HypernetSpec

SD1 = {"attn1": (320, 640, 1280), "attn2": (768,)}
FLUX = {"image": (3072,), "text": (3072,), "joint": (3072,)}
ANIMA = {"self": (2048,), "cross": (1024,)}


def fit(streams, **changes):
    return fitted(HypernetSpec(), streams, **{"every_width": True} | changes)


def test_a_unet_gets_a_pair_for_each_width():
    assert is_unet(SD1)
    spec = fit(SD1)
    assert spec.widths == (320, 640, 768, 1280)
    assert (spec.places, spec.arithmetic) == ((), "float32")


def test_a_transformer_gets_a_pair_for_each_stream():
    spec = fit(FLUX, groups=3)
    assert spec.places == (("image", 3072), ("joint", 3072), ("text", 3072))
    assert (spec.groups, len(spec.pairs), spec.arithmetic) == (3, 9, "bfloat16")


@pytest.mark.parametrize(("architecture", "places"), [("z_image", 1), ("lumina2", 1), ("flux", 3)])
def test_refiners_are_left_out_unless_they_are_chosen(architecture, places):
    spec = fit(FLUX, architecture=architecture)
    assert len(spec.places) == places and ("joint", 3072) in spec.places
    chosen = fit(FLUX, architecture=architecture, chosen=("text",))
    assert chosen.places == (("text", 3072),)


def test_only_the_chosen_streams_and_widths():
    assert fit(FLUX, chosen=("joint",)).places == (("joint", 3072),)
    typed = fitted(HypernetSpec(widths=(1024,)), ANIMA, every_width=False)
    assert typed.places == (("cross", 1024),)


@pytest.mark.parametrize(
    ("streams", "structure"),
    [
        (SD1, (1, 2, 1)),
        (FLUX, (1, 0.25, 1)),
        ({"joint": (6144,)}, (1, 0.125, 1)),
    ],
)
def test_auto_is_narrow_where_blocks_are_wide(streams, structure):
    assert usual_structure(streams) == structure


@pytest.mark.parametrize(
    ("streams", "changes", "words"),
    [
        (ANIMA, {"every_width": False}, "Widths 320, 640, 768, 1280 are not in this model, which"),
        (ANIMA, {"chosen": ("image",)}, 'Places "image" are not in this model, which has self, cr'),
        (SD1, {"chosen": ("self",)}, "places and groups are for transformers"),
        (SD1, {"groups": 2}, "places and groups are for transformers"),
    ],
)
def test_what_the_model_does_not_have_is_refused(streams, changes, words):
    with pytest.raises(ValueError, match=words):
        fit(streams, **changes)


def test_places_are_read_from_a_text():
    assert read_places(" image, joint ") == ("image", "joint")
    assert read_places("") == ()
    with pytest.raises(ValueError, match='Places "image, jiont": "jiont" is none'):
        read_places("image, jiont")
