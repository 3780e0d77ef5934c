"""The runs of a folder, as their manifests tell of them, the newest first."""

from __future__ import annotations

from pathlib import Path

from ..text.links import files_below
from .run import read_manifest

MANIFEST = "manifest.json"


def list_runs(folder: Path, most: int = 500) -> list[dict]:
    """Plain data; [] where there is no such folder. A manifest that cannot be read is left out."""
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
