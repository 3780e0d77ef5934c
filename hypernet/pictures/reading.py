"""Reads one picture file: its size, what is wrong with it, and its pixels as viewers show them.

A folder of ten thousand pictures must be read in seconds, so a picture is measured by its header
and its end. In every format one of them tells how long the file is, so a file that was cut off is
found without decoding. A file is decoded only if neither tells.

Broken metadata doesn't make a picture unreadable; it is ignored, as viewers do. Pixels are 8-bit
RGB: rotated according to EXIF, converted to sRGB by the colour profile, on white where transparent,
and scaled down from 16 bits.
"""

from __future__ import annotations

import io
import os
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from .png_metadata import without_metadata

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"}
TAIL = 1024  # bytes; some programs append a little after the end of a picture
PNG_TAIL = 65_536  # bytes at the end of a PNG, where its EXIF data is if not before its pixels
ORIENTATION, STRIP_OFFSETS, STRIP_LENGTHS = 274, 273, 279  # EXIF and TIFF tags
TURNS = {  # the operation that makes a picture of this EXIF orientation upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TURNED = {5, 6, 7, 8}  # orientations that exchange width and height

Result = TypeVar("Result")


# --- measuring -----------------------------------------------------------------------------------


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, as the picture is displayed.

    Raises ValueError with the reason if it cannot be read.
    """

    def size(picture: Image.Image, file: BinaryIO) -> tuple[int, int]:
        if not ENDS.get(picture.format or "", decodes)(picture, file):
            picture.load()  # raises if something is missing
        # Pillow rotates a TIFF by itself
        turned = picture.format != "TIFF" and orientation(picture, file) in TURNED
        return (picture.height, picture.width) if turned else picture.size

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return read(path, size)
    except Exception as fault:  # Pillow's decoders raise many kinds
        raise ValueError(reason(path, fault)) from fault


def read(path: Path, work: Callable[[Image.Image, BinaryIO], Result]) -> Result:
    """work(picture, file), tried again without the metadata if a PNG fails.

    Raises what Pillow and `work` raise.
    """
    with open(path, "rb") as file:
        try:
            with Image.open(file) as picture:
                return work(picture, file)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise
        except Exception:
            if not (plain := without_metadata(file)):
                raise
            with Image.open(plain) as picture:
                return work(picture, plain)


def reason(path: Path, fault: Exception) -> str:
    """Why the file can't be read, in words, without its path."""
    if isinstance(fault, UnidentifiedImageError):
        return "the file is empty" if not path.stat().st_size else "no picture by its content"
    if isinstance(fault, (Image.DecompressionBombWarning, Image.DecompressionBombError)):
        assert Image.MAX_IMAGE_PIXELS is not None  # without a limit, Pillow raises neither
        return f"more than {Image.MAX_IMAGE_PIXELS // 1_000_000} million pixels; make it smaller"
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    return (str(fault).splitlines() or [type(fault).__name__])[0].replace(str(path), path.name)


def orientation(picture: Image.Image, file: BinaryIO) -> int:
    """The EXIF orientation, read without decoding; 1 (upright) if there is no usable EXIF data.

    A PNG may have EXIF data behind its pixels, and Pillow would decode every PNG to look there.
    """
    try:
        if picture.format == "PNG" and b"eXIf" not in tail(file, PNG_TAIL):
            return Image.Image.getexif(picture).get(ORIENTATION, 1)
        return picture.getexif().get(ORIENTATION, 1)
    except Exception:  # broken metadata doesn't make the picture unreadable
        return 1


def tail(file: BinaryIO, most: int = TAIL) -> bytes:
    file.seek(max(0, file.seek(0, os.SEEK_END) - most))
    return file.read()


def length(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def starts(file: BinaryIO, count: int) -> bytes:
    file.seek(0)
    return file.read(count)


def boxes_fit(picture: Image.Image, file: BinaryIO) -> bool:
    """AVIF: the file is a sequence of boxes that begin with their length."""
    end, place = length(file), 0
    while place < end:
        file.seek(place)
        head = file.read(16)
        if len(head) < 8:
            return False
        size = struct.unpack(">I", head[:4])[0]
        if size == 1 and len(head) == 16:  # the long form
            size = struct.unpack(">Q", head[8:])[0]
        if size < 8:  # 0 means "to the end of the file", which can't be checked
            return False
        place += size
    return place == end


def strips_fit(picture: Image.Image, file: BinaryIO) -> bool:
    """TIFF: a table gives the offset and length of every strip."""
    from PIL.TiffImagePlugin import TiffImageFile  # not before there is a TIFF, as Pillow does

    assert isinstance(picture, TiffImageFile)
    tags = picture.tag_v2
    if STRIP_OFFSETS not in tags or STRIP_LENGTHS not in tags:
        return False
    ends = (at + n for at, n in zip(tags[STRIP_OFFSETS], tags[STRIP_LENGTHS], strict=True))
    return max(ends) <= length(file)


def decodes(picture: Image.Image, file: BinaryIO) -> bool:
    """Any other format: only decoding can tell."""
    return False


# By Pillow's name of the format: is the file complete? False means "not sure".
ENDS: dict[str, Callable[[Image.Image, BinaryIO], bool]] = {
    "PNG": lambda picture, file: b"IEND" in tail(file),
    "JPEG": lambda picture, file: b"\xff\xd9" in tail(file),
    "GIF": lambda picture, file: b"\x3b" in tail(file)[-8:],
    "WEBP": lambda picture, file: struct.unpack("<I", starts(file, 8)[4:])[0] + 8 <= length(file),
    "BMP": lambda picture, file: struct.unpack("<I", starts(file, 6)[2:])[0] <= length(file),
    "TIFF": strips_fit,
    "AVIF": boxes_fit,
}


# --- pixels --------------------------------------------------------------------------------------


def open_picture(path: Path, least: int = 0) -> Image.Image:
    """The whole picture as 8-bit RGB.

    least: the picture may be smaller if that saves time, but no side shorter than this many pixels.
    Raises ValueError naming the file and the reason.
    """

    def pixels(picture: Image.Image, file: BinaryIO) -> Image.Image:
        if least:
            picture.draft(None, (least, least))
        return as_rgb(upright(picture, file))

    return opened(path, pixels)


def as_rgb(picture: Image.Image) -> Image.Image:
    """An upright picture as RGB, 8 bits."""
    return on_white(in_srgb(in_eight_bits(picture)))


def open_alpha(path: Path) -> Image.Image | None:
    """The opacity of each pixel, as "L"; None if the file has no transparency.

    Raises ValueError as `open_picture` does.
    """

    def opacity(picture: Image.Image, file: BinaryIO) -> Image.Image | None:
        shown = upright(picture, file)
        return shown.convert("RGBA").getchannel("A") if is_transparent(shown) else None

    return opened(path, opacity)


def open_grey(path: Path) -> Image.Image:
    """The brightness as "L", black where the file is transparent.

    Raises ValueError as `open_picture` does.
    """

    def brightness(picture: Image.Image, file: BinaryIO) -> Image.Image:
        shown = in_eight_bits(upright(picture, file))
        if is_transparent(shown):
            clear = shown.convert("RGBA")
            shown = Image.alpha_composite(Image.new("RGBA", clear.size, "black"), clear)
        return shown.convert("L")

    return opened(path, brightness)


def opened(path: Path, work: Callable[[Image.Image, BinaryIO], Result]) -> Result:
    """As `read`, but every failure is a ValueError naming the file and the reason."""
    try:
        return read(path, work)
    except Exception as fault:  # Pillow's decoders raise many kinds
        raise ValueError(f'"{path}" cannot be read: {reason(path, fault)}.') from fault


def upright(picture: Image.Image, file: BinaryIO) -> Image.Image:
    """The decoded picture, rotated according to its EXIF orientation."""
    picture.load()
    turn = TURNS.get(orientation(picture, file))
    if turn is None:
        return picture
    turned = picture.transpose(turn)
    turned.info = picture.info  # keeps the colour profile and the transparent colour
    return turned


def in_eight_bits(picture: Image.Image) -> Image.Image:
    """Scale 16 and 32 bit greys to 8 bits, where Pillow's own conversion clips them at 255."""
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture).astype(np.uint16) >> 8).astype(np.uint8))
    if picture.mode in ("I", "F"):
        numbers = np.nan_to_num(np.asarray(picture, dtype=np.float64))
        scale = next((s for s in (1.0, 255.0, 65535.0) if numbers.max() <= s), numbers.max())
        if picture.mode == "I" and scale == 1:
            scale = 255.0
        return Image.fromarray((numbers.clip(0, scale) / scale * 255).round().astype(np.uint8))
    return picture


def in_srgb(picture: Image.Image) -> Image.Image:
    """Convert by the embedded colour profile; unchanged if there is none or it is unusable."""
    profile = picture.info.get("icc_profile")
    if not profile or picture.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return picture
    try:
        theirs = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(theirs).lower():
            return picture
        flat = picture.convert("RGB") if picture.mode == "RGBA" else picture
        found = ImageCms.profileToProfile(
            flat, theirs, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):  # for another colour space, or broken
        return picture
    assert found is not None  # only a conversion in place gives nothing back
    if picture.mode == "RGBA":
        found.putalpha(picture.getchannel("A"))
    return found


def on_white(picture: Image.Image) -> Image.Image:
    if is_transparent(picture):
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def is_transparent(picture: Image.Image) -> bool:
    return picture.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in picture.info
