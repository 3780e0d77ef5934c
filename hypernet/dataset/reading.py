"""Reads a folder as a Dataset: its pictures are listed, measured and given captions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..captions.sources import FILEWORDS, caption_of
from ..pictures.duplicates import MOST, alike, look_of
from ..pictures.reading import picture_size
from ..text.lists_of_names import listed
from .folder_repeats import repeats_of
from .items import Dataset, Item
from .listing import Listing, excluding, list_folder
from .measurements import Measurement, cache_file, read_measurements, write_measurements
from .unused_files import notes_on
from .written_captions import Written, read_written


def read_dataset(
    folder: Path,
    width: int,
    height: int,
    *,
    recursive: bool = True,
    exclude: str = "",
    skip_unreadable: bool = False,
    find_alike: bool = False,
    cache: Path | None = None,
    each: Callable[[int, int], object] = lambda done, total: None,
) -> Dataset:
    """Read a folder. Captions come from sidecar files and tables, otherwise from file names.

    exclude: pictures to leave out, see exclusion.py. find_alike: decode every picture once to find
    those that look the same. cache: a folder where measurements are kept between runs. each(done,
    total) is called after every picture.

    Raises ValueError naming the unreadable pictures, unless they are skipped.
    """
    if width % 8 or height % 8 or min(width, height) < 8:
        raise ValueError(f"Size {width}×{height}: width and height must be multiples of 8 pixels.")
    listing = excluding(list_folder(folder, recursive), exclude)
    measured, unreadable = measure_all(listing, cache, find_alike, each)
    written = read_written(listing)
    for fault in written.faults.values():
        raise ValueError(fault)
    items = items_of(listing, measured, written)
    unreadable += listing.faults
    if unreadable and (not skip_unreadable or not items):
        names = listed([f'"{name}" ({fault})' for name, fault in unreadable], "; ")
        raise ValueError(
            f"{len(unreadable)} of the pictures cannot be read: {names}. Replace or remove "
            'them, or choose "skip" for unreadable pictures.'
        )
    notes = notes_on(listing, written)
    if find_alike and len(measured) > MOST:
        notes.append(f"Only the first {MOST} pictures were looked through for such as are alike.")
    return Dataset(
        folder=folder,
        items=tuple(items),
        width=width,
        height=height,
        unreadable=tuple(unreadable),
        skip_unreadable=skip_unreadable,
        alike=same_look(measured) if find_alike else (),
        notes=tuple(notes),
    )


def items_of(listing: Listing, measured: Mapping[str, Measurement], written: Written) -> list[Item]:
    """The measured pictures with their captions, repeats and masks."""
    items = []
    for name, found in measured.items():
        path, mask = listing.folder / name, listing.masks.get(name)
        words = written.words.get(name, "")
        items.append(
            Item(
                path=path,
                caption=caption_of(path, sources=FILEWORDS, written=words),
                width=found.width,
                height=found.height,
                repeats=repeats_of(name),
                written=words,
                mask=listing.folder / mask if mask else None,
            )
        )
    return items


def measure_all(
    listing: Listing,
    cache: Path | None,
    looks: bool,
    each: Callable[[int, int], object],
) -> tuple[dict[str, Measurement], list[tuple[str, str]]]:
    """Measurements of all readable pictures, and (name, reason) of the others."""
    file = cache_file(cache, listing.folder) if cache else None
    known = read_measurements(file) if file else {}
    found: dict[str, Measurement] = {}
    unreadable: dict[str, str] = {}
    total = len(listing.pictures)
    try:
        for done, name in enumerate(listing.pictures, 1):
            stamp, measured = listing.stamps[name], known.get(name)
            try:
                if measured is None or measured.stamp != stamp:
                    measured = Measurement(stamp, *picture_size(listing.folder / name))
                found[name] = measured
            except ValueError as fault:
                unreadable[name] = str(fault)
            each(done, total)
        if looks:
            lacking = [listing.folder / name for name, m in found.items() if not m.look]
            for done, (path, look) in enumerate(in_threads(look_or_fault, lacking), 1):
                name = name_in(listing.folder, path)
                if isinstance(look, ValueError):
                    del found[name]
                    unreadable[name] = str(look)
                else:
                    found[name] = replace(found[name], look=look)
                each(done, len(lacking))
    finally:  # if interrupted, everything measured so far is kept
        if file and found != known:
            whole = len(found) + len(unreadable) == total
            write_measurements(file, found if whole else known | found)
    return found, list(unreadable.items())


def look_or_fault(path: Path) -> str | ValueError:
    try:
        return look_of(path)
    except ValueError as fault:
        return fault


def in_threads(work: Callable[[Any], Any], given: Sequence) -> Iterator[tuple[Any, Any]]:
    """work(each) in threads, yielding (each, result) in order.

    Threads help because Pillow releases the GIL while it decodes. If the caller stops iterating,
    the remaining work is cancelled.
    """
    workers = ThreadPoolExecutor(os.cpu_count())
    try:
        yield from zip(given, workers.map(work, given), strict=True)
    finally:
        workers.shutdown(cancel_futures=True)


def same_look(measured: dict[str, Measurement]) -> tuple[tuple[str, ...], ...]:
    """Names of pictures that look the same, in groups."""
    names = list(measured)[:MOST]
    groups = alike([measured[name].look for name in names])
    return tuple(tuple(names[place] for place in group) for group in groups)


def name_in(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()
