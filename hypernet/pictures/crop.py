"""Which part of a picture is trained on: a box in the file, and the size it is scaled to.

A Cut holds numbers and no pixels, so a dataset of ten thousand pictures stays small. The box always
has the shape of the target size: pictures are cropped, never stretched. Boxes are (left, top,
right, bottom) in fractional pixels of the picture as it is displayed.

An oversized picture (a comic strip, a panorama) is split into several parts. First its short side
is scaled to the target. Along its long side there are then

    n = ⌈(long − target·overlap) / (target·(1 − overlap))⌉,   place i = ⌊i·(long − target)/(n − 1)⌋

parts, which is A1111's rule. A1111 divides by zero if n is 1; here the picture is cropped instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from PIL import Image, ImageOps

from .latent_size import PIXELS

Box = tuple[float, float, float, float]
Point = tuple[float, float]  # 0..1 from the left and from the top of a picture
MIDDLE: Point = (0.5, 0.5)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A part of a picture file, used as a picture of its own."""

    box: Box
    width: int  # pixels after scaling
    height: int
    flipped: bool = False  # mirrored, left to right


def take(picture: Image.Image, cut: Cut) -> Image.Image:
    """The cut part, scaled by Lanczos. Raises ValueError if the box exceeds the picture."""
    if cut.box[2] > picture.width or cut.box[3] > picture.height:
        raise ValueError(
            f"the picture is {picture.width}×{picture.height} pixels now and was larger when the "
            "folder was read; load the dataset again"
        )
    part = picture.resize((cut.width, cut.height), Image.Resampling.LANCZOS, box=cut.box)
    return ImageOps.mirror(part) if cut.flipped else part


def flipped(cut: Cut) -> Cut:
    return replace(cut, flipped=not cut.flipped)


# --- one part of one size ------------------------------------------------------------------------


def cover(across: float, down: float, width: int, height: int, focus: Point = MIDDLE) -> Cut:
    """The largest part of an across × down picture with the shape of width × height.

    `focus` is as close to the middle of the part as the picture's edges allow.
    """
    return Cut(box=box_of(across, down, width / height, focus), width=width, height=height)


def box_of(across: float, down: float, shape: float, focus: Point = MIDDLE) -> Box:
    """The largest box in an across × down picture whose width / height is `shape`."""
    if across / down >= shape:
        box_x, box_y = min(shape * down, across), down
    else:
        box_x, box_y = across, min(across / shape, down)
    x = min(max(focus[0] * across - box_x / 2, 0), across - box_x)
    y = min(max(focus[1] * down - box_y / 2, 0), down - box_y)
    return x, y, min(x + box_x, across), min(y + box_y, down)


def fit(across: int, down: int, width: int, height: int) -> Cut:
    """The whole picture, scaled to fit into width × height.

    Sides are multiples of 8, so up to 7 pixels are cropped. Only a picture more than width / 8
    times as long as wide loses more.
    """
    scale = min(width / across, height / down)
    return cover(across, down, grained(across * scale), grained(down * scale))


def at_own_size(across: int, down: int) -> Cut:
    """The picture without scaling; up to 7 pixels of each side are cropped.

    A picture less than 8 pixels wide or high is enlarged to 8.
    """
    return cover(across, down, grained(across), grained(down))


def grained(side: float) -> int:
    return max(PIXELS, int(side + 1e-6) // PIXELS * PIXELS)


def auto_sized(
    across: int,
    down: int,
    *,
    least: int = 384,
    most: int = 768,
    step: int = 64,
    area: tuple[int, int] = (64 * 64, 640 * 640),
    threshold: float = 0.1,
    objective: str = "maximize area",
) -> Cut | None:
    """The best size with sides from `least` to `most` and a shape close to the picture's.

    threshold: how much the shapes may differ, 0 … 1. objective: one of OBJECTIVES. None if no size
    is close enough.
    """
    sides = range(least, most + 1, step)
    fits = [
        (difference(across / down, width / height), width, height)
        for width in sides
        for height in sides
        if area[0] <= width * height <= area[1]
    ]
    fits = [found for found in fits if found[0] <= threshold]
    if not fits:
        return None
    _, width, height = min(fits, key=OBJECTIVES[objective])
    return cover(across, down, width, height)


def difference(shape: float, other: float) -> float:
    """How much two ratios of width to height differ: 0 if equal, up to 1."""
    return 1 - min(shape / other, other / shape)


OBJECTIVES = {  # sort keys for (difference, width, height); the best size comes first
    "maximize area": lambda found: (-found[1] * found[2], found[0]),
    "minimize difference": lambda found: (found[0], -found[1] * found[2]),
}


# --- several parts of one size -------------------------------------------------------------------


def split_places(
    across: int, down: int, width: int, height: int, threshold: float = 0.5, overlap: float = 0.2
) -> list[int]:
    """Where the parts begin along the longer side, in pixels after scaling.

    [] if the picture is not oversized, that is, if a crop keeps more than the share `threshold`.
    """
    tall = down > across
    long, short, far, near = (
        (down, across, height, width) if tall else (across, down, width, height)
    )
    kept = (short * far) / (long * near)
    if not kept < 1 or kept > min(max(threshold, 0.0), 1.0):
        return []
    length = long * near // short
    overlap = min(max(overlap, 0.0), 0.9)
    count = math.ceil((length - far * overlap) / (far * (1 - overlap)))
    if count < 2:
        return []
    return [int(place * (length - far) / (count - 1)) for place in range(count)]


def split(
    across: int, down: int, width: int, height: int, threshold: float = 0.5, overlap: float = 0.2
) -> list[Cut]:
    """The parts of an oversized picture, from the top or the left; [] if it is not oversized."""
    places = split_places(across, down, width, height, threshold, overlap)
    scale = across / width if down > across else down / height  # file pixels per scaled pixel
    begins = [(0, at) if down > across else (at, 0) for at in places]
    return [
        Cut(
            box=(
                x * scale,
                y * scale,
                min((x + width) * scale, across),
                min((y + height) * scale, down),
            ),
            width=width,
            height=height,
        )
        for x, y in begins
    ]


def split_oversized(
    image: Image.Image, width: int, height: int, threshold: float = 0.5, overlap: float = 0.2
) -> list[Image.Image]:
    """Split an oversized picture into width × height parts that together show all of it.

    threshold: a picture is oversized if a crop keeps at most this share of it, 0 … 1.
    overlap: the least share that neighbouring parts have in common, 0 … 0.9. A picture that is not
    oversized gives one part, cropped around the middle.
    """
    cuts = split(*image.size, width, height, threshold, overlap)
    return [take(image, cut) for cut in cuts or [cover(*image.size, width, height)]]
