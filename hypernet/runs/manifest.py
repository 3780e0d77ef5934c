"""Reads the manifests of runs, and lists the runs of a folder by them."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..text.links import files_below

MANIFEST = "manifest.json"


def list_runs(folder: Path, most: int = 500) -> list[dict]:
    """The runs in a folder as plain data, the newest first; [] if the folder does not exist.

    Runs whose manifest cannot be read are left out.
    """
    found = []
    for name in files_below(folder):
        if not name.endswith(f"/{MANIFEST}"):
            continue
        manifest = folder / name
        try:
            told = read_manifest(manifest.parent)
            settings = told["settings"]
            found.append(
                {
                    "name": name.removesuffix(f"/{MANIFEST}"),
                    "finished": "seconds" in told,
                    "steps": settings["steps"],
                    "learning_rate": settings["learning_rate"],
                    "pictures": told.get("pictures"),
                    "model": told.get("model") or "",
                    "changed": manifest.stat().st_mtime,
                }
            )
        except (OSError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda run: -run["changed"])[:most]


def read_manifest(folder: Path) -> dict:
    """The run's manifest; {} if it cannot be read."""
    try:
        found = json.loads((folder / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}  # not an error here: callers judge what is missing
    return found if isinstance(found, dict) else {}


def changed_settings(was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, list]:
    """{setting: [was, now]} for each setting that both have and that differs."""
    return {key: [was[key], now[key]] for key in now if key in was and was[key] != now[key]}


def versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.platform(),
    }
