"""SDXL's size conditioning: six numbers, in pixels, that the model gets beside the text.

    height, width        of the original picture
    top, left            of the cropped part, in the picture scaled to the training size
    height, width        of that part

SDXL was trained with them (Podell et al. 2023, §2.2), and other trainers pass them too: a model
that is told about a crop doesn't learn to cut heads off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .crop import Cut

Sizes = tuple[float, float, float, float, float, float]


def sizes_of_cut(cut: Cut, across: int, down: int) -> Sizes:
    """The six numbers for a cut from a picture of across × down."""
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
    """The six numbers in the options of a ComfyUI conditioning.

    What is missing is taken from an uncropped picture of height × width.
    """
    height, width = options.get("height", height), options.get("width", width)
    return (
        height,
        width,
        options.get("crop_h", 0),
        options.get("crop_w", 0),
        options.get("target_height", height),
        options.get("target_width", width),
    )
