"""Pictures of the same names in other styles: EmojiOne 2, Fluent, Firefox OS and the first Noto.

A hand is whoever drew a set of pictures. A base that has seen only one hand memorizes each name in
that style. So the tiny model's base also learns these four, to know that a thing can be drawn in
several ways; it has never seen Twemoji. They come from Iconify's npm packages, as SVG inside JSON
(`@iconify-json/emojione`, `fluent-emoji-flat`, `fxemoji`, `noto-v1`, and `noto` for the names of
code points). To draw them:

    pip install resvg-py
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ..pictures import SIZE, Emoji, on_white, to_tensor

HANDS = ("emojione", "fluent-emoji-flat", "fxemoji", "noto-v1")
NAMED_BY = ("noto", "fluent-emoji-flat")  # packages whose chars.json maps code points to names
SIDE = 64  # pixels, as Noto's and Twemoji's originals; later doubled like them


def open_hands(names: list[Emoji], icons: Path) -> tuple[Tensor, Tensor]:
    """(pictures (H, N, 3, 128, 128) uint8, drawn (H, N) bool: which of HANDS drew which name).

    Missing pictures are white. icons: a folder with the unpacked packages, each in a folder of its
    name.
    """
    called = read_names_of_codes(icons)
    pictures = torch.full((len(HANDS), len(names), 3, SIZE, SIZE), 255, dtype=torch.uint8)
    drawn = torch.zeros(len(HANDS), len(names), dtype=torch.bool)
    for h, hand in enumerate(HANDS):
        package = json.loads((icons / hand / "icons.json").read_text("utf-8"))
        for n, name in enumerate(names):
            icon = find_icon(package, possible_keys(name, called))
            if icon:
                pictures[h, n] = to_tensor([draw_icon(package, icon)])[0]
                drawn[h, n] = True
    return pictures, drawn


def read_names_of_codes(icons: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for package in NAMED_BY:
        for code, key in json.loads((icons / package / "chars.json").read_text("utf-8")).items():
            found.setdefault(plain(code), []).append(key)
    return found


def plain(code: str) -> str:
    """Code points such as "1f3f4-2620", without fe0f, which only asks for a coloured picture."""
    return "-".join(part for part in code.lower().split("-") if part != "fe0f")


def possible_keys(name: Emoji, called: dict[str, list[str]]) -> list[str]:
    code = plain(Path(name.file).stem).lstrip("0")
    return [*called.get(code, []), *(caption.replace(" ", "-") for caption in name.captions)]


def find_icon(package: dict, keys: list[str]) -> dict | None:
    icons, aliases = package["icons"], package.get("aliases", {})
    joined = {key.replace("-", ""): key for key in [*aliases, *icons]}
    for key in [*keys, *(joined.get(key.replace("-", "")) for key in keys)]:
        while key in aliases and key not in icons:
            key = aliases[key]["parent"]
        if key in icons:
            return icons[key]
    return None


def draw_icon(package: dict, icon: dict) -> Image.Image:
    import resvg_py

    width = icon.get("width", package.get("width", 16))
    height = icon.get("height", package.get("height", 16))
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
    )
    drawn = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SIDE, height=SIDE))
    return on_white(Image.open(io.BytesIO(drawn)))
