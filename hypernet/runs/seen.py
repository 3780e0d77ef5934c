"""seen.jsonl: the events of a run, one JSON object per line.

    {"step": 0, "began": 1764000000}     seconds since 1970; written again when the run resumes
    {"step": 100, "probe": 0.1234}
    {"step": 100, "note": "a sentence for the user"}
    {"step": 2000, "ended": "finished" or "interrupted" or "failed", "why": ""}

A killed process leaves no "ended".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..atomic_files import write_whole

SEEN = "seen.jsonl"


def seen_line(step: int, seen: Mapping[str, Any]) -> str:
    return json.dumps({"step": step, **seen}, ensure_ascii=False) + "\n"


def seen_lines(path: Path) -> Iterator[tuple[int, dict]]:
    """Yields (step, the rest) of every line that can be read; nothing if there is no file."""
    if not path.exists():
        return
    for line in path.read_text("utf-8", "replace").splitlines():
        try:
            seen = json.loads(line)
            yield int(seen.pop("step")), seen
        except (AttributeError, KeyError, TypeError, ValueError):
            continue


def forget_seen_after(path: Path, step: int) -> None:
    """Drop the lines of later steps, which will be made again."""
    found = list(seen_lines(path))
    kept = [(when, seen) for when, seen in found if when <= step]
    if kept == found:
        return
    text = "".join(seen_line(when, seen) for when, seen in kept)
    write_whole(path, lambda file: file.write(text.encode()))
