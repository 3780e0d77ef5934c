"""Finds the focal point of a picture: the point that a crop should keep.

It is the weighted mean of up to three points, each found in a miniature:

    faces    the middle of all faces, weighted by their areas
    edges    the middle of up to 100 Shi-Tomasi corners, where the smaller eigenvalue of the
             gradients' covariance is large; the lowest tenth of the picture is ignored, because
             signatures are there
    entropy  the middle of the crop whose shades have the highest entropy

A method that finds nothing is left out of the mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .crop import MIDDLE, Point, box_of
from .faces import FindFaces, nothing

SMALL, FACES_SMALL = 256, 384  # pixels of the miniatures' longer side
CORNERS = 100  # how many are used at most
LEAST_CORNER = 0.04  # strength that a corner needs, as a share of the strongest
APART = 0.06  # least distance between corners, as a share of the shorter side
STEP = 4  # pixels that the entropy window moves by


@dataclass(frozen=True, kw_only=True)
class FocusWeights:
    faces: float = 0.9
    edges: float = 0.5
    entropy: float = 0.15


def focal_point(
    picture: Image.Image,
    shape: float,
    weights: FocusWeights = FocusWeights(),
    find_faces: FindFaces = nothing,
) -> Point:
    """The focal point, for a crop whose width / height is `shape`."""
    grey = miniature(picture, SMALL)
    methods: list[tuple[float, Callable[[], Point | None]]] = [
        (weights.faces, lambda: face_point(find_faces(miniature(picture, FACES_SMALL)), picture)),
        (weights.edges, lambda: edge_point(grey)),
        (weights.entropy, lambda: entropy_point(grey, shape)),
    ]
    found = [(weight, method()) for weight, method in methods if weight > 0]
    found = [(weight, point) for weight, point in found if point]
    total = sum(weight for weight, _ in found)
    if not total:
        return MIDDLE
    x, y = (sum(weight * point[axis] for weight, point in found) / total for axis in (0, 1))
    return x, y


def miniature(picture: Image.Image, longest: int) -> np.ndarray:
    """(H, W) uint8 grey."""
    small = picture.convert("L")
    small.thumbnail((longest, longest), Image.Resampling.BOX)
    return np.asarray(small)


def face_point(faces: list, picture: Image.Image) -> Point | None:
    if not faces:
        return None
    scale = min(1.0, FACES_SMALL / max(picture.size))
    left, top, width, height = np.array(faces, dtype=float).T
    areas = width * height
    x = float(((left + width / 2) * areas).sum() / areas.sum()) / (picture.width * scale)
    y = float(((top + height / 2) * areas).sum() / areas.sum()) / (picture.height * scale)
    return min(x, 1.0), min(y, 1.0)


def edge_point(grey: np.ndarray) -> Point | None:
    """The mean of the corners; None for a picture too small or too flat to have any."""
    height, width = grey.shape
    if min(height, width) < 3:
        return None
    numbers = grey.astype(np.float64)
    down, across = (np.gradient(numbers, axis=axis) for axis in (0, 1))
    xx, yy, xy = (blurred(product) for product in (across**2, down**2, across * down))
    strength = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    strength[int(height * 0.9) :] = 0
    least = strength.max() * LEAST_CORNER
    if not strength.max() > 1e-6:
        return None
    apart = max(1, int(min(height, width) * APART))
    rows, columns = np.nonzero((strength >= least) & (strength == highest(strength)))
    order = np.argsort(-strength[rows, columns], kind="stable")
    free = np.ones_like(strength, dtype=bool)
    chosen = []
    for y, x in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if free[y, x]:
            chosen.append((x + 0.5, y + 0.5))
            free[max(0, y - apart) : y + apart + 1, max(0, x - apart) : x + apart + 1] = False
            if len(chosen) == CORNERS:
                break
    x, y = np.mean(chosen, axis=0)
    return float(x) / width, float(y) / height


def highest(numbers: np.ndarray) -> np.ndarray:
    """The maximum of each 3 × 3 neighbourhood."""
    wide = np.pad(numbers, 1, mode="edge")
    rows = np.maximum(np.maximum(wide[:-2], wide[1:-1]), wide[2:])
    return np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])


def blurred(numbers: np.ndarray) -> np.ndarray:
    """The mean of each 3 × 3 neighbourhood, with the edges repeated."""
    wide = np.pad(numbers, 1, mode="edge")
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    return (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9


def entropy_point(grey: np.ndarray, shape: float) -> Point:
    """The middle of the window with the highest entropy; of equals, the one nearest to the middle
    of the picture."""
    height, width = grey.shape
    left, top, right, bottom = box_of(width, height, shape)
    window = max(1, round(right - left)), max(1, round(bottom - top))
    best = (-1.0, 0.0, MIDDLE)
    for x in places(width - window[0]):
        for y in places(height - window[1]):
            part = grey[y : y + window[1], x : x + window[0]]
            share = np.bincount(part.ravel(), minlength=256) / part.size
            share = share[share > 0]
            bits = round(float(-(share * np.log2(share)).sum()), 6)
            middle = ((x + window[0] / 2) / width, (y + window[1] / 2) / height)
            away = abs(middle[0] - 0.5) + abs(middle[1] - 0.5)
            best = max(best, (bits, -away, middle))
    return best[2]


def places(room: int) -> list[int]:
    return sorted({*range(0, room + 1, STEP), room // 2, room})
