"""Curves of runs as inline SVG. They have the classes of page.css, which gives their colours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

WIDE, HIGH = 720, 260  # of the drawing, in its own pixels
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 10, 24
OUTLIERS = 0.02  # of the values: the smoothed loss begins with single ones

Points = tuple[Sequence[float], Sequence[float]]  # steps and values


@dataclass(frozen=True)
class Line:
    """A curve. kind: its class in page.css."""

    kind: str
    label: str
    points: Points


def tag(kind: str, *content: Element | str, **attributes: object) -> Element:
    """An element. Everything in it is text: whoever writes it out escapes it."""
    found = Element(
        kind, {key.rstrip("_").replace("_", "-"): str(each) for key, each in attributes.items()}
    )
    last = None
    for each in content:
        if isinstance(each, Element):
            found.append(last := each)
        elif last is None:
            found.text = (found.text or "") + each
        else:
            last.tail = (last.tail or "") + each
    return found


def drawing(lines: Sequence[Line], label: str) -> Element | None:
    """The curves by step in one picture; None if they have no points."""
    drawn = [line for line in lines if len(line.points[0])]
    if not drawn:
        return None
    steps = [step for line in drawn for step in line.points[0]]
    first, last = min(steps), max(steps)
    low, high = value_range(line.points[1] for line in drawn)

    def x(step: float) -> float:
        return LEFT + (WIDE - LEFT - RIGHT) * (step - first) / (last - first or 1)

    def y(value: float) -> float:
        return TOP + (HIGH - TOP - BOTTOM) * (high - value) / (high - low)

    grid = [
        part
        for value in ticks(low, high, 5)
        for part in (
            tag("line", class_="grid", x1=LEFT, x2=WIDE - RIGHT, y1=at(y(value)), y2=at(y(value))),
            tag("text", short(value), x=LEFT - 6, y=at(y(value) + 4), text_anchor="end"),
        )
    ]
    grid += [
        tag("text", f"{step:.0f}", x=at(x(step)), y=HIGH - 6, text_anchor=anchor(x(step)))
        for step in ticks(first, last, 6)
        if step == int(step)
    ]
    paths = [tag("path", class_=line.kind, d=path_of(line.points, x, y)) for line in drawn]
    inside = {"y": TOP, "height": HIGH - TOP - BOTTOM, "width": WIDE}
    cut = tag("svg", *paths, viewBox=f"0 {TOP} {WIDE} {inside['height']}", **inside)
    names = {"role": "img", "aria-label": label, "viewBox": f"0 0 {WIDE} {HIGH}"}
    return tag("svg", *grid, cut, **names)


def anchor(x: float) -> str:
    """Where a label stands that shall not be cut at the edge."""
    return "middle" if x < WIDE - 3 * RIGHT else "end"


def path_of(points: Points, x, y) -> str:
    if len(points[0]) == 1:  # a dot: the ends of lines are round
        return f"M{at(x(points[0][0]))} {at(y(points[1][0]))}h.01"
    places = (f"{at(x(step))} {at(y(value))}" for step, value in zip(*points, strict=True))
    return f"M{'L'.join(places)}"


def value_range(columns: Iterable[Sequence[float]]) -> tuple[float, float]:
    """What is drawn: the values without outliers, and a margin."""
    low, high = math.inf, -math.inf
    for column in columns:
        values = sorted(column)
        skipped = int(len(values) * OUTLIERS)
        low, high = min(low, values[skipped]), max(high, values[-1 - skipped])
    margin = (high - low or abs(high) or 1) * 0.08
    return low - margin, high + margin


def ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers from low to high."""
    rough = (high - low) / count or 1
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def short(value: float) -> str:
    return f"{value:.4g}"


def at(place: float) -> str:
    return f"{place:.1f}"


def legend(lines: Sequence[Line], last: Mapping[str, str]) -> Element:
    """The lines' names with their last values, by kind."""
    entries = [
        tag("span", f"{line.label} {last.get(line.kind, '')}".rstrip(), class_=f"entry {line.kind}")
        for line in lines
        if len(line.points[0])
    ]
    return tag("p", *entries, class_="legend")
