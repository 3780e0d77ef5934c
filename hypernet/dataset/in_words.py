"""Describes a dataset to its user in words."""

from __future__ import annotations

from collections import Counter

from ..text.lists_of_names import NAMED, some
from .items import SKIPPED, Dataset, Item, cut_of


def report(dataset: Dataset) -> str:
    """The report of Load Dataset: what was found and what stands out, one fact per line."""
    items, files = dataset.items, {item.path: item for item in dataset.items}
    lines = [f"{len(files)} pictures in {dataset.folder}, trained at {training_sizes(dataset)}."]
    if len(items) > len(files):
        lines.append(f"With parts and mirrored copies they make {len(items)}.")
    if len(dataset.shown) > len(items):
        lines.append(f"With repeats by folder names, a pass shows {len(dataset.shown)}.")
    sizes = sorted({(i.width, i.height) for i in items}, key=lambda size: size[0] * size[1])
    if sizes:
        small, large = (f"{width}×{height}" for width, height in (sizes[0], sizes[-1]))
        lines.append(f"Sizes: {small}." if small == large else f"Sizes: {small} to {large}.")
    small = [path.name for path, item in files.items() if is_enlarged(item, dataset)]
    wordless = [path.name for path, item in files.items() if not item.caption]
    for names, text in (
        (small, f"{len(small)} smaller than the training size, and enlarged"),
        (wordless, f"{len(wordless)} without words"),
    ):
        if names:
            lines.append(f"{text}: {some(names)}.")
    lines += [f"These look the same: {some(names)}." for names in dataset.alike[:NAMED]]
    if len(dataset.alike) > NAMED:
        lines.append(f"And {len(dataset.alike) - NAMED} more groups that look the same.")
    lines += dataset.notes
    lines += [f'Skipped "{name}": {reason}.' for name, reason in dataset.unreadable[:SKIPPED]]
    if len(dataset.unreadable) > SKIPPED:
        lines.append(f"And {len(dataset.unreadable) - SKIPPED} more were skipped.")
    return "\n".join(lines)


def training_sizes(dataset: Dataset) -> str:
    """The training sizes in words, the most frequent first."""
    counts = Counter(dataset.sizes).most_common()
    if len(counts) < 2:
        width, height = counts[0][0] if counts else (dataset.width, dataset.height)
        return f"{width}×{height} pixels"
    named = ", ".join(f"{width}×{height} ({count})" for (width, height), count in counts[:NAMED])
    if len(counts) > NAMED:
        return f"{named} and {len(counts) - NAMED} more sizes pixels"
    return f"{named} pixels"


def is_enlarged(item: Item, dataset: Dataset) -> bool:
    cut = cut_of(item, dataset)
    left, top, right, bottom = cut.box
    return round(right - left) < cut.width or round(bottom - top) < cut.height
