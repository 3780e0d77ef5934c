"""The request of a run: everything that decides what is learnt, as plain data.

Two runs with the same request give the same network, so a finished one is not trained again. The
request is written into manifest.json when a run begins:

    "request": {
      "settings":     the TrainSettings except those in settings.BESIDE_LEARNING
      "spec":         the shape of the network and how its weights begin
      "model":        fingerprints.model_hash of the model's file
      "changes":      a fingerprint of changes to model, CLIP and VAE (LoRAs, a CLIP skip)
      "pictures":     a fingerprint of pictures and words, before anything is encoded
      "name":         what [name] stands for, if a template uses it
      "begins_with":  sha256 of the network's file that it continues from
    }

Runs of earlier versions have no request; it is rebuilt from the rest of their manifest. Hashing
pictures takes time, so everything else is compared first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

from ..network.spec import HypernetSpec
from ..training.schedule import LIMIT, Schedule, parse_schedule
from ..training.settings import BESIDE_LEARNING, TrainSettings
from .state import SHAPE, in_text, through_json

UNKNOWN = "?"  # not recorded by an earlier version; counts as equal to everything
PICTURES = "other pictures or words"


@dataclass(frozen=True, kw_only=True)
class Request:
    settings: Mapping[str, Any]
    spec: Mapping[str, Any]
    model: str | None
    changes: str = ""
    pictures: str = ""  # "": not hashed yet
    name: str | None = None
    begins_with: str | None = None

    @property
    def steps(self) -> int:
        return int(self.settings["steps"])

    @cached_property
    def schedule(self) -> Schedule:
        """The parsed learning_rate. Raises ValueError if somebody has edited the manifest badly."""
        return parse_schedule(self.settings["learning_rate"], self.steps)

    @cached_property
    def limits(self) -> Schedule | None:
        """The parsed clip_limit; None if gradients are not clipped, so that it has no effect."""
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
    """The settings that decide what is learnt.

    Those that an older run lacks get their defaults, which mean what the older version did.
    """
    defaults = {each.name: each.default for each in fields(TrainSettings)}
    return {
        name: settings.get(name, default)
        for name, default in defaults.items()
        if name not in BESIDE_LEARNING
    }


def request_in(manifest: Mapping[str, Any]) -> Request:
    """The request in a manifest.

    Raises ValueError if the manifest is damaged, or if its settings differ from its request.
    """
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
        is_over(asked, 0)  # raises ValueError if the learning rate cannot be parsed
    except (AttributeError, KeyError, TypeError, ValueError) as fault:
        raise ValueError("manifest.json is damaged, or was edited") from fault
    if told != (settings, spec, manifest.get("model_hash")):
        raise ValueError("manifest.json was edited: its settings are not those of its request")
    return asked


def differences(was: Request, now: Request, pictures: Callable[[], str]) -> list[str]:
    """The differences in words, ["learning_rate 1e-3 (now 1e-4)"]; [] if both give one network.

    The caller must compare begins_with. pictures() returns their fingerprint now; it is only
    called if all else is equal.
    """
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
    """Would a new run of `now` have the same network after `updates` as a run of `was`?

    It would if only `steps` differs, and the rates of those updates are the same. The caller must
    compare begins_with.
    """
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
    """Is a run of this request complete after so many updates?"""
    return updates >= request.steps or request.schedule.rate_at(updates) is None
