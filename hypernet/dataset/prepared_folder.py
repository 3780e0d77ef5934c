"""Writes a prepared dataset to a new folder: the cut pictures, their captions and masks.

Everything is written to a temporary folder, which is renamed at the end: the new folder is complete
or doesn't exist. An existing folder is never touched, so the originals are safe.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from ..disk_space import NO_ROOM
from ..pictures.crop import take
from ..pictures.reading import open_picture
from .items import Dataset, Item, cut_of
from .mask_names import MASK, is_mask_name
from .masks import cut_mask, read_mask

FORMATS = {  # Pillow's options by suffix
    "png": {"compress_level": 4},
    "jpg": {"quality": 95, "subsampling": 0},
    "webp": {"lossless": True, "quality": 50},
}


def save_prepared(
    dataset: Dataset,
    folder: Path,
    suffix: str = "png",
    each: Callable[[int, int], object] = lambda done, total: None,
) -> Path:
    """Write the folder, completely or not at all, and return its path.

    each(done, total) is called after every picture; if it raises, writing stops. Subfolders keep
    their names and with them their repeats. Raises FileExistsError if the folder exists, ValueError
    naming a picture that cannot be read, and OSError with the space needed if the disk is full.
    """
    refuse_if_there(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name[:80]}.{uuid.uuid4().hex[:8]}")
    try:
        temporary.mkdir()
        for done, (item, name) in enumerate(new_names(dataset), 1):
            try:
                write_item(item, dataset, temporary / name, suffix)
            except OSError as fault:
                if fault.errno not in NO_ROOM:
                    raise
                raise no_room(folder, temporary, done - 1, len(dataset.items)) from fault
            each(done, len(dataset.items))
        refuse_if_there(folder)
        os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # after a success it no longer exists
    return folder


def no_room(folder: Path, temporary: Path, done: int, total: int) -> OSError:
    written = sum(file.stat().st_size for file in temporary.rglob("*") if file.is_file()) / 2**20
    wanted = f" All will take about {written / done * total:,.0f} MiB." if done else ""
    return OSError(
        f'There is no room for "{folder}": the disk was full after {done} of {total} pictures, '
        f"{written:,.0f} MiB.{wanted} Nothing of it is left. Make room, choose another disk, or "
        "write jpg."
    )


def refuse_if_there(folder: Path) -> None:
    if os.path.lexists(folder):
        raise FileExistsError(
            f'"{folder}" exists and is kept. Choose another name, or move that folder away.'
        )


def new_names(dataset: Dataset) -> list[tuple[Item, Path]]:
    """A unique path for each item, without suffix: fox, fox-2, fox-mirrored."""
    taken: set[str] = set()
    named = []
    for item in dataset.items:
        place = item.path.relative_to(dataset.folder)
        stem = f"{place.stem}-mirrored" if item.cut and item.cut.flipped else place.stem
        name, number = place.with_name(stem), 1
        while str(name).casefold() in taken or is_mask_name(name.name):
            number += 1
            name = place.with_name(f"{stem}-{number}")
        taken.add(str(name).casefold())
        named.append((item, name))
    return named


def write_item(item: Item, dataset: Dataset, place: Path, suffix: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    cut = cut_of(item, dataset)
    try:
        picture = take(open_picture(item.path), cut)
    except ValueError as fault:
        raise ValueError(f'"{item.path}": {fault}') from fault
    picture.save(beside(place, f".{suffix}"), **FORMATS[suffix])
    if item.caption:
        beside(place, ".txt").write_text(item.caption + "\n", "utf-8")
    if mask := read_mask(item, dataset):
        cut_mask(mask, item, cut, cut.width, cut.height).save(beside(place, f"{MASK}.png"))


def beside(place: Path, ending: str) -> Path:
    """Append an ending. Path.with_suffix would replace the ".v2" of "fox.v2"."""
    return place.with_name(place.name + ending)
