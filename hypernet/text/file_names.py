"""Names that files and folders can have on every system."""

from __future__ import annotations

import re
from pathlib import Path

LONGEST_NAME = 180  # bytes
RESERVED = re.compile(  # by Windows, with blanks and any suffix behind them
    r"(con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(\..*)?", re.IGNORECASE
)


def check_name(name: str) -> str:
    """The name, stripped, if it can be a file name here and on every other system.

    Raises ValueError quoting it.
    """
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
    """Raises ValueError for a name that Windows cannot have."""
    bad = sorted(set(re.findall(r'[\\/:*?"<>|\x00-\x1f]', name)))
    if bad:
        raise ValueError(
            f'Name "{name}": {" ".join(map(repr, bad))} cannot be part of a file name. '
            "Use letters, digits, dots, dashes and blanks."
        )
    if match := RESERVED.fullmatch(name):
        raise ValueError(f'Name "{name}": Windows keeps "{match[1]}" for itself. Choose another.')


def check_path(name: str) -> str:
    """A name that may lie in folders, "/" between them: "styles/ink", also from "styles\\ink".

    Raises ValueError quoting it; no part may be empty, absolute, or lead upwards.
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
    """What of a path below the folder would be made must be possible on every system.

    A folder that is there already may be called as it likes. Raises ValueError quoting the name.
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
