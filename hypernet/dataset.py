"""Pictures to learn from: a light description of a folder, and pixels when somebody asks.

A Dataset holds paths, sizes and words, never pixels. A picture is brought to the training size by
covering it and cropping the middle: nothing is stretched. A folder inside that is named as kohya's
trainers want it, `10_fox`, shows its pictures ten times as often as others.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from .captions import FILEWORDS, SIDECARS, caption_of
from .pictures import SUFFIXES, measure, open_picture
from .words import AS_CAPTIONED, Words

REPEATS = re.compile(r"(\d+)_")
NAMED = 10  # files that a line of the report names


@dataclass(frozen=True, kw_only=True)
class Item:
    """One picture and what it shows, in words."""

    path: Path
    caption: str
    width: int  # of the file, in pixels
    height: int
    repeats: int = 1  # how often a pass over the dataset shows it


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What the socket carries: items, the size they are trained at, and how prompts are made."""

    folder: Path
    items: tuple[Item, ...]
    width: int
    height: int
    unreadable: tuple[tuple[str, str], ...] = ()  # (file name, reason)
    without_picture: tuple[str, ...] = ()  # caption files
    words: Words = AS_CAPTIONED
    captioned: bool = False  # captions are what somebody chose, not merely what lay beside
    skip_unreadable: bool = False  # also those that turn out so when their pixels are asked for

    def with_captions(self, captions: list[str]) -> Dataset:
        pairs = zip(self.items, captions, strict=True)
        items = tuple(replace(item, caption=text) for item, text in pairs)
        return replace(self, items=items, captioned=True)

    @cached_property
    def shown(self) -> list[int]:
        """One pass: the places of the items, each as often as it is repeated."""
        return [place for place, item in enumerate(self.items) for _ in range(item.repeats)]


def natural(path: Path) -> list:
    """Sort key: 2.png before 10.png."""
    return [int(p) if p.isdigit() else p.lower() for p in re.split(r"(\d+)", path.as_posix())]


def find_pictures(folder: Path, recursive: bool = True) -> list[Path]:
    """Picture files in natural order.

    Raises FileNotFoundError or ValueError quoting the folder.
    """
    return pictures_among(files_in(folder, recursive), folder)


def pictures_among(files: list[Path], folder: Path) -> list[Path]:
    """Those of the files in `folder` that are pictures by their suffix; raises as find_pictures."""
    if not folder.is_dir():
        raise FileNotFoundError(
            f'There is no folder "{folder}". Give a folder inside the input directory, '
            "or the full path of one."
        )
    found = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not found:
        raise ValueError(
            f'Folder "{folder}" holds no pictures ({", ".join(sorted(s[1:] for s in SUFFIXES))}).'
        )
    return found


def files_in(folder: Path, recursive: bool = True) -> list[Path]:
    """In natural order. Links to folders are followed, each folder is entered once: a link to a
    folder above it ends there. Hidden files and folders do not count."""
    found, seen = [], set()
    for place, folders, names in os.walk(folder, followlinks=True):
        entered = os.path.realpath(place)
        if entered in seen:
            folders.clear()
            continue
        seen.add(entered)
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        for name in names:
            path = Path(place, name)
            if not name.startswith(".") and path.is_file():
                found.append(path)
    return sorted(found, key=natural)


def repeats_of(path: Path, folder: Path) -> int:
    """By the innermost folder below `folder` that says a number: 10_fox/a.png has ten."""
    for name in reversed(path.relative_to(folder).parts[:-1]):
        if match := REPEATS.match(name):
            return max(1, int(match[1]))
    return 1


def read_dataset(
    folder: Path, width: int, height: int, *, recursive: bool = True, skip_unreadable: bool = False
) -> Dataset:
    """Describe a folder; captions come from sidecar files, else from file names.

    Raises ValueError naming every unreadable picture, unless they are to be skipped.
    """
    if width % 8 or height % 8 or min(width, height) < 8:
        raise ValueError(f"Size {width}×{height}: width and height must be multiples of 8 pixels.")
    items, unreadable = [], []
    files = files_in(folder, recursive)
    pictures = pictures_among(files, folder)
    for path in pictures:
        try:
            across, down = measure(path)
        except ValueError as fault:
            unreadable.append((path.relative_to(folder).as_posix(), str(fault)))
            continue
        items.append(
            Item(
                path=path,
                caption=caption_of(path, sources=FILEWORDS),
                width=across,
                height=down,
                repeats=repeats_of(path, folder),
            )
        )
    if unreadable and (not skip_unreadable or not items):
        names = "; ".join(f'"{name}" ({fault})' for name, fault in unreadable[:NAMED])
        more = f" and {len(unreadable) - NAMED} more" if len(unreadable) > NAMED else ""
        raise ValueError(
            f"{len(unreadable)} of the pictures cannot be read: {names}{more}. Replace or remove "
            'them, or choose "skip" for unreadable pictures.'
        )
    stems = {path.with_suffix("") for path in pictures}
    lonely = [
        path.relative_to(folder).as_posix()
        for path in files
        if path.suffix.lower() in SIDECARS and path.with_suffix("") not in stems
    ]
    return Dataset(
        folder=folder,
        items=tuple(items),
        width=width,
        height=height,
        unreadable=tuple(unreadable),
        without_picture=tuple(lonely),
        skip_unreadable=skip_unreadable,
    )


def read_pixels(item: Item, dataset: Dataset) -> torch.Tensor:
    """(1, H, W, 3) float32 in 0..1: covered and cropped about the middle."""
    size = (dataset.width, dataset.height)
    picture = ImageOps.fit(open_picture(item.path), size, Image.LANCZOS)
    return torch.from_numpy(np.array(picture)).float().div_(255)[None]


def report(dataset: Dataset) -> str:
    """What was found, in words."""
    items = dataset.items
    lines = [
        f"{len(items)} pictures in {dataset.folder}, trained at "
        f"{dataset.width}×{dataset.height} pixels."
    ]
    if len(dataset.shown) > len(items):
        lines.append(f"With repeats by folder names, a pass shows {len(dataset.shown)}.")
    sizes = sorted(
        {(item.width, item.height) for item in items}, key=lambda size: size[0] * size[1]
    )
    if sizes:
        small, large = (f"{width}×{height}" for width, height in (sizes[0], sizes[-1]))
        lines.append(f"Sizes: {small}." if small == large else f"Sizes: {small} to {large}.")
    small = [i.path.name for i in items if i.width < dataset.width or i.height < dataset.height]
    wordless = [item.path.name for item in items if not item.caption]
    for names, text in (
        (small, "smaller than the training size, and enlarged"),
        (wordless, "without words"),
        (dataset.without_picture, "caption files without a picture"),
    ):
        if names:
            lines.append(f"{len(names)} {text}: {some(names)}.")
    lines += [f'Skipped "{name}": {reason}.' for name, reason in dataset.unreadable]
    return "\n".join(lines)


def some(names: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(f'"{name}"' for name in names[:NAMED]) + more
