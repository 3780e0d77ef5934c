"""Which pictures look the same."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from hypernet.dataset.in_words import report
from hypernet.dataset.reading import read_dataset
from hypernet.pictures.duplicates import alike, look_of


def scene(seed, size=(160, 120)):
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    "change",
    [
        lambda picture, path: picture.save(path.with_suffix(".jpg"), quality=60),
        lambda picture, path: picture.resize((75, 57)).save(path),
        lambda picture, path: ImageEnhance.Brightness(picture).enhance(1.03).save(path),
        lambda picture, path: picture.convert("RGBA").save(path.with_suffix(".webp"), quality=50),
    ],
    ids=["jpeg", "smaller", "brighter", "webp"],
)
def test_a_picture_saved_again_looks_the_same(tmp_path, change):
    scene(1).save(tmp_path / "a.png")
    change(scene(1), tmp_path / "b.png")
    for seed in range(2, 12):
        scene(seed).save(tmp_path / f"other {seed}.png")
    dataset = read_dataset(tmp_path, 64, 64, find_alike=True)
    ((one, other),) = dataset.alike
    assert one == "a.png" and other.startswith("b.")
    assert f'These look the same: "a.png", "{other}".' in report(dataset)


def test_flat_pictures_are_distinguished_by_their_colour(tmp_path):
    for name, colour in (("a", "red"), ("b", "blue"), ("c", (250, 3, 0))):
        Image.new("RGB", (20, 20), colour).save(tmp_path / f"{name}.png")
    assert read_dataset(tmp_path, 64, 64, find_alike=True).alike == (("a.png", "c.png"),)


def test_groups_are_found_across_blocks_of_the_comparison():
    looks = [np.random.default_rng(seed).bytes(11).hex() for seed in range(600)]
    assert alike(looks) == []
    looks[599] = looks[300] = looks[5]
    assert alike(looks) == [[5, 300, 599]]
    assert alike([]) == []


def test_the_search_names_pictures_that_cannot_be_decoded(tmp_path):
    scene(1).save(tmp_path / "good.png")
    scene(2).save(tmp_path / "rotten.png")
    written = bytearray((tmp_path / "rotten.png").read_bytes())
    written[100:3000] = bytes(2900)
    (tmp_path / "rotten.png").write_bytes(written)
    dataset = read_dataset(tmp_path, 64, 64, find_alike=True, skip_unreadable=True)
    assert [name for name, _ in dataset.unreadable] == ["rotten.png"]


def test_a_look_is_cached_with_the_measurements(tmp_path, monkeypatch):
    folder = tmp_path / "pictures"
    folder.mkdir()
    scene(1).save(folder / "a.png")
    scene(1).save(folder / "b.png")
    first = read_dataset(folder, 64, 64, find_alike=True, cache=tmp_path / "cache")
    monkeypatch.setattr("hypernet.dataset.reading.look_of", None)
    again = read_dataset(folder, 64, 64, find_alike=True, cache=tmp_path / "cache")
    assert again.alike == first.alike == (("a.png", "b.png"),)


def test_a_rotated_photo_looks_like_its_upright_copy(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    scene(1).save(tmp_path / "turned.jpg", exif=exif)
    scene(1).transpose(Image.Transpose.ROTATE_270).save(tmp_path / "upright.png")
    assert len(alike([look_of(tmp_path / "turned.jpg"), look_of(tmp_path / "upright.png")])) == 1
