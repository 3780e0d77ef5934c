"""What SDXL is told of a picture beside its text: six numbers, in pixels.

    height, width        of the picture as it was before anything was done to it
    top, left            of the part that is shown, in the picture resized to the training size
    height, width        of that part

SDXL was trained so (Podell et al. 2023, §2.2), and other trainers do the same: a model that is told
of a crop does not learn to cut heads off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .crop import Cut

Sizes = tuple[float, float, float, float, float, float]


def sizes_of_cut(cut: Cut, across: int, down: int) -> Sizes:
    """Of a part of a picture that is across × down."""
    left, top, right, bottom = cut.box
    before = across - right if cut.flipped else left
    return (
        down,
        across,
        round(top * cut.height / (bottom - top)),
        round(before * cut.width / (right - left)),
        cut.height,
        cut.width,
    )


def sizes_in_options(options: Mapping[str, Any], height: int, width: int) -> Sizes:
    """Of a ComfyUI conditioning; a whole picture of height × width where it says nothing."""
    height, width = options.get("height", height), options.get("width", width)
    return (
        height,
        width,
        options.get("crop_h", 0),
        options.get("crop_w", 0),
        options.get("target_height", height),
        options.get("target_width", width),
    )
