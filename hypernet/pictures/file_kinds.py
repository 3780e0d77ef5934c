"""What kind of file a name in a picture folder stands for, and which files are pictures by content.

Pictures are of the formats that every Pillow reads, and those that the installed one also reads.
Files that operating systems add (thumbnails, bins, settings) are treated as hidden, like names that
begin with a dot.
"""

from __future__ import annotations

from functools import lru_cache

from PIL import Image

from ..text.stems import suffix_of
from .reading import SUFFIXES

JPEGS = {".jfif", ".jpe", ".jif", ".jfi", ".pjpeg", ".pjp", ".mpo"}
PERHAPS = {  # pictures only if this Pillow was built with the format or has a plugin for it
    ".apng", ".avifs", ".dib", ".heic", ".heif", ".hif", ".j2c", ".j2k", ".jp2", ".jpc", ".jpf",
    ".jpx", ".jxl", ".pbm", ".pgm", ".pnm", ".ppm", ".qoi", ".tga",
}  # fmt: skip
DRAWINGS = {  # pictures that are never read: vectors, raw files of cameras, icons, layers
    ".ai", ".arw", ".blend", ".clip", ".cr2", ".cr3", ".cur", ".dds", ".dng", ".emf", ".eps",
    ".exr", ".hdr", ".icns", ".ico", ".kra", ".nef", ".nrw", ".orf", ".ora", ".pcx", ".pdf", ".pef",
    ".procreate", ".psb", ".psd", ".raf", ".raw", ".rw2", ".sai", ".srw", ".svg", ".svgz", ".wmf",
    ".xcf",
}  # fmt: skip
VIDEOS = {
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
    ".ogv", ".ts", ".webm", ".wmv",
}  # fmt: skip
ARCHIVES = {".7z", ".bz2", ".cbr", ".cbz", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip", ".zst"}
OTHERS = {  # never opened to see if they are pictures
    ".bak", ".bat", ".bin", ".ckpt", ".crdownload", ".csv", ".db", ".doc", ".docx", ".download",
    ".exe", ".htm", ".html", ".ini", ".json", ".jsonl", ".lnk", ".log", ".md", ".npy", ".npz",
    ".old", ".onnx", ".orig", ".parquet", ".part", ".pickle", ".pkl", ".pt", ".pth", ".py",
    ".safetensors", ".sh", ".temp", ".tmp", ".toml", ".tsv", ".txt", ".url", ".xlsx", ".xml",
    ".xmp", ".yaml", ".yml",
}  # fmt: skip
UNOPENED = DRAWINGS | VIDEOS | ARCHIVES | OTHERS

SYSTEM = {  # of Synology, QNAP, Windows, macOS, Linux
    "@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "$recycle.bin",
    "recycler", "recycled", "system volume information", "found.000", "__macosx", "icon\r",
    "network trash folder", "temporary items", "lost+found", "__pycache__",
    "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini", "folder.ini",
}  # fmt: skip

STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*")
LONGEST_START = 16  # bytes


def is_hidden(name: str) -> bool:
    """Is a file or folder of this name hidden? Lock files of Office begin with "~$"."""
    return name.startswith((".", "~$")) or name.lower() in SYSTEM


@lru_cache(maxsize=1)
def picture_suffixes() -> frozenset[str]:
    """Suffixes that the installed Pillow reads, in lower case with their dot."""
    known = Image.registered_extensions()
    readable = {suffix for suffix in PERHAPS if known.get(suffix) in Image.OPEN}
    return frozenset(SUFFIXES | JPEGS | readable)


def may_be_picture(name: str) -> bool:
    """Does the name tell nothing about the kind of file, so that it may be a picture?"""
    suffix = suffix_of(name)
    return not (
        suffix in UNOPENED
        or suffix in PERHAPS
        or suffix.startswith((".bak", ".caption"))
        or name.endswith("~")
    )


def is_picture(path: str) -> bool:
    """Do the first bytes say that it is a picture? Covers the formats that every Pillow reads."""
    try:
        with open(path, "rb") as file:
            start = file.read(LONGEST_START)
    except OSError:
        return False
    return start.startswith(STARTS) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")
