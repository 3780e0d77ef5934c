"""Strips metadata from a PNG that Pillow refuses to open because of it.

A PNG is a signature followed by chunks: length, kind, data, CRC. A kind that begins with a small
letter is optional: the pixels don't depend on it. Pillow refuses the whole picture if an optional
chunk is malformed, has a wrong CRC, or holds a text or colour profile of more than a megabyte
unpacked. Viewers skip such chunks, and so does this module. Of the other optional chunks it keeps
transparency, the colour profile and EXIF data.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from PIL import PngImagePlugin

SIGNATURE = b"\x89PNG\r\n\x1a\n"
USED = (b"tRNS", b"iCCP", b"eXIf")  # transparency, colour profile, EXIF

Chunk = tuple[bytes, bytes, bytes]  # kind, data, CRC


def without_metadata(file: BinaryIO) -> BinaryIO | None:
    """The PNG with only its usable metadata; None if the file is no PNG."""
    file.seek(0)
    if file.read(len(SIGNATURE)) != SIGNATURE:
        return None
    kept = (
        struct.pack(">I", len(data)) + kind + data + crc
        for kind, data, crc in chunks(file)
        if is_needed(kind) or is_of_use(kind, data, crc)
    )
    return io.BytesIO(SIGNATURE + b"".join(kept))


def chunks(file: BinaryIO) -> Iterator[Chunk]:
    """All chunks of the file; the last may be cut off."""
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        yield kind, file.read(length), file.read(4)


def is_needed(kind: bytes) -> bool:
    return kind[:1].isupper()


def is_of_use(kind: bytes, data: bytes, crc: bytes) -> bool:
    if kind not in USED or crc != struct.pack(">I", zlib.crc32(kind + data)):
        return False
    return kind != b"iCCP" or unpacks(data.partition(b"\0")[2])


def unpacks(profile: bytes) -> bool:
    """Does it unpack, to no more than Pillow accepts? Its first byte, the method, is always 0."""
    most = PngImagePlugin.MAX_TEXT_CHUNK
    try:
        unpacked = zlib.decompressobj().decompress(profile[1:], most + 1)
    except zlib.error:
        return False
    return profile[:1] == b"\0" and len(unpacked) <= most
