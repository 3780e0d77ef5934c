"""Writes a TensorBoard log if it is wanted. Otherwise NoBoard takes its place and does nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


class NoBoard:
    """Has the methods of Board, but writes nothing."""

    def numbers(self, step: int, values: dict[str, float]) -> None:
        pass

    def picture(self, step: int, pixels: np.ndarray) -> None:
        pass

    def flush(self) -> None:
        pass


class Board(NoBoard):
    """Writes curves and previews for `tensorboard --logdir <folder>`.

    first: the first step of this process. What earlier processes wrote from there on is hidden.
    """

    def __init__(self, folder: Path, first: int):
        self._writer = summary_writer()(str(folder), purge_step=first)

    def numbers(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, step: int, pixels: np.ndarray) -> None:
        """pixels (H, W, 3), 0 to 255."""
        self._writer.add_image("preview", pixels, step, dataformats="HWC")

    def flush(self) -> None:
        self._writer.flush()


def summary_writer() -> Any:
    """torch's SummaryWriter. Raises ValueError, saying what to do, without tensorboard."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as missing:
        raise ValueError(
            f"A TensorBoard log needs the package tensorboard ({missing}): pip install "
            "tensorboard, or turn tensorboard off; loss.csv has the same numbers."
        ) from missing
    return SummaryWriter
