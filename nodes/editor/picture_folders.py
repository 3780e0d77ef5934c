"""Lists the folders that Load Dataset can be pointed at: those of the input directory that hold
pictures, at most two levels deep.

    GET /hypernet/folders
"""

import os
from collections.abc import Iterator
from pathlib import Path

from hypernet.dataset.listing import printable
from hypernet.pictures.file_kinds import is_hidden, picture_suffixes
from hypernet.text.stems import suffix_of

from ...compat import input_folder
from ..data.load_dataset import DEMO_NOTE
from ..shared.demo_model import DEMO

DEEP = 2  # levels; deeper ones are typed
MOST = 500  # folders in one answer


def folders(query: dict[str, str], body: object) -> dict:
    names = [name for name in holding(input_folder(), DEEP) if name][:MOST]
    demo = [f"pictures{DEMO_NOTE}"] if (DEMO / "pictures").is_dir() else []
    return {"folders": [*sorted(names, key=str.casefold), *demo]}


def holding(folder: Path, deep: int, name: str = "") -> Iterator[str]:
    """The names of this folder and those inside that hold pictures, or folders with pictures."""
    try:
        entries = [
            entry
            for entry in os.scandir(folder)
            if not is_hidden(entry.name) and printable(entry.name) == entry.name
        ]
        inside = [Path(entry) for entry in entries if entry.is_dir()] if deep else []
    except OSError:  # it is forbidden, or gone by now
        return
    deeper = [
        each
        for path in inside
        for each in holding(path, deep - 1, f"{name}/{path.name}".lstrip("/"))
    ]
    known = picture_suffixes()
    if deeper or any(suffix_of(entry.name) in known for entry in entries):
        yield name
    yield from deeper


ROUTES = {("GET", "/hypernet/folders"): folders}
