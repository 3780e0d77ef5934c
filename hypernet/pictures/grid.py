"""Draws pictures side by side in a labelled grid."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .fonts import font_for

GAP = 8  # pixels between pictures
PAPER, INK = (255, 255, 255), (20, 20, 20)
NOTHING = (232, 232, 232)  # in place of a picture


def grid(rows: Sequence[Sequence[Tensor]], across: Sequence[str], down: Sequence[str]) -> Tensor:
    """One picture (1, H', W', 3) of rows of pictures (H, W, 3).

    `across` labels the columns and `down` the rows. Empty labels take no room, and long ones are
    wrapped.

    Raises ValueError if rows differ in length, pictures differ in size, or the number of labels is
    wrong.
    """
    check(rows, across, down)
    height, width = rows[0][0].shape[:2]
    sheet = Sheet([(width, height)] * len(rows), len(rows[0]), across, down, beside=width // 2)
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            sheet.put(row, column, as_image(picture))
    return as_tensor(sheet.image)


class Sheet:
    """Labelled white paper, on which pictures are put one at a time.

    sizes: width and height of the pictures of each row, in pixels. columns: how many. across, down:
    the labels; none, or one for each column and row. beside: pixels that a row's label may be wide.
    """

    def __init__(
        self,
        sizes: Sequence[tuple[int, int]],
        columns: int,
        across: Sequence[str],
        down: Sequence[str],
        *,
        beside: int,
    ):
        self.sizes = sizes
        self.width = max(width for width, _ in sizes)
        font = font_for([*across, *down], letters(self.width))
        line = int(font.size * 1.35)
        heads = [wrapped(text, font, self.width) for text in across]
        sides = [
            cut_to(wrapped(text, font, beside), max(1, height // line))
            for text, (_, height) in zip(down, sizes, strict=bool(down))
        ]
        self.top = line * max(map(len, heads), default=0) + GAP
        longest = max((font.getlength(text) for lines in sides for text in lines), default=0)
        self.left = int(longest) + (2 * GAP if longest else GAP)
        right, below = self.corner(len(sizes), columns)
        self.image = Image.new("RGB", (right, below), PAPER)
        pen = ImageDraw.Draw(self.image)
        for column, lines in enumerate(heads):
            middle = self.corner(0, column)[0] + self.width // 2
            for place, text in enumerate(lines):
                pen.text((middle, GAP // 2 + place * line), text, INK, font, anchor="ma")
        for row, lines in enumerate(sides):
            first = self.corner(row, 0)[1] + (sizes[row][1] - line * (len(lines) - 1)) // 2
            for place, text in enumerate(lines):
                pen.text((GAP, first + place * line), text, INK, font, anchor="lm")

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """The upper left corner (x, y) of a cell."""
        above = sum(height + GAP for _, height in self.sizes[:row])
        return self.left + column * (self.width + GAP), self.top + above

    def put(self, row: int, column: int, picture: Image.Image | None) -> None:
        """Put a picture in its place, in the size of its row; None leaves it grey."""
        (x, y), size = self.corner(row, column), self.sizes[row]
        if picture is None:
            picture = Image.new("RGB", size, NOTHING)
        elif picture.size != size:
            picture = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        self.image.paste(picture, (x + (self.width - size[0]) // 2, y))


def letters(width: int) -> int:
    """How high letters are, in pixels, so that they can be read where a sheet is shown small."""
    return max(12, width // 16)


def fitting(sizes: Sequence[tuple[int, int]], columns: int, most: int) -> list[tuple[int, int]]:
    """The sizes of the rows, made smaller by one factor if the sheet had over `most` pixels."""
    area = columns * max(width for width, _ in sizes) * sum(height for _, height in sizes)
    factor = min(1.0, (most / area) ** 0.5)
    return [(max(1, int(width * factor)), max(1, int(height * factor))) for width, height in sizes]


def cut_to(lines: list[str], most: int) -> list[str]:
    return lines if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1]}…"]


def check(rows: Sequence[Sequence[Tensor]], across: Sequence[str], down: Sequence[str]) -> None:
    if not rows or not rows[0]:
        raise ValueError("There is no picture to compare.")
    lengths = [len(row) for row in rows]
    if len(set(lengths)) > 1:
        raise ValueError(f"The rows of the grid have {lengths} pictures; give all the same number.")
    sizes = sorted({tuple(picture.shape[:2]) for row in rows for picture in row})
    if len(sizes) > 1:
        found = ", ".join(f"{width}×{height}" for height, width in sizes)
        raise ValueError(f"Pictures of one size make a grid; these are {found}.")
    for labels, count, what in ((across, lengths[0], "columns"), (down, len(rows), "rows")):
        if labels and len(labels) != count:
            raise ValueError(f"{len(labels)} labels ({', '.join(labels)}) for {count} {what}.")


def wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """The text in lines of at most `width` pixels. Only a single letter can be wider."""
    if not text:
        return []
    lines, start = [], 0
    for end in range(1, len(text) + 1):
        if font.getlength(text[start:end]) > width and end - 1 > start:
            blank = text.rfind(" ", start + 1, end)
            cut = blank + 1 if blank > start else end - 1
            lines.append((start, cut))
            start = cut
    cuts = [*(begin for begin, _ in lines), start, len(text)]
    return [text[a:b].strip() for a, b in pairwise(cuts)]


def as_tensor(image: Image.Image) -> Tensor:
    """An IMAGE (1, H, W, 3) in 0..1 of a picture in RGB."""
    return torch.from_numpy(np.asarray(image, dtype=np.float32) / 255)[None]


def as_image(picture: Tensor) -> Image.Image:
    pixels = (picture[..., :3].float().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(pixels.numpy())


def in_rows(pictures: Tensor, columns: int) -> list[list[Tensor]]:
    """A batch (B, H, W, 3) in rows of `columns` pictures; white ones fill the last row."""
    found = list(pictures)
    found += [torch.ones_like(found[0])] * (-len(found) % columns)
    return [found[start : start + columns] for start in range(0, len(found), columns)]
