"""Cuts: which part of a picture is shown, and that nothing is stretched."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from hypernet.pictures.crop import (
    OBJECTIVES,
    at_own_size,
    auto_sized,
    cover,
    difference,
    fit,
    flipped,
    split,
    split_oversized,
    split_places,
    take,
)


@pytest.mark.parametrize(
    ("across", "down", "width", "height", "threshold", "places"),
    [
        (512, 1024, 512, 512, 0.5, [0, 256, 512]),
        (512, 1100, 512, 512, 0.5, [0, 294, 588]),
        (3000, 1000, 512, 512, 0.5, [0, 341, 682, 1024]),
        (1024, 2048, 512, 768, 0.75, [0, 256]),
        (1024, 2048, 512, 768, 0.5, []),  # a crop would keep three quarters
        (700, 1000, 512, 512, 0.5, []),
        (512, 512, 512, 512, 1.0, []),
        (600, 700, 512, 1024, 1.0, []),  # the target is longer than the picture
        (512, 513, 512, 512, 1.0, [0, 1]),
        (1000, 1001, 512, 512, 1.0, []),  # one part: A1111 divides by zero
    ],
)
def test_an_oversized_picture_is_split_at(across, down, width, height, threshold, places):
    assert split_places(across, down, width, height, threshold) == places
    turned = split_places(down, across, height, width, threshold)
    assert turned == places or across == down


@pytest.mark.parametrize("size", [(512, 1024), (300, 1000), (1000, 300), (40, 5000), (512, 520)])
@pytest.mark.parametrize("target", [(512, 512), (512, 768), (64, 128)])
@pytest.mark.parametrize("threshold", [0, 0.5, 7])
@pytest.mark.parametrize("overlap", [-1, 0.2, 1])
def test_parts_have_the_targets_shape_and_reach_from_end_to_end(size, target, threshold, overlap):
    cuts = split(*size, *target, threshold, overlap)
    for cut in cuts:
        left, top, right, bottom = cut.box
        assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
        assert (right - left) / (bottom - top) == pytest.approx(target[0] / target[1])
    if cuts:
        scale = (cuts[0].box[2] - cuts[0].box[0]) / target[0]
        assert cuts[0].box[:2] == (0, 0)
        assert max(size) - max(cuts[-1].box[2:]) <= scale  # less than a pixel of the target
        for one, next_one in pairwise(cuts):
            assert next_one.box[0] <= one.box[2] and next_one.box[1] <= one.box[3]


def test_a_part_shows_exactly_the_rows_of_its_box():
    rows = np.broadcast_to(np.arange(1024)[:, None] // 4, (1024, 512)).astype(np.uint8)
    parts = split_oversized(Image.fromarray(rows), 512, 512)
    assert [part.size for part in parts] == [(512, 512)] * 3
    for part, begin in zip(parts, (0, 256, 512), strict=True):
        assert np.array_equal(np.asarray(part), rows[begin : begin + 512])


def test_a_picture_that_is_not_oversized_gives_one_cropped_part():
    (only,) = split_oversized(Image.new("RGB", (90, 60)), 48, 40)
    assert only.size == (48, 40)


@pytest.mark.parametrize(
    ("focus", "box"),
    [
        ((0.5, 0.5), (150, 0, 250, 100)),
        ((0.0, 0.5), (0, 0, 100, 100)),
        ((0.2, 0.9), (30, 0, 130, 100)),
        ((1.0, 1.0), (300, 0, 400, 100)),
    ],
)
def test_the_focus_is_in_the_middle_as_far_as_the_edges_allow(focus, box):
    assert cover(400, 100, 64, 64, focus).box == pytest.approx(box)


SIZES = [(1, 1), (1, 30_000), (30_000, 100), (513, 511), (1000, 700), (7, 4000), (64, 64)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "make",
    [
        lambda w, h: cover(w, h, 512, 768),
        lambda w, h: fit(w, h, 512, 512),
        at_own_size,
        lambda w, h: auto_sized(w, h, threshold=1),
    ],
    ids=["cover", "fit", "own size", "auto size"],
)
def test_no_picture_is_stretched(make, size):
    cut = make(*size)
    left, top, right, bottom = cut.box
    assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
    assert (right - left) / (bottom - top) == pytest.approx(cut.width / cut.height)
    assert cut.width % 8 == 0 and cut.height % 8 == 0
    assert take(Image.new("RGB", size), cut).size == (cut.width, cut.height)


@pytest.mark.parametrize(
    ("size", "found"),
    [((1000, 500), (512, 256)), ((512, 512), (512, 512)), ((500, 333), (512, 336))],
)
def test_a_fitted_picture_is_complete_except_for_rounding_to_8_pixels(size, found):
    cut = fit(*size, 512, 512)
    assert (cut.width, cut.height) == found
    lost = 1 - (cut.box[2] - cut.box[0]) * (cut.box[3] - cut.box[1]) / (size[0] * size[1])
    assert lost < 8 / min(found)


def test_a_picture_at_its_own_size_is_not_resampled():
    noise = np.random.default_rng(0).integers(0, 256, (67, 45, 3), dtype=np.uint8)
    cut = at_own_size(45, 67)
    assert (cut.width, cut.height) == (40, 64)
    cut = at_own_size(40, 64)
    picture = Image.fromarray(noise[:64, :40])
    assert np.array_equal(np.asarray(take(picture, cut)), noise[:64, :40])


@pytest.mark.parametrize(
    ("size", "objective", "found"),
    [
        ((1000, 1000), "maximize area", (640, 640)),
        ((1000, 700), "maximize area", (704, 576)),
        ((1000, 700), "minimize difference", (640, 448)),
        ((3000, 500), "maximize area", None),
    ],
)
def test_auto_size_is_the_best_by_the_objective(size, objective, found):
    cut = auto_sized(*size, objective=objective, threshold=0.15)
    assert found == (cut and (cut.width, cut.height))
    if cut:
        assert difference(size[0] / size[1], cut.width / cut.height) <= 0.15
        assert cut.width * cut.height <= 640 * 640


def test_both_objectives_of_auto_size_are_known():
    assert set(OBJECTIVES) == {"maximize area", "minimize difference"}


def test_a_flipped_cut_is_the_mirror_of_the_same_part():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 70), dtype=np.uint8))
    cut = cover(70, 40, 16, 16)
    plain, mirrored = (np.asarray(take(noise, each)) for each in (cut, flipped(cut)))
    assert np.array_equal(plain, mirrored[:, ::-1]) and flipped(flipped(cut)) == cut


def test_a_file_that_became_smaller_is_refused():
    with pytest.raises(ValueError, match="50×50 pixels now.*load the dataset again"):
        take(Image.new("RGB", (50, 50)), cover(100, 100, 64, 64))
