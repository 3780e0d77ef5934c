"""The request of a run: everything that decides what is learnt, as plain data.

Two runs of one request give one network, so a finished one need not be trained again. It is written
into manifest.json when a run begins:

    "request": {
      "settings":     of TrainSettings what is learnt by (see settings.BESIDE_LEARNING)
      "spec":         the shape of the network and how it begins
      "model":        identity.model_hash of the model's file
      "changes":      a hash of what the model, CLIP and VAE carry besides (LoRAs, a CLIP skip)
      "pictures":     a hash of pictures and words as they are asked for, before anything is encoded
      "name":         what [name] stands for, where a template asks for it
      "begins_with":  sha256 of the network's file that it continues from
    }

A run of an earlier version wrote none; what its manifest tells otherwise takes its place. Hashing
pictures takes time, so all else is compared first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

from ..network.spec import HypernetSpec
from ..training.schedule import LIMIT, Schedule, parse_schedule
from ..training.settings import BESIDE_LEARNING, TrainSettings
from .state import in_text, through_json

UNKNOWN = "?"  # of an earlier version's run; equal to everything
PICTURES = "other pictures or words"
SHAPE = through_json(asdict(HypernetSpec()))  # what a run of a version without some field had there


@dataclass(frozen=True, kw_only=True)
class Request:
    settings: Mapping[str, Any]
    spec: Mapping[str, Any]
    model: str | None
    changes: str = ""
    pictures: str = ""  # "": not looked at yet
    name: str | None = None
    begins_with: str | None = None

    @property
    def steps(self) -> int:
        return int(self.settings["steps"])

    @cached_property
    def schedule(self) -> Schedule:
        """Raises ValueError where somebody has edited the manifest."""
        return parse_schedule(self.settings["learning_rate"], self.steps)

    @cached_property
    def limits(self) -> Schedule | None:
        """Of gradients; None where they are not clipped, and the text does not count."""
        if self.settings["gradient_clip"] == "off":
            return None
        return parse_schedule(self.settings["clip_limit"], self.steps, what=LIMIT)


def make_request(settings: TrainSettings, spec: HypernetSpec, **others: Any) -> Request:
    return Request(
        settings=learnt_by(through_json(asdict(settings))),
        spec=through_json(asdict(spec)),
        **others,
    )


def learnt_by(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that decide what is learnt; those that an older run lacks are at their
    defaults, which keep their meaning."""
    defaults = {each.name: each.default for each in fields(TrainSettings)}
    return {
        name: settings.get(name, default)
        for name, default in defaults.items()
        if name not in BESIDE_LEARNING
    }


def request_in(manifest: Mapping[str, Any]) -> Request:
    """Raises ValueError, in words, for a manifest that tells of no request or of two."""
    try:
        settings, spec = learnt_by(manifest["settings"]), SHAPE | manifest["spec"]
        if "request" not in manifest:
            return Request(
                settings=settings,
                spec=spec,
                model=manifest.get("model_hash"),
                changes=UNKNOWN,
                pictures=str(manifest["dataset_hash"]),
                name=manifest.get("name"),
                begins_with=UNKNOWN if manifest.get("continue_from") else None,
            )
        found = Request(**manifest["request"])
        told = learnt_by(found.settings), SHAPE | found.spec, found.model
        asked = replace(found, settings=settings)
        is_over(asked, 0)  # is its learning rate one?
    except (AttributeError, KeyError, TypeError, ValueError) as fault:
        raise ValueError("manifest.json is damaged, or was edited") from fault
    if told != (settings, spec, manifest.get("model_hash")):
        raise ValueError("manifest.json was edited: its settings are not those of its request")
    return asked


def differences(was: Request, now: Request, pictures: Callable[[], str]) -> list[str]:
    """["learning_rate 1e-3 (now 1e-4)"]; [] when one network answers both. begins_with is for the
    caller to compare. pictures: their hash now, asked for only if all else is the same."""
    found = [
        f"{key} {in_text(was.settings.get(key))} (now {in_text(value)})"
        for key, value in now.settings.items()
        if was.settings.get(key) != value
    ]
    found += [
        f"{key} {in_text(was.spec.get(key))} (now {in_text(value)})"
        for key, value in now.spec.items()
        if was.spec.get(key) != value
    ]
    if was.model != now.model:
        found.append("another model")
    if was.changes not in (now.changes, UNKNOWN):
        found.append("other changes of the model, such as a LoRA or a CLIP skip")
    if now.name is not None and was.name != now.name:
        found.append(f'[name] "{was.name}" (now "{now.name}")')
    if not found and was.pictures != pictures():
        found.append(PICTURES)
    return found


def is_prefix(was: Request, now: Request, updates: int, pictures: Callable[[], str]) -> bool:
    """Would `now`, begun anew, pass through the network that `was` has after so many updates? So it
    is where only `steps` has changed, and no schedule with it. begins_with is not looked at."""
    longer = replace(was, settings={**was.settings, "steps": now.steps})
    return (
        not differences(longer, now, pictures)
        and same_beginning(was.schedule, now.schedule, updates)
        and same_beginning(was.limits, now.limits, updates)
    )


def same_beginning(first: Schedule | None, second: Schedule | None, updates: int) -> bool:
    if first is None or second is None:
        return first is second
    return all(first.rate_at(step) == second.rate_at(step) for step in range(updates))


def is_over(request: Request, updates: int) -> bool:
    """Has a run with so many updates all that it asked for?"""
    return updates >= request.steps or request.schedule.rate_at(updates) is None
