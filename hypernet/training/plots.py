"""Draws plots, (1, H, W, 3) float32 in 0..1. Matplotlib is imported only when one is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy
import torch
from torch import Tensor

from .range_test import Band, Point
from .schedule import Schedule, sampled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def schedule_picture(schedule: Schedule, title: str) -> Tensor:
    """The rate by step, on a logarithmic axis if all rates are above 0."""
    places, rates = zip(*sampled(schedule), strict=True)
    figure = new_figure()
    axes = figure.subplots()
    axes.step(places, rates, where="post")
    if min(rates) > 0:
        axes.set_yscale("log")
    axes.set(title=shortened(title), xlabel="step", ylabel="learning rate")
    axes.grid(alpha=0.3, which="both")
    return picture_of(figure)


def range_picture(points: Sequence[Point], band: Band | None) -> Tensor:
    """The loss by rate in a range test, with the useful band marked."""
    figure = new_figure()
    axes = figure.subplots()
    axes.plot([point.rate for point in points], [point.loss for point in points])
    axes.set_xscale("log")
    axes.set(xlabel="learning rate", ylabel="loss of the probe")
    if band is not None:
        axes.axvspan(band.low, band.high, alpha=0.2)
        axes.set_title(f"useful: {band.low:.1e} to {band.high:.1e}")
    axes.grid(alpha=0.3, which="both")
    return picture_of(figure)


def new_figure() -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(8, 4.5), dpi=100, layout="constrained")


def picture_of(figure: Figure) -> Tensor:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = numpy.asarray(canvas.buffer_rgba())[..., :3]
    return torch.from_numpy(pixels.astype(numpy.float32) / 255)[None]


def shortened(text: str, longest: int = 80) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
