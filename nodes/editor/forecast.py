"""Tells the editor what Run will do with a name, before anything is read that takes time.

The decision is that of the training itself (names/naming.py). What only the training knows (the
model, the pictures, what the preset chooses for them, and what other nodes give) counts as it was
in the run that lies there. So the answer is what happens if none of these has changed.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from hypernet.formats.optim_file import file_hash
from hypernet.network.spec import HypernetSpec
from hypernet.runs.request import Request, make_request
from hypernet.runs.standing import Standing, free_name, numbered, standing_of
from hypernet.runs.state import spec_differences
from hypernet.training.advice import settings_warnings
from hypernet.training.auto import AutoSettings, settle
from hypernet.training.presets import AUTO

from ...compat import network_folders
from ..train.learning_rate import SD1_LATENT
from ..train.live import running
from ..train.names.naming import (
    CHOICES,
    FURTHER,
    GO_ON,
    LOAD,
    NEW,
    RESUME,
    Found,
    Looks,
    Wish,
    plan_name,
)  # fmt: skip
from ..train.names.search import sha_of
from ..train.train_hypernet import NOTHING
from ..use.load_save import bare_path, find, runs_folder
from .panels import latent_in, spec_above
from .requests import values

ASKED = {"name": str, "resume": bool, "if_taken": str, "continue_from": str}
# Two that differ in all that `settle` looks at: what it makes of both alike depends on neither.
ON_MODELS = (
    (HypernetSpec(), SD1_LATENT, "eps"),
    (HypernetSpec(widths=(64,)), (16, 24), "flow"),
)
ELSE = (("further", {"if_taken": GO_ON}, FURTHER), ("resume", {"resume": True}, RESUME))
REFUSALS = (FileExistsError, ValueError)


def forecast(query: dict[str, str], body: object) -> dict:
    """{said, choices, notes}: what Run will do, what else it could do, and on the settings.

    Each choice is {what, name, set}: the name that it concerns, and the widgets' values for it.
    """
    given = values(body, ASKED)
    assert isinstance(body, dict)  # values has refused all else
    given["name"] = name = bare_path(given["name"])
    if given["if_taken"] not in CHOICES:
        raise ValueError(f'if_taken "{given["if_taken"]}": choose one of {", ".join(CHOICES)}.')
    more = {name: body.get(name) or {} for name in ("settings", "config")}
    widgets, config = values(more, dict.fromkeys(more, dict)).values()
    typed = typed_in(widgets)
    notes = {"notes": notes_on(typed, spec_above(body), latent_in(body))}
    if name in running():
        return notes | {"said": f'"{name}" is being trained now.', "choices": []}
    outlook = outlook_for(given, typed, config)
    try:
        found = outlook.decide()
    except REFUSALS as fault:
        return notes | {"said": f"Run will stop: {fault}", "choices": outlook.choices(None)}
    return notes | {"said": sentence(found), "choices": outlook.choices(found)}


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """there: what lies under the name and its numbered forms. free: the first name that is not
    taken. settings, shape: what is known of the request's settings and spec.
    """

    wish: Wish
    there: Sequence[Standing]
    free: str
    settings: Mapping[str, Any]
    shape: Mapping[str, Any]

    def decide(self, **changes: Any) -> Found:
        """The training's decision, with these changes of the wish. Raises what it raises."""
        wish = replace(self.wish, **changes)
        if not self.there:
            return Found(kind=NEW, name=wish.name)
        requests = [self.as_now(each.request) for each in self.there if each.request]
        for request in requests:  # a numbered one may be the same, too
            with suppress(*REFUSALS):
                if (found := self.plan(wish, request)).kind == LOAD:
                    return found
        return self.plan(wish, requests[0] if requests else wish.request)

    def as_now(self, was: Request) -> Request:
        """The request that is made now, if all that is not known has stayed as it was."""
        return replace(
            was,
            settings={**was.settings, **self.settings},
            spec={**was.spec, **self.shape},
            begins_with=self.wish.request.begins_with,
        )

    def plan(self, wish: Wish, request: Request) -> Found:
        looks = Looks(
            pictures=lambda: request.pictures,
            sha=sha_of,
            fault=lambda standing: "",
            hinders=lambda standing: (
                spec_differences(standing.request.spec, self.shape) if standing.request else ""
            ),
        )
        return plan_name(
            replace(wish, request=request), self.there, list(running()), self.free, looks
        )

    def choices(self, found: Found | None) -> list[dict]:
        """What else could be done than what was found. None: the training refuses."""
        offered = []
        for what, changes, kind in ELSE:
            with suppress(*REFUSALS):
                other = self.decide(**changes)
                if other.kind == kind and other != found:
                    offered.append({"what": what, "name": other.before.name, "set": changes})
        if found is None or found.kind != NEW:
            offered.append({"what": "anew", "name": self.free, "set": {"name": self.free}})
        return offered


def outlook_for(
    given: Mapping[str, Any], typed: Mapping[str, Any], config: Mapping[str, Any]
) -> Outlook:
    runs, networks = runs_folder(), network_folders()
    earlier = given["continue_from"]
    spec, latent, kind = ON_MODELS[0]
    request = make_request(
        settle(AutoSettings(), spec, latent, kind).settings,
        spec,
        model=None,
        begins_with=None if earlier == NOTHING else hash_now(find(earlier)),
    )
    wish = Wish(
        name=given["name"], request=request, resume=given["resume"], if_taken=given["if_taken"]
    )
    names = numbered(wish.name, runs, networks)
    there = [standing_of(name, runs, networks) for name in names]
    return Outlook(
        wish=wish,
        there=[each for each in there if not each.is_free],
        free=free_name(wish.name, set(running()), runs, networks),
        settings=settings_known(typed),
        shape=shape_known(config),
    )


def typed_in(widgets: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the training's settings. Raises ValueError for a value of another kind."""
    kinds = {field.name: type(field.default) for field in fields(AutoSettings)}
    found = {name: value for name, value in widgets.items() if name in kinds}
    for name, value in found.items():
        if kinds[name] is float and type(value) is int:  # as browsers write 1.0, or 1e400
            found[name] = float(min(max(value, -(10**9)), 10**9))
    return values(found, {name: kinds[name] for name in found})


def notes_on(typed: Mapping[str, Any], spec: HypernetSpec, latent: tuple[int, int]) -> list[str]:
    """What the preset chooses, and warnings. Raises ValueError for bad settings."""
    choice = settle(AutoSettings(**typed), spec, latent)
    return [*choice.reasons, *settings_warnings(choice.settings, spec)]


def settings_known(typed: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the training's settings that depend neither on the model nor on the pictures."""
    asked = AutoSettings(**typed)
    one, other = (
        make_request(settle(asked, spec, latent, kind).settings, spec, model=None).settings
        for spec, latent, kind in ON_MODELS
    )
    return {name: one[name] for name in one if name in typed and one[name] == other[name]}


def shape_known(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the widgets of Hypernet Config say of the spec, where they leave nothing open."""
    plain = ("activation", "layer_norm", "activate_output")
    known = {name: config[name] for name in plain if name in config}
    begins = config.get("weight_initialization", AUTO)
    return known if begins == AUTO else known | {"weight_initialization": begins}


def sentence(found: Found) -> str:
    if found.kind == LOAD:
        return (
            f'Run loads "{found.name}", trained already for {found.before.done:,} updates, if '
            "model, pictures and words are the same."
        )
    if found.kind == RESUME:
        return f'Run goes on with "{found.name}" after {found.before.done:,} updates.'
    said = [each for each in found.said if not each.startswith("To train ")]  # that is a choice
    return " ".join(said) or f'Run trains "{found.name}" anew.'


def hash_now(path: Path) -> str:
    stat = path.stat()
    return cached_hash(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=16)
def cached_hash(path: Path, *stamps: int) -> str:
    return file_hash(path)


ROUTES = {("POST", "/hypernet/forecast"): forecast}
