"""The settings of runs side by side, with those marked that differ.

They come from manifests, which versions have written with more and more settings. What an older one
lacks has its default, which means what that version did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from ...training.settings import TrainSettings
from ..manifest import read_manifest
from ..request import UNKNOWN
from ..state import SHAPE, in_text, through_json

TRAINED = through_json(
    {each.name: each.default for each in fields(TrainSettings) if each.default is not MISSING}
)
MADE_OF = (
    "model", "model_hash", "architecture", "host", "continue_from", "trained_further", "pictures",
    "dataset_hash",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A setting of several runs. part: "training" … values: None for what is unknown."""

    part: str
    name: str
    values: tuple[Any, ...]

    @property
    def differs(self) -> bool:
        known = [value for value in self.values if value not in (None, UNKNOWN)]
        return any(value != known[0] for value in known) or 0 < len(known) < len(self.values)

    @property
    def texts(self) -> list[str]:
        return [as_text(value) for value in self.values]

    def as_data(self) -> dict[str, Any]:
        return {
            "part": self.part, "name": self.name, "values": self.texts, "differs": self.differs,
        }  # fmt: skip


def compared(folders: Sequence[Path]) -> list[Row]:
    """Every setting of the runs in these folders, in the manifests' order."""
    told = [settings_in(read_manifest(folder)) for folder in folders]
    keys = dict.fromkeys(key for each in told for key in each)
    return [Row(*key, tuple(each.get(key) for each in told)) for key in keys]


def settings_in(manifest: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """(part, name) → value of every setting in a manifest, whatever somebody made of it."""
    request, dataset, others = (
        mapping(manifest.get(part)) for part in ("request", "dataset", "regularization")
    )
    made_of = {name: manifest.get(name) for name in MADE_OF} | {
        "folder": dataset.get("folder"),
        "regularization": others.get("folder") or mapping(others.get("dataset")).get("folder"),
        "changes": request.get("changes"),
    }
    parts = {
        "training": TRAINED | mapping(manifest.get("settings")),
        "network": SHAPE | mapping(manifest.get("spec")),
        "preview": mapping(manifest.get("preview")),
        "keeping": mapping(manifest.get("keeping")),
        "made of": made_of,
        "versions": mapping(manifest.get("versions")),
    }
    return {(part, name): value for part, told in parts.items() for name, value in told.items()}


def as_text(value: Any) -> str:
    """A value of a manifest in words; "–" for none."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {as_text(each)}" for key, each in value.items()) or "none"
    if isinstance(value, list) and any(isinstance(each, (str, Mapping)) for each in value):
        return ", ".join(map(as_text, value))
    try:
        return "–" if value is None else in_text(value)
    except (TypeError, ValueError):  # a list that somebody has edited
        return str(value)


def mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
