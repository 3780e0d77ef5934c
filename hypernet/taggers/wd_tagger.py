"""WD taggers (SmilingWolf's, any version): a `model.onnx` with a `selected_tags.csv` beside it.

The network takes (B, H, W, 3) float32 in 0..255, in BGR order, at the size that its input declares,
and returns probabilities. The csv has the name of each output and danbooru's number of its
category.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..captions.tags import Tag
from ..text.encodings import decode

CATEGORIES = {"0": "general", "4": "character", "9": "rating"}  # others keep their number
USUAL_SIDE = 448  # for networks that accept any size


class WdTagger:
    """Tags pictures. Raises ValueError naming a file that is missing, damaged or no WD tagger."""

    def __init__(self, file: Path, device: torch.device):
        self.file = file
        self.tags = read_names(names_file(file))
        self.session = open_session(file, device)
        takes, gives = (
            [(each.name, each.shape) for each in side]
            for side in (self.session.get_inputs(), self.session.get_outputs())
        )
        if not fits(takes, gives, len(self.tags)):
            raise ValueError(
                f'"{file}" takes {takes} and gives {gives}, which is no WD tagger with the '
                f"{len(self.tags)} tags of its csv. Take model.onnx and selected_tags.csv from one "
                "and the same place."
            )
        self.input, shape = takes[0]
        self.side = shape[1] if isinstance(shape[1], int) else USUAL_SIDE
        self.together = shape[0] if isinstance(shape[0], int) else None  # pictures per run

    def __call__(self, pictures: Sequence[Image.Image]) -> list[tuple[Tag, ...]]:
        squares = np.stack([as_input(picture, self.side) for picture in pictures])
        step = self.together or len(squares)
        rows = []
        for first in range(0, len(squares), step):
            part = squares[first : first + step]
            missing = step - len(part)
            part = np.concatenate([part, *[part[-1:]] * missing])
            scores = self.session.run(None, {self.input: part})[0]
            assert isinstance(scores, np.ndarray)  # its types allow sparse tensors and maps, too
            rows += list(scores[: step - missing])
        if not np.isfinite(rows).all():
            raise ValueError(f'"{self.file}" gives NaN: it is damaged. Get it again.')
        return [
            tuple(
                Tag(name, float(score), category)
                for (name, category), score in zip(self.tags, row, strict=True)
            )
            for row in rows
        ]


def fits(takes: list[tuple], gives: list[tuple], tags: int) -> bool:
    """Is it one input with 3 channels last, and one score per tag? takes, gives: (name, shape).

    A dimension that the network leaves open is no int and matches anything.
    """
    if len(takes) != 1 or not gives:
        return False
    picture, scores = takes[0][1], gives[0][1]
    if len(picture) != 4 or len(scores) != 2:
        return False
    wanted = ((picture[3], 3), (scores[1], tags))
    return all(length == right for length, right in wanted if isinstance(length, int))


def open_session(file: Path, device: torch.device):
    """The network on the device if this onnxruntime supports it, otherwise on the CPU."""
    try:
        import onnxruntime
    except ImportError:
        raise ValueError(
            "WD taggers need the package onnxruntime, which is not installed. Install it into the "
            "Python that runs this: pip install onnxruntime (or onnxruntime-gpu)."
        ) from None
    can = onnxruntime.get_available_providers()
    wanted = ["CUDAExecutionProvider"] if device.type == "cuda" else []
    providers = [name for name in (*wanted, "CPUExecutionProvider") if name in can]
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3  # only errors
    try:
        return onnxruntime.InferenceSession(str(file), settings, providers=providers)
    except Exception as fault:  # onnxruntime's exception types are not public
        lines = str(fault).splitlines() or [type(fault).__name__]
        raise ValueError(
            f'"{file}" cannot be opened as an ONNX network: {lines[0][:300]}. Get it again.'
        ) from fault


def names_file(file: Path) -> Path:
    """The csv with the network's own name, or `selected_tags.csv` beside it."""
    places = [file.with_suffix(".csv"), file.with_name("selected_tags.csv")]
    for place in places:
        if place.is_file():
            return place
    raise ValueError(
        f'"{file}" lies there without the names of its tags. Put selected_tags.csv, from where it '
        f'came, into "{file.parent}".'
    )


def read_names(file: Path) -> list[tuple[str, str]]:
    """(name, category) of every output. Raises ValueError if the file is no table of tags."""
    rows = list(csv.DictReader(decode(file.read_bytes()).splitlines()))
    if not rows or not {"name", "category"} <= rows[0].keys():
        raise ValueError(
            f'"{file}" is no table of tags: columns "name" and "category" are missing. Get '
            "selected_tags.csv again."
        )
    return [(row["name"], CATEGORIES.get(row["category"], row["category"])) for row in rows]


def as_input(picture: Image.Image, side: int) -> np.ndarray:
    """(side, side, 3) float32 in 0..255, BGR: the whole picture on a white square.

    It is scaled down by area averages and up by bicubic interpolation, as the trainer does.
    """
    longest = max(picture.size)
    square = Image.new("RGB", (longest, longest), "white")
    square.paste(picture, ((longest - picture.width) // 2, (longest - picture.height) // 2))
    filtering = Image.Resampling.BOX if longest > side else Image.Resampling.BICUBIC
    resized = square.resize((side, side), filtering)
    return np.ascontiguousarray(np.asarray(resized, dtype=np.float32)[:, :, ::-1])
