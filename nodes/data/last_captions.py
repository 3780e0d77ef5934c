"""What Caption last made of a folder's pictures, kept for the dataset desk.

There the captions of a tagger or of a language model are read and changed before they are saved.
"""

from pathlib import Path

from hypernet.checked_json import read_checked, write_checked
from hypernet.dataset.items import Dataset
from hypernet.dataset.measurements import cache_file

from ..shared.cache import cache_folder

VERSION = 1


def remember(dataset: Dataset) -> None:
    """Keep the captions in place of those of an earlier run."""
    made = {
        item.path.relative_to(dataset.folder).as_posix(): item.caption
        for item in reversed(dataset.items)
        if item.caption and item.path.is_relative_to(dataset.folder)
    }
    write_checked(file_of(dataset.folder), VERSION, made)


def recall(folder: Path) -> dict[str, str]:
    """Captions by the picture's name inside the folder; {} if none were made."""
    return read_checked(file_of(folder), VERSION)


def file_of(folder: Path) -> Path:
    return cache_file(cache_folder() / "captions", folder)
