"""The quality bench's tables: what every way reaches, and at equal drift and equal content."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean, stdev

from PIL import Image
from torch import load

from demo.drawing import sheet

from .interleaved import machine

DRIFTS = (0.15, 0.2, 0.25)
CONTENTS = (0.95, 0.9)
LEARNT = 0.7  # a style
Point = Mapping[str, float]


def curve(cell: Mapping) -> list[tuple[float, Point]]:
    """(strength, scores) of the finished network, from strength 0 on."""
    measured = {
        float(at.partition("@")[2]): scores
        for at, scores in cell["points"].items()
        if at.startswith("1@")
    }
    return [(0.0, cell["bare"]), *sorted(measured.items())]


def style_at_drift(cell: Mapping, drift: float) -> float:
    """The best style along the curve that moves other pictures no further than this."""
    return best_style(cell, lambda point: point["drift"] <= drift)


def style_at_content(cell: Mapping, content: float) -> float:
    """The best style along the curve where at least this share shows what was asked for."""
    return best_style(cell, lambda point: point["content"] >= content)


def best_style(cell: Mapping, is_allowed: Callable[[Point], bool]) -> float:
    """The best style among the allowed points of the curve, which is straight between two."""
    best = 0.0
    for (_, low), (_, high) in pairwise(curve(cell)):
        for part in (step / 100 for step in range(101)):
            between = {
                name: round(low[name] + part * (high[name] - low[name]), 9)
                for name in ("style", "content", "drift")
            }
            if is_allowed(between):
                best = max(best, between["style"])
    return best


def until_learnt(cell: Mapping) -> tuple[float, float] | None:
    """(updates, seconds) to the style LEARNT at strength 1; None if it is never reached."""
    lengths = sorted(
        (float(at.partition("@")[0]), scores["style"])
        for at, scores in cell["points"].items()
        if at.endswith("@1")
    )
    lengths = [(0.0, cell["bare"]["style"]), *lengths]
    for (before, low), (after, high) in pairwise(lengths):
        if low < LEARNT <= high:
            part = before + (LEARNT - low) / (high - low) * (after - before)
            last = cell["reached"][-1]
            return part * last["done"], part * last["seconds"]
    return None


def spread(values: Iterable[float | None]) -> str:
    """ "0.83 ± 0.01": the mean, and the standard deviation where there are several."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    return f"{mean(known):.2f}" + (f" ± {stdev(known):.2f}" if len(known) > 1 else "")


def grouped(cells: Sequence[Mapping], style: str) -> dict[str, list[Mapping]]:
    rows: dict[str, list[Mapping]] = {}
    for cell in cells:
        if cell["style"] == style and "1@1" in cell["points"]:
            rows.setdefault(cell["row"], []).append(cell)
    return rows


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def at_full_strength(rows: Mapping[str, list[Mapping]]) -> str:
    def row(name: str, cells: list[Mapping]) -> list[object]:
        ones = [cell["points"]["1@1"] for cell in cells]
        last = [cell["reached"][-1] for cell in cells]
        return [
            name, len(cells),
            *(spread(one[key] for one in ones) for key in ("style", "content", "drift")),
            spread(one["content_others"] for one in ones),
            f"{last[0]['done']:,}", f"{mean(each['seconds'] for each in last):.0f}",
            f"{cells[0]['parameters'] / 1000:.0f} k",
        ]  # fmt: skip

    heads = (
        "way", "seeds", "style", "content", "drift", "content of others", "updates", "seconds",
        "parameters",
    )  # fmt: skip
    return table(heads, [row(name, cells) for name, cells in rows.items()])


def at_equal_cost(rows: Mapping[str, list[Mapping]]) -> str:
    heads = ["way", *(f"style at drift {drift}" for drift in DRIFTS)]
    heads += [f"style at content {content}" for content in CONTENTS]
    found = []
    for name, cells in rows.items():
        if len(cells[0]["points"]) < 3:
            continue
        drifts = [spread(style_at_drift(cell, drift) for cell in cells) for drift in DRIFTS]
        contents = [spread(style_at_content(cell, at) for cell in cells) for at in CONTENTS]
        found.append([name, *drifts, *contents])
    return table(heads, found)


def by_length(rows: Mapping[str, list[Mapping]]) -> str:
    heads = ("way", "after a quarter", "after half", "in the end", "updates to 0.7", "seconds")
    found = []
    for name, cells in rows.items():
        long = [cell for cell in cells if "0.25@1" in cell["points"]]
        if not long:
            continue
        styles = [
            spread(cell["points"][f"{part}@1"]["style"] for cell in long)
            for part in ("0.25", "0.5", "1")
        ]
        learnt = until_learnt(long[0])
        found.append([name, *styles, *(f"{each:.0f}" for each in learnt or ())])
    return table(heads, found)


def write_tables(cells: list[dict], out: Path) -> None:
    """Write quality.md and quality.json, and print the former."""
    bare = {cell["style"]: cell["bare"] for cell in cells if "bare" in cell}
    cells = [{"bare": bare[cell["style"]], **cell} for cell in cells if cell["style"] in bare]
    parts = [f"{machine()}"]
    kinds: tuple[tuple[str, Callable], ...] = (
        ("At strength 1", at_full_strength),
        ("At equal drift and at equal content", at_equal_cost),
        ("While it learns, at strength 1", by_length),
    )
    for style in bare:
        rows = grouped(cells, style)
        parts.append(f"## {style} (without: style {bare[style]['style']:.2f})")
        parts += [f"### {title}\n\n{draw(rows)}" for title, draw in kinds]
    text = "\n\n".join(parts) + "\n"
    (out / "quality.md").write_text(text, "utf-8")
    kept = [{key: value for key, value in cell.items() if key != "reached"} for cell in cells]
    (out / "quality.json").write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    print(text)


def write_sheet(shown: Mapping[str, Path], words: Sequence[str], to: Path) -> None:
    """A sheet with a column for each way, from the files that hold its pictures."""
    columns = [
        [Image.fromarray(picture.numpy()) for picture in load(file, weights_only=True)]
        for file in shown.values()
    ]
    sheet(columns, list(words), list(shown)).save(to, quality=80)
