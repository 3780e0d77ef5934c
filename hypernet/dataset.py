"""Pictures to learn from: a light description of a folder, and pixels when somebody asks.

A Dataset holds paths and words, never pixels. A picture is read as its maker meant it (EXIF
orientation, transparency on white, any mode to RGB) and brought to the training size by covering
it and cropping the middle: nothing is stretched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from .captions import FILEWORDS, TEMPLATE, caption_of

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"}


@dataclass(frozen=True, kw_only=True)
class Item:
    """One picture and what it shows, in words."""

    path: Path
    caption: str


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What the socket carries: items, the size they are trained at, and the training templates."""

    folder: Path
    items: tuple[Item, ...]
    width: int
    height: int
    unreadable: tuple[tuple[str, str], ...] = ()  # (file name, reason)
    templates: tuple[str, ...] = (TEMPLATE,)

    def with_captions(self, captions: list[str]) -> Dataset:
        pairs = zip(self.items, captions, strict=True)
        return replace(self, items=tuple(replace(item, caption=text) for item, text in pairs))


def natural(path: Path) -> list:
    """Sort key: 2.png before 10.png."""
    return [int(p) if p.isdigit() else p.lower() for p in re.split(r"(\d+)", path.as_posix())]


def find_pictures(folder: Path, recursive: bool = True) -> list[Path]:
    """Picture files in natural order.

    Raises FileNotFoundError or ValueError quoting the folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f'There is no folder "{folder}". Give a folder inside the input directory, '
            "or the full path of one."
        )
    walk = folder.rglob("*") if recursive else folder.iterdir()
    found = [p for p in walk if p.suffix.lower() in SUFFIXES and p.is_file()]
    if not found:
        raise ValueError(
            f'Folder "{folder}" holds no pictures ({", ".join(sorted(s[1:] for s in SUFFIXES))}).'
        )
    return sorted(found, key=natural)


def read_dataset(
    folder: Path, width: int, height: int, *, recursive: bool = True, skip_unreadable: bool = False
) -> Dataset:
    """Describe a folder; captions come from sidecar .txt files, else from file names.

    Raises ValueError naming every unreadable picture, unless they are to be skipped.
    """
    if width % 8 or height % 8 or min(width, height) < 8:
        raise ValueError(f"Size {width}×{height}: width and height must be multiples of 8 pixels.")
    items, unreadable = [], []
    for path in find_pictures(folder, recursive):
        fault = fault_of(path)
        if fault:
            unreadable.append((path.relative_to(folder).as_posix(), fault))
        else:
            items.append(Item(path=path, caption=caption_of(path, sources=FILEWORDS)))
    if unreadable and (not skip_unreadable or not items):
        names = "; ".join(f'"{name}" ({fault})' for name, fault in unreadable[:10])
        more = f" and {len(unreadable) - 10} more" if len(unreadable) > 10 else ""
        raise ValueError(
            f"{len(unreadable)} of the pictures cannot be read: {names}{more}. Replace or remove "
            'them, or choose "skip" for unreadable pictures.'
        )
    return Dataset(
        folder=folder, items=tuple(items), width=width, height=height, unreadable=tuple(unreadable)
    )


def fault_of(path: Path) -> str:
    """Why a picture cannot be read; empty when it can."""
    try:
        with Image.open(path) as picture:
            picture.load()
    except Exception as fault:  # Pillow's decoders raise many kinds
        return (str(fault).splitlines() or [type(fault).__name__])[0].replace(str(path), path.name)
    return ""


def open_picture(path: Path, width: int, height: int) -> Image.Image:
    """RGB, width × height pixels: covered and cropped about the middle, transparency on white."""
    with Image.open(path) as stored:
        picture = ImageOps.exif_transpose(stored)
        if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
            picture = picture.convert("RGBA")
            ground = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(ground, picture)
        return ImageOps.fit(picture.convert("RGB"), (width, height), Image.LANCZOS)


def read_pixels(item: Item, dataset: Dataset) -> torch.Tensor:
    """(1, H, W, 3) float32 in 0..1."""
    picture = open_picture(item.path, dataset.width, dataset.height)
    return torch.from_numpy(np.array(picture)).float().div_(255)[None]


def report(dataset: Dataset) -> str:
    """What was found, in words."""
    lines = [
        f"{len(dataset.items)} pictures in {dataset.folder}, trained at "
        f"{dataset.width}×{dataset.height} pixels."
    ]
    empty = [item.path.name for item in dataset.items if not item.caption]
    if empty:
        lines.append(f"{len(empty)} have no words: {', '.join(empty[:10])}.")
    lines += [f'Skipped "{name}": {reason}.' for name, reason in dataset.unreadable]
    return "\n".join(lines)
