"""Checks that a name works for a file or folder on every system."""

from __future__ import annotations

import re
from pathlib import Path

LONGEST_NAME = 180  # bytes
RESERVED = re.compile(  # names that Windows reserves, also with blanks and a suffix behind them
    r"(con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(\..*)?", re.IGNORECASE
)


def check_name(name: str) -> str:
    """The stripped name. Raises ValueError quoting it if some system can't have such a file."""
    stripped = name.strip()
    if not stripped.strip(". "):
        raise ValueError(f'Name "{name}": give it at least one letter or digit.')
    check_letters(stripped)
    if stripped.endswith("."):
        raise ValueError(f'Name "{name}": Windows drops the dot at its end. Leave it out.')
    if len(stripped.encode()) > LONGEST_NAME:
        raise ValueError(f'Name "{name}" is too long: at most {LONGEST_NAME} bytes.')
    return stripped


def check_letters(name: str) -> None:
    """Raises ValueError for a name that Windows doesn't allow."""
    bad = sorted(set(re.findall(r'[\\/:*?"<>|\x00-\x1f]', name)))
    if bad:
        raise ValueError(
            f'Name "{name}": {" ".join(map(repr, bad))} cannot be part of a file name. '
            "Use letters, digits, dots, dashes and blanks."
        )
    if match := RESERVED.fullmatch(name):
        raise ValueError(f'Name "{name}": Windows keeps "{match[1]}" for itself. Choose another.')


def check_path(name: str) -> str:
    """A name that may include folders, with "/" between them: "styles\\ink" gives "styles/ink".

    Raises ValueError quoting it if a part is empty, absolute, or leads upwards.
    """
    parts = re.split(r"[/\\]", name.strip())
    if not all(part.strip(". ") for part in parts):
        raise ValueError(
            f'Name "{name}": every part of it needs a letter or a digit, as in "styles/ink".'
        )
    if crooked := [part for part in parts[:-1] if part.strip().endswith(".")]:
        raise ValueError(f'Name "{name}": the folder "{crooked[0]}" cannot end in a dot.')
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(f'Name "{name}" is too long: at most {LONGEST_NAME} bytes.')
    return "/".join(map(check_name, parts))


def check_new_folders(stem: Path, folder: Path) -> None:
    """Check the names that saving `stem` would create below `folder`.

    Folders that already exist may have any name. Raises ValueError quoting a new name that some
    system doesn't allow.
    """
    check_letters(stem.name)
    for made in stem.parents[: len(stem.relative_to(folder).parts) - 1]:
        if not made.exists():
            check_letters(made.name)
            if made.name != made.name.rstrip(". "):
                raise ValueError(
                    f'Name "{made.name}": Windows drops dots and blanks at the end of a folder\'s '
                    "name. Leave them out."
                )
