"""The files of previews in a run's folder: their names, and the texts inside.

    previews/
      <name>-<n>.png              after n updates, as the first prompt shows it
      <name>-0.png                before the first of them, without the network
      <name>-<n>-<key>.png        the same for another prompt
      <name>-without-<key>.png    the same without the network
      grid.png                    all of them, labelled

The key identifies the prompt and how it is drawn. So a run whose prompts are changed keeps what it
had, and nothing is shown under a prompt that it does not show.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..atomic_files import write_whole

FOLDER = "previews"
WITHOUT = "without"


def preview_file(folder: Path, name: str, step: int | None, key: str = "") -> Path:
    """The preview's path in a run's folder. name: the run's name without folders.

    step: None for one without the network. key: "" for the first prompt.
    """
    drawn = WITHOUT if step is None else step
    return folder / FOLDER / f"{name}-{drawn}{key and f'-{key}'}.png"


def grid_file(folder: Path) -> Path:
    return folder / FOLDER / "grid.png"


def key_of(drawn: Mapping[str, object]) -> str:
    """Eight letters that identify how a picture is drawn."""
    return hashlib.sha256(json.dumps(drawn, sort_keys=True).encode()).hexdigest()[:8]


def previewed_steps(folder: Path, name: str, key: str = "") -> list[int]:
    """The steps that have a preview with this key, ascending."""
    end = key and f"-{key}"
    named = re.compile(re.escape(name) + r"-([0-9]{1,9})" + re.escape(end) + r"\.png")
    try:
        names = [named.fullmatch(each.name) for each in (folder / FOLDER).iterdir()]
    except OSError:
        return []
    return sorted(int(match[1]) for match in names if match)


def thinned(steps: list[int], most: int) -> list[int]:
    """At most so many of them: every n-th, the newest always among them."""
    every = -(-len(steps) // most) or 1
    return steps[::-every][::-1]


def write_picture(path: Path, picture: Image.Image, texts: Mapping[str, str]) -> None:
    """Write a PNG, whole or not at all, with these texts inside."""
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)  # a tEXt chunk if possible, because editors read those
    write_whole(path, lambda file: picture.save(file, "PNG", pnginfo=info))


def read_about(path: Path) -> dict:
    """What a preview says of itself: its text "hypernet", and "size". {} if it says nothing."""
    try:
        with Image.open(path) as picture:
            about, size = json.loads(picture.info.get("hypernet", "{}")), picture.size
    except (OSError, ValueError, SyntaxError):  # Pillow raises all of these for damaged files
        return {}
    return about | {"size": size} if isinstance(about, dict) else {}
