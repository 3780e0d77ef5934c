"""Finds faces in a picture, if OpenCV is installed.

The detector is a file that comes with OpenCV 4; OpenCV 5 no longer has it. Without the detector no
face is found, and a message says why.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

Face = tuple[int, int, int, int]  # left, top, width, height in pixels
FindFaces = Callable[[np.ndarray], list[Face]]  # of (H, W) uint8

DETECTOR = "haarcascade_frontalface_default.xml"


def lacking(reason: str) -> str:
    return (
        f"Faces are not looked for: {reason}. Install opencv-python-headless of version 4 in the "
        "Python that runs this, or set the weight of faces to 0."
    )


def face_finder() -> tuple[FindFaces, str]:
    """The function that finds faces, and why it finds none ("" if it works)."""
    try:
        import cv2
    except ImportError:
        return nothing, lacking("OpenCV is not installed")
    file = Path(getattr(getattr(cv2, "data", None), "haarcascades", ""), DETECTOR)
    if not file.is_file() or not hasattr(cv2, "CascadeClassifier"):
        return nothing, lacking(f"OpenCV {cv2.__version__} comes without its face detector")
    detector, one_at_a_time = cv2.CascadeClassifier(str(file)), threading.Lock()

    def find(grey: np.ndarray) -> list[Face]:
        least = max(16, min(grey.shape) // 10)
        with one_at_a_time:
            found = detector.detectMultiScale(grey, 1.2, 5, minSize=(least, least))
        return [(int(x), int(y), int(width), int(height)) for x, y, width, height in found]

    return find, ""


def nothing(grey: np.ndarray) -> list[Face]:
    return []
