"""Picture files, whole and broken, in every mode and format that people have."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from hypernet.pictures.reading import SUFFIXES, open_picture, picture_size

FORMATS = sorted(SUFFIXES)


def noise(width, height):
    numbers = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(numbers)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_whole_picture_is_measured(tmp_path, suffix):
    noise(90, 60).save(tmp_path / f"a{suffix}")
    assert picture_size(tmp_path / f"a{suffix}") == (90, 60)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_that_was_cut_off_is_found_without_decoding_it(tmp_path, suffix, share):
    path = tmp_path / f"a{suffix}"
    noise(90, 60).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ValueError):
        picture_size(path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_few_bytes_after_the_end_do_no_harm(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    noise(90, 60).save(path)
    with open(path, "ab") as file:
        file.write(b"written by some camera")
    assert picture_size(path) == (90, 60)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "the file is empty"), (b"a list of things to do", "no picture by its content")],
)
def test_a_file_that_is_no_picture_is_refused_in_words(tmp_path, content, words):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        picture_size(tmp_path / "a.png")


def test_an_enormous_picture_is_refused_before_it_takes_memory(tmp_path):
    Image.new("1", (30_000, 30_000)).save(tmp_path / "huge.png")
    with pytest.raises(ValueError, match="more than 89 million pixels"):
        picture_size(tmp_path / "huge.png")
    Image.new("1", (30_000, 1)).save(tmp_path / "long.png")
    assert picture_size(tmp_path / "long.png") == (30_000, 1)


def test_orientation_is_obeyed(tmp_path):
    turned = Image.new("RGB", (64, 32), "black")
    turned.paste("white", (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored rotated by a quarter turn
    turned.save(tmp_path / "turned.jpg", exif=exif)
    assert picture_size(tmp_path / "turned.jpg") == (32, 64)
    shown = open_picture(tmp_path / "turned.jpg")
    assert shown.getpixel((16, 8)) == (255, 255, 255) and shown.getpixel((16, 56)) == (0, 0, 0)


def grey16(path):
    Image.fromarray(np.full((8, 8), 0x8042, dtype=np.uint16)).save(path)


def half_clear(path):
    Image.new("RGBA", (8, 8), (255, 0, 0, 128)).save(path)


def palette_with_a_clear_colour(path):
    Image.new("P", (8, 8), 0).save(path, transparency=0)


def floats(path):
    Image.fromarray(np.full((8, 8), 0.5, dtype=np.float32)).save(path)


def inks(path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(path)


@pytest.mark.parametrize(
    ("write", "suffix", "pixel"),
    [
        (grey16, ".png", (128, 128, 128)),
        (grey16, ".tif", (128, 128, 128)),
        (half_clear, ".png", (255, 127, 127)),
        (palette_with_a_clear_colour, ".png", (255, 255, 255)),
        (floats, ".tif", (128, 128, 128)),
        (inks, ".tif", (255, 0, 0)),
        (inks, ".jpg", (254, 0, 0)),
    ],
)
def test_pixels_are_as_their_maker_intended(tmp_path, write, suffix, pixel):
    write(tmp_path / f"a{suffix}")
    shown = open_picture(tmp_path / f"a{suffix}")
    assert shown.mode == "RGB"
    assert np.abs(np.subtract(shown.getpixel((4, 4)), pixel)).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "CMYK", "YCbCr"])
def test_every_mode_gives_rgb(tmp_path, mode):
    path = tmp_path / ("a.tif" if mode in ("I", "CMYK", "YCbCr") else "a.png")
    Image.new(mode, (8, 6)).save(path)
    shown = open_picture(path)
    assert shown.mode == "RGB" and shown.size == (8, 6)


def test_a_colour_profile_is_applied(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exchanged = srgb.replace(b"rXYZ", b"?").replace(b"gXYZ", b"rXYZ").replace(b"?", b"gXYZ")
    exchanged = exchanged.replace("sRGB".encode("utf-16-be"), "odd!".encode("utf-16-be"))
    for name, profile in (("same", srgb), ("exchanged", exchanged), ("broken", b"no profile")):
        Image.new("RGB", (8, 8), (250, 10, 10)).save(tmp_path / f"{name}.png", icc_profile=profile)
    same, other, broken = (
        open_picture(tmp_path / f"{name}.png").getpixel((0, 0))
        for name in ("same", "exchanged", "broken")
    )
    assert same == broken == (250, 10, 10)
    assert np.abs(np.subtract(other, (10, 250, 10))).max() <= 3


def test_a_broken_picture_is_refused_by_name(tmp_path):
    buffer = io.BytesIO()
    noise(90, 60).save(buffer, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(buffer.getvalue()[:-500])
    with pytest.raises(ValueError, match=r"cut\.jpg.*truncated"):
        open_picture(tmp_path / "cut.jpg")
