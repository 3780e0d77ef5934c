"""Does a network fit a model: said for streams and widths apart, and by architecture."""

import pytest

from hypernet import HypernetSpec, Hypernetwork
from hypernet.apply.fit import check_fit
from hypernet.network.hypernetwork import Record

FLUX = {"image": (3072,), "text": (3072,), "joint": (3072,)}
ANIMA = {"self": (2048,), "cross": (1024,)}
SD2 = {"attn1": (320, 640, 1280), "attn2": (1024,)}


def placed(*places, architecture="flux"):
    spec = HypernetSpec(widths=(), places=places, layer_structure=(1, 0.01, 1))
    return Hypernetwork(spec, Record(name="ink", architecture=architecture))


def of_widths(*widths):
    return Hypernetwork(HypernetSpec(widths=widths, layer_structure=(1, 0.01, 1)), Record(name="o"))


@pytest.mark.parametrize("places", [[("joint", 3072)], [("image", 3072), ("text", 3072)]])
def test_a_network_for_some_streams_of_its_model_fits(places):
    assert check_fit(placed(*places), FLUX, "flux") == ""


def test_a_stream_that_the_model_lacks_is_named_though_its_width_is_there():
    warning = check_fit(placed(("joint", 3072), ("self", 3072)), FLUX, "flux")
    for words in ("joint 3072, self 3072", "Only joint 3072 can act, self 3072 cannot"):
        assert words in warning


def test_without_a_common_stream_it_is_refused_with_the_places_of_both():
    with pytest.raises(ValueError, match=r"places self 3072; this model has image 3072, joint"):
        check_fit(placed(("self", 3072)), FLUX, "flux")


@pytest.mark.parametrize("architecture", ["qwen_image", "flux2", "unet"])
def test_one_width_in_another_architecture_is_refused(architecture):
    with pytest.raises(ValueError, match="flux"):
        check_fit(placed(("joint", 3072)), {"joint": (3072,)}, architecture)


def test_a_related_architecture_is_said_beside_what_cannot_act():
    warning = check_fit(placed(("joint", 3072), ("self", 3072)), FLUX, "chroma")
    assert "chroma" in warning and "Only joint 3072 can act" in warning


def test_an_old_file_acts_on_anima_by_width_with_a_warning():
    assert check_fit(of_widths(1024), ANIMA, "anima")
    assert "Only 1024 can act" in check_fit(of_widths(320, 1024), ANIMA, "anima")
    with pytest.raises(ValueError, match="768"):
        check_fit(of_widths(768), ANIMA, "anima")


def test_an_old_file_is_refused_where_none_was_ever_trained():
    with pytest.raises(ValueError, match="flux"):
        check_fit(of_widths(3072), FLUX, "flux")


def test_a_unets_file_fits_a_unet():
    assert check_fit(of_widths(320, 1024), SD2, "unet") == check_fit(of_widths(1024), SD2) == ""
