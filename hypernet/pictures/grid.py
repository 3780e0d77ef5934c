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


def grid(rows: Sequence[Sequence[Tensor]], across: Sequence[str], down: Sequence[str]) -> Tensor:
    """One picture (1, H', W', 3) of rows of pictures (H, W, 3).

    `across` labels the columns and `down` the rows. Empty labels take no room, and long ones are
    wrapped.

    Raises ValueError if rows differ in length, pictures differ in size, or the number of labels is
    wrong.
    """
    check(rows, across, down)
    height, width = rows[0][0].shape[:2]
    font = font_for([*across, *down], max(12, min(28, width // 14)))
    line = int(font.size * 1.35)
    across_lines = [wrapped(text, font, width) for text in across]
    down_lines = [wrapped(text, font, width // 2) for text in down]
    top = line * max(map(len, across_lines), default=0) + GAP
    longest = max((font.getlength(text) for lines in down_lines for text in lines), default=0)
    left = int(longest) + (2 * GAP if longest else GAP)

    columns = len(rows[0])
    size = (left + columns * (width + GAP), top + len(rows) * (height + GAP))
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    for column, lines in enumerate(across_lines):
        middle = left + column * (width + GAP) + width // 2
        for place, text in enumerate(lines):
            pen.text((middle, GAP // 2 + place * line), text, INK, font, anchor="ma")
    for row, pictures in enumerate(rows):
        y = top + row * (height + GAP)
        for place, text in enumerate(down_lines[row] if down_lines else ()):
            pen.text((GAP, y + height // 2 + place * line), text, INK, font, anchor="lm")
        for column, picture in enumerate(pictures):
            sheet.paste(as_image(picture), (left + column * (width + GAP), y))
    return torch.from_numpy(np.asarray(sheet, dtype=np.float32) / 255)[None]


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


def as_image(picture: Tensor) -> Image.Image:
    pixels = (picture[..., :3].float().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(pixels.numpy())


def in_rows(pictures: Tensor, columns: int) -> list[list[Tensor]]:
    """A batch (B, H, W, 3) in rows of `columns` pictures; white ones fill the last row."""
    found = list(pictures)
    found += [torch.ones_like(found[0])] * (-len(found) % columns)
    return [found[start : start + columns] for start in range(0, len(found), columns)]
