"""The focal point of a crop is where there is something to see."""

import numpy as np
import pytest
from PIL import Image

from hypernet.pictures import faces
from hypernet.pictures.focus import (
    FACES_SMALL,
    FocusWeights,
    edge_point,
    entropy_point,
    face_point,
    focal_point,
    miniature,
)

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8))
ONLY = {
    "edges": FocusWeights(faces=0, edges=1, entropy=0),
    "entropy": FocusWeights(faces=0, edges=0, entropy=1),
    "all": FocusWeights(),
}


@pytest.mark.parametrize("weights", ONLY.values(), ids=ONLY)
@pytest.mark.parametrize(("x", "side"), [(10, "left"), (330, "right")])
def test_the_focal_point_is_where_something_is(weights, x, side):
    picture = Image.new("RGB", (400, 100), "white")
    picture.paste(NOISE, (x, 10))
    found = focal_point(picture, 1.0, weights)[0]
    assert (found < 0.3) if side == "left" else (found > 0.7)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (400, 100), (1, 5000), (5000, 1)])
def test_an_empty_picture_has_its_focal_point_in_the_middle(size):
    x, y = focal_point(Image.new("RGB", size, "grey"), 1.0)
    assert x == pytest.approx(0.5, abs=0.01) and y == pytest.approx(0.5, abs=0.01)


def test_a_signature_at_the_bottom_does_not_count():
    picture = Image.new("RGB", (100, 400), "white")
    picture.paste(NOISE.resize((60, 20)), (20, 375))
    assert edge_point(miniature(picture, 256)) is None
    picture.paste(NOISE, (20, 30))
    assert edge_point(miniature(picture, 256))[1] < 0.3


def test_without_any_method_the_focal_point_is_the_middle():
    assert focal_point(NOISE, 1.0, FocusWeights(faces=0, edges=0, entropy=0)) == (0.5, 0.5)


def test_faces_are_weighted_by_their_area():
    picture = Image.new("RGB", (200, 100))
    assert face_point([], picture) is None
    small, large = (0, 0, 5, 5), (150, 50, 50, 50)
    x, y = face_point([small, large], picture)
    assert 0.85 < x < 0.88 and 0.73 < y < 0.76
    found = focal_point(
        picture, 1.0, FocusWeights(faces=1, edges=0, entropy=0), lambda grey: [large]
    )
    assert found == (0.875, 0.75)


def test_a_big_picture_and_its_miniature_have_their_faces_at_the_same_place():
    big, half = Image.new("RGB", (2048, 1024)), FACES_SMALL // 2
    assert face_point([(half, 0, half, half)], big) == (0.75, 0.5)


def test_entropy_is_measured_in_a_window_of_the_crops_shape():
    grey = np.zeros((100, 300), np.uint8)
    grey[:, 200:] = np.random.default_rng(0).integers(0, 256, (100, 100))
    assert entropy_point(grey, 1.0) == pytest.approx((250 / 300, 0.5))
    assert entropy_point(grey, 3.0) == (0.5, 0.5)


def test_a_missing_opencv_is_reported(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    find, lacking = faces.face_finder()
    assert find(np.zeros((9, 9), np.uint8)) == []
    assert "OpenCV is not installed" in lacking and "opencv-python-headless" in lacking


def test_where_opencv_is_installed_flat_grey_has_no_face():
    pytest.importorskip("cv2")
    find, lacking = faces.face_finder()
    assert find(np.full((200, 200), 128, np.uint8)) == []
    assert lacking == "" or "without its face detector" in lacking
