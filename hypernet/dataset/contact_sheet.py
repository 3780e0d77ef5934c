"""Draws the contact sheet: some pictures of a dataset as they are trained on, with captions."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..pictures.crop import take
from ..pictures.fonts import font_for
from ..pictures.grid import INK, PAPER, as_tensor, wrapped
from ..pictures.reading import open_picture
from .items import Dataset, Item, cut_of

MOST = 100  # pictures on one sheet
SIDE, GAP = 192, 8  # pixels of a thumbnail's side, and between thumbnails
LINES = 5  # lines of text below each
POINTS = 13  # height of the letters


def contact_sheet(dataset: Dataset, most: int = 16) -> Tensor:
    """(1, H, W, 3) in 0..1: up to `most` pictures, spread evenly over the dataset.

    An empty frame that says so stands for a picture that cannot be read.
    """
    items = spread(dataset.items, min(most, MOST))
    if not items:
        return picture_of_text("No pictures on this sheet: thumbnails is 0.")
    columns = min(len(items), max(1, round(len(items) ** 0.5 * 1.3)))
    line = 17
    cell_x, cell_y = SIDE + GAP, SIDE + LINES * line + GAP
    rows = -(-len(items) // columns)
    sheet = Image.new("RGB", (columns * cell_x + GAP, rows * cell_y + GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    for place, item in enumerate(items):
        row, column = divmod(place, columns)
        x, y = GAP + column * cell_x, GAP + row * cell_y
        try:
            part = take(open_picture(item.path), cut_of(item, dataset))
            part.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
            sheet.paste(part, (x + (SIDE - part.width) // 2, y + (SIDE - part.height) // 2))
        except ValueError:
            pen.rectangle((x, y, x + SIDE, y + SIDE), outline=INK)
            fault = "cannot be read"
            middle = (x + SIDE // 2, y + SIDE // 2)
            pen.text(middle, fault, INK, font_for([fault], POINTS), anchor="mm")
        lines = list(in_lines(words(item, dataset)))
        for number, (text, font) in enumerate(lines[:LINES]):
            base = y + SIDE + 2 + POINTS + number * line  # fonts begin at different heights
            pen.text((x, base), text, INK, font, anchor="ls")
    return as_tensor(sheet)


def in_lines(texts: list[str]) -> Iterator[tuple[str, ImageFont.FreeTypeFont]]:
    """Each line with its own font, because no single font may have the scripts of all names."""
    for text in texts:
        font = font_for([text], POINTS)
        yield from ((part, font) for part in wrapped(text, font, SIDE))


def words(item: Item, dataset: Dataset) -> list[str]:
    """The lines below a picture: name, part of the file, training size, caption.

    Sizes are written with an x, because Pillow's own font has no × and another font would be
    chosen for it.
    """
    cut = cut_of(item, dataset)
    left, top, right, bottom = cut.box
    whole = f"{item.width}x{item.height}"
    part = f"{round(right - left)}x{round(bottom - top)}"
    place = "" if part == whole else f" at {round(left)}, {round(top)} of {whole}"
    mirrored = ", mirrored" if cut.flipped else ""
    size = f"trained at {cut.width}x{cut.height}{mirrored}"
    return [item.path.name, f"{part}{place}", size, item.caption]


def spread(items: tuple[Item, ...], most: int) -> list[Item]:
    if len(items) <= most:
        return list(items)
    return [items[place * len(items) // most] for place in range(most)]


def picture_of_text(text: str) -> Tensor:
    """A picture of the text, (1, H, W, 3)."""
    font = font_for([text], POINTS)
    paper = Image.new("RGB", (int(font.getlength(text)) + 4 * GAP, 5 * GAP), PAPER)
    ImageDraw.Draw(paper).text((2 * GAP, 2 * GAP), text, INK, font, anchor="lm")
    return as_tensor(paper)
