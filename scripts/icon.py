"""Draws the pack's icon and banner for the registry: docs/icon.png and docs/banner.png.

    python -m scripts.icon

The icon shows the network 1, 2, 1: one unit, two, one, and the input that bypasses them.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from demo.pictures import open_picture

DOCS = Path(__file__).parent.parent / "docs"
PICTURES = Path(__file__).parent.parent / "demo" / "pictures"
FINER = 4  # everything is drawn so many times larger and then scaled down, for smooth edges
DARK, LINE, UNIT, WAY = "#1d2330", "#8fa3c7", "#ffb454", "#5ac8a8"
NAMES = "grin heart joy_cat skull wink blue_heart scream zany_face star_struck".split()


def icon(side: int) -> Image.Image:
    s = side * FINER / 400
    paper = Image.new("RGBA", (side * FINER, side * FINER))
    pen = ImageDraw.Draw(paper)
    pen.rounded_rectangle((0, 0, 400 * s - 1, 400 * s - 1), 80 * s, DARK)
    left, right, upper, lower = (80, 235), (320, 235), (200, 160), (200, 310)
    pen.arc((80 * s, 85 * s, 320 * s, 385 * s), 180, 360, WAY, round(16 * s))
    for middle in (upper, lower):
        for end in (left, right):
            pen.line([(x * s, y * s) for x, y in (end, middle)], LINE, round(12 * s))
    for x, y in (left, right, upper, lower):
        r = 38 if (x, y) in (left, right) else 32
        pen.ellipse([v * s for v in (x - r, y - r, x + r, y + r)], UNIT, DARK, round(6 * s))
    return paper.resize((side, side), Image.Resampling.LANCZOS)


def banner(width: int, height: int) -> Image.Image:
    paper = Image.new("RGB", (width, height), DARK)
    mark = icon(300)
    paper.paste(mark, (60, (height - 300) // 2), mark)
    pen = ImageDraw.Draw(paper)
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    title = ImageFont.truetype(fonts / "DejaVuSans-Bold.ttf", 72)
    words = ImageFont.truetype(fonts / "DejaVuSans.ttf", 30)
    pen.text((400, height // 2 - 40), "Hypernet", "white", title, anchor="lm")
    pen.text((403, height // 2 + 34), "train hypernetworks", LINE, words, anchor="lm")
    pen.text((403, height // 2 + 76), "on your own pictures", LINE, words, anchor="lm")
    for place, name in enumerate(NAMES):
        small = open_picture(PICTURES / f"{name}.png").resize((120, 120), Image.Resampling.LANCZOS)
        row, column = divmod(place, 3)
        paper.paste(small, (860 + column * 130, (height - 380) // 2 + row * 130))
    return paper


def main() -> None:
    DOCS.mkdir(exist_ok=True)
    icon(400).save(DOCS / "icon.png", optimize=True)
    banner(1260, 540).quantize(255).save(DOCS / "banner.png", optimize=True)


if __name__ == "__main__":
    main()
