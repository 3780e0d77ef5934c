"""Damaged or oversized metadata doesn't make a picture unreadable."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, UnidentifiedImageError

from hypernet.pictures.duplicates import look_of
from hypernet.pictures.png_metadata import SIGNATURE, chunks
from hypernet.pictures.reading import open_picture, picture_size

LONG = b"a workflow " * 200_000  # more than the 1 MiB that Pillow unpacks
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8))
SIDEWAYS = Image.Exif()
SIDEWAYS[0x0112] = 6


def saved(kind, **options):
    buffer = io.BytesIO()
    NOISE.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind, data, spoilt=False):
    crc = zlib.crc32(kind + data) ^ spoilt
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def png(*extra, behind=False):
    """The picture with these chunks before or behind its pixels."""
    parts = [chunk(kind, data) for kind, data, _ in chunks(file_of(saved("PNG")))]
    place = -1 if behind else 1
    return SIGNATURE + b"".join([*parts[:place], *extra, *parts[place:]])


def file_of(content):
    file = io.BytesIO(content)
    file.seek(len(SIGNATURE))
    return file


def packed(data):
    return zlib.compress(data, 1)


ICC = b"icc\0\0"
CASE_01 = {
    "a compressed text of 2 MiB": png(chunk(b"zTXt", b"workflow\0\0" + packed(LONG))),
    "an international text of 2 MiB": png(
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed(LONG))
    ),
    "a colour profile of 2 MiB": png(chunk(b"iCCP", ICC + packed(SRGB + bytes(2**21)))),
    "an EXIF chunk of rubbish": png(chunk(b"eXIf", b"garbage")),
    "a text with a wrong CRC": png(chunk(b"tEXt", b"a\0b", spoilt=True)),
}
OTHERS = {
    "a compressed text behind the pixels": png(
        chunk(b"zTXt", b"workflow\0\0" + packed(LONG)), behind=True
    ),
    "a text by no method that there is": png(chunk(b"zTXt", b"workflow\0\7abc")),
    "an international text cut short": png(chunk(b"iTXt", b"a\0\1")),
    "70 MiB of plain text": png(*[chunk(b"tEXt", b"a%d\0" % n + b"x" * 2**20) for n in range(70)]),
    "a colour profile that does not unpack": png(chunk(b"iCCP", ICC + b"rubbish")),
    "a colour profile by another method": png(chunk(b"iCCP", b"icc\0\1" + packed(SRGB))),
    "a colour profile with a wrong CRC": png(chunk(b"iCCP", ICC + packed(SRGB), spoilt=True)),
    "EXIF data with a wrong CRC": png(chunk(b"eXIf", SIDEWAYS.tobytes()[6:], spoilt=True)),
    "EXIF data of rubbish behind the pixels": png(chunk(b"eXIf", b"MM\0"), behind=True),
    "a gamma cut short": png(chunk(b"gAMA", b"\0")),
    "a resolution with a wrong CRC": png(chunk(b"pHYs", bytes(9), spoilt=True)),
    "a private chunk with a wrong CRC": png(chunk(b"prVt", b"camera", spoilt=True)),
}
SPOILT_EXIF = b"Exif\0\0MM\0\0garbage"
NO_NUMBER = SIDEWAYS.tobytes().replace(b"\x01\x12\x00\x03", b"\x01\x12\x00\x02")  # a text instead


@pytest.mark.parametrize("what", [*CASE_01, *OTHERS])
def test_a_png_is_read_whatever_its_metadata_is(tmp_path, what):
    path = tmp_path / "a.png"
    path.write_bytes((CASE_01 | OTHERS)[what])
    assert picture_size(path) == (30, 20)
    assert np.array_equal(open_picture(path), NOISE)
    assert look_of(path)


@pytest.mark.parametrize("what", CASE_01)
def test_case_01_is_about_what_pillow_refuses(what):
    with pytest.raises((ValueError, SyntaxError, UnidentifiedImageError)):
        with Image.open(io.BytesIO(CASE_01[what])) as picture:
            picture.load()
            picture.getexif()


@pytest.mark.parametrize("exif", [SPOILT_EXIF, NO_NUMBER, b"Exif\0\0", b"\xff" * 40])
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_damaged_exif_data_rotates_no_picture(tmp_path, kind, exif):
    path = tmp_path / f"a.{kind}"
    lossless = {"lossless": True} if kind == "WEBP" else {"quality": 100}
    path.write_bytes(saved(kind, exif=exif, **lossless))
    plain = Image.open(io.BytesIO(saved(kind, **lossless))).convert("RGB")
    assert picture_size(path) == (30, 20)
    assert np.array_equal(open_picture(path), plain)
    assert look_of(path)


def test_intact_metadata_still_counts_beside_damaged_metadata(tmp_path):
    whole, spoilt = SIDEWAYS.tobytes()[6:], chunk(b"tEXt", b"a\0b", spoilt=True)
    (tmp_path / "a.png").write_bytes(png(chunk(b"eXIf", whole), spoilt))
    assert picture_size(tmp_path / "a.png") == (20, 30)
    assert open_picture(tmp_path / "a.png").size == (20, 30)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("held", range(1, 9))
def test_a_picture_is_measured_as_it_is_shown(tmp_path, kind, held):
    exif = Image.Exif()
    exif[0x0112] = held
    path = tmp_path / f"a.{kind}"
    path.write_bytes(saved(kind, exif=exif))
    assert picture_size(path) == open_picture(path).size == ((30, 20) if held < 5 else (20, 30))


def test_a_png_without_its_pixels_stays_unreadable(tmp_path):
    whole = png(chunk(b"tEXt", b"a\0b", spoilt=True))
    (tmp_path / "a.png").write_bytes(whole[: whole.index(b"IDAT") + 40])
    with pytest.raises(ValueError, match=r"a\.png.* cannot be read"):
        open_picture(tmp_path / "a.png")
