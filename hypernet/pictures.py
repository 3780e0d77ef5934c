"""One picture file: its size, what is wrong with it, and its pixels as its maker meant them.

A folder of ten thousand pictures is looked through in seconds, so a picture is measured by its
header and its end alone: every format says in one of them how long it is, and a file that was cut
off is found without decoding it. Only what this cannot tell is decoded.

Pixels come out as RGB in 8 bits: turned as the camera was held (EXIF), in sRGB (colour profiles),
on white where they are transparent, and 16 bits brought to 8.
"""

from __future__ import annotations

import io
import os
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"}
TAIL = 1024  # bytes; some programs write a little behind the end of a picture
PNG_TAIL = 65_536  # bytes, in which a PNG has its EXIF data if not before its pixels
ORIENTATION, STRIP_OFFSETS, STRIP_LENGTHS = 274, 273, 279  # EXIF and TIFF tags
TURNED = {5, 6, 7, 8}  # orientations that exchange width and height


# --- measuring -----------------------------------------------------------------------------------


def measure(path: Path) -> tuple[int, int]:
    """Width and height in pixels, as it is shown. Raises ValueError with the reason if it can't
    be."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with open(path, "rb") as file, Image.open(file) as picture:
                if not ENDS.get(picture.format, decodes)(picture, file):
                    picture.load()  # says what is missing, if anything is
                size = picture.size
                turned = exif(picture, file).get(ORIENTATION) in TURNED
    except Exception as fault:  # Pillow's decoders raise many kinds
        raise ValueError(reason(path, fault)) from fault
    return (size[1], size[0]) if turned else size


def reason(path: Path, fault: Exception) -> str:
    """Why it can't be read, in words, without its path."""
    if isinstance(fault, UnidentifiedImageError):
        return "the file is empty" if not path.stat().st_size else "no picture by its content"
    if isinstance(fault, (Image.DecompressionBombWarning, Image.DecompressionBombError)):
        return f"more than {Image.MAX_IMAGE_PIXELS // 1_000_000} million pixels; make it smaller"
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    return (str(fault).splitlines() or [type(fault).__name__])[0].replace(str(path), path.name)


def exif(picture: Image.Image, file: BinaryIO) -> Image.Exif:
    """Without decoding the picture. A PNG may have it behind its pixels, and Pillow decodes every
    PNG to look there."""
    if picture.format == "PNG" and b"eXIf" not in tail(file, PNG_TAIL):
        return Image.Image.getexif(picture)
    return picture.getexif()


def tail(file: BinaryIO, most: int = TAIL) -> bytes:
    file.seek(max(0, file.seek(0, os.SEEK_END) - most))
    return file.read()


def length(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def starts(file: BinaryIO, count: int) -> bytes:
    file.seek(0)
    return file.read(count)


def boxes_fit(picture: Image.Image, file: BinaryIO) -> bool:
    """AVIF: the file is a row of boxes, each with its length."""
    end, place = length(file), 0
    while place < end:
        file.seek(place)
        head = file.read(16)
        if len(head) < 8:
            return False
        size = struct.unpack(">I", head[:4])[0]
        if size == 1 and len(head) == 16:  # the long form
            size = struct.unpack(">Q", head[8:])[0]
        if size < 8:  # 0: to the end of the file, which tells nothing
            return False
        place += size
    return place == end


def strips_fit(picture: Image.Image, file: BinaryIO) -> bool:
    """TIFF: a table of places and lengths."""
    tags = picture.tag_v2
    if STRIP_OFFSETS not in tags or STRIP_LENGTHS not in tags:
        return False
    ends = (at + n for at, n in zip(tags[STRIP_OFFSETS], tags[STRIP_LENGTHS], strict=True))
    return max(ends) <= length(file)


def decodes(picture: Image.Image, file: BinaryIO) -> bool:
    """Any other format: nothing but decoding tells."""
    return False


# By Pillow's name of the format: does the file hold all that it claims? False is "not sure".
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
    """The whole picture, RGB, 8 bits. least: where that saves time it may come smaller, with no
    side below so many pixels. Raises ValueError naming the file and the reason."""
    try:
        with Image.open(path) as stored:
            if least:
                stored.draft(None, (least, least))
            stored.load()
            return on_white(in_srgb(in_eight_bits(ImageOps.exif_transpose(stored))))
    except Exception as fault:  # Pillow's decoders raise many kinds
        raise ValueError(f'"{path}" cannot be read: {reason(path, fault)}.') from fault


def open_alpha(path: Path) -> Image.Image | None:
    """How opaque each pixel is, as "L"; None where the file has no transparency. Raises ValueError
    as open_picture does."""
    try:
        with Image.open(path) as stored:
            upright = ImageOps.exif_transpose(stored)
            return upright.convert("RGBA").getchannel("A") if is_transparent(upright) else None
    except Exception as fault:  # Pillow's decoders raise many kinds
        raise ValueError(f'"{path}" cannot be read: {reason(path, fault)}.') from fault


def open_grey(path: Path) -> Image.Image:
    """Brightness as "L", black where the file is transparent. Raises ValueError as open_picture
    does."""
    try:
        with Image.open(path) as stored:
            upright = in_eight_bits(ImageOps.exif_transpose(stored))
            if is_transparent(upright):
                clear = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", clear.size, "black"), clear)
            return upright.convert("L")
    except Exception as fault:  # Pillow's decoders raise many kinds
        raise ValueError(f'"{path}" cannot be read: {reason(path, fault)}.') from fault


def in_eight_bits(picture: Image.Image) -> Image.Image:
    """Pillow cuts off what is above 255 in its grey modes of 16 and 32 bits; this scales it."""
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
    """By the profile that the file brings; unchanged when there is none or it is of no use."""
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
    except (ImageCms.PyCMSError, OSError, ValueError):  # of another colour space, or broken
        return picture
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
