"""A PNG without the metadata that keeps Pillow from its pixels.

A PNG is a signature and chunks: length, kind, data, CRC. Pillow refuses the whole picture for a
text or a colour profile of more than a megabyte unpacked, and for a wrong CRC in a chunk that no
pixel depends on (its kind begins with a small letter), or for one that is malformed. Viewers leave
those aside. Of the others only transparency, a colour profile and EXIF data matter here.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from PIL import PngImagePlugin

SIGNATURE = b"\x89PNG\r\n\x1a\n"
USED = (b"tRNS", b"iCCP", b"eXIf")

Chunk = tuple[bytes, bytes, bytes]  # kind, data, CRC


def without_metadata(file: BinaryIO) -> BinaryIO | None:
    """The PNG with no metadata but what is used and can be; None for another file."""
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
    """As far as the file goes: a last one may be cut off."""
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
    """To no more than Pillow takes? It begins with its method, of which there is one, 0."""
    most = PngImagePlugin.MAX_TEXT_CHUNK
    try:
        unpacked = zlib.decompressobj().decompress(profile[1:], most + 1)
    except zlib.error:
        return False
    return profile[:1] == b"\0" and len(unpacked) <= most
