"""Answers the editor's panels: what the widgets' settings mean, before anything runs.

The answers come from the library, so the editor's drawings always agree with the run.
"""

from functools import lru_cache
from pathlib import Path

from hypernet.formats.networks import TREE_SUFFIX, open_network
from hypernet.network.spec import SD1_WIDTHS, HypernetSpec
from hypernet.tools.drawing import outline
from hypernet.tools.report import as_lines, describe
from hypernet.training.advice import settings_warnings
from hypernet.training.auto import AutoSettings, settle
from hypernet.training.schedule import RateList, sampled
from hypernet.training.settings import TrainSettings

from ...compat import network_folders
from ..shared.demo_model import demo_widths
from ..train.hypernet_config import spec_of
from ..train.learning_rate import PIXELS, SD1_LATENT, advise
from ..use.load_save import find, known_names
from .pictures import used_pictures
from .requests import values

CONFIG = {
    "layer_structure": str,
    "activation": str,
    "weight_initialization": str,
    "layer_norm": bool,
    "dropout_structure": str,
    "activate_output": bool,
    "widths": str,
}
SCHEDULE = {
    "learning_rate": str,
    "steps": int,
    "batch_size": int,
    "accumulation": int,
    "optimizer": str,
    "preset": str,
}
POINTS = 240  # of a curve, about one per pixel of its drawing


def widths_in(body: object) -> tuple[int, ...]:
    """The widths of the model that will be loaded: SD 1's where it is not the demo model."""
    assert isinstance(body, dict)  # values has refused all else
    return demo_widths() if body.get("demo") is True else SD1_WIDTHS


def latent_in(body: object) -> tuple[int, int]:
    """Rows and columns of a latent of the connected dataset's size; SD 1's if there is none."""
    assert isinstance(body, dict)
    size = body.get("size")
    if not isinstance(size, dict) or not size:
        return SD1_LATENT
    found = values(size, {"width": int, "height": int})
    return max(found["height"] // PIXELS, 1), max(found["width"] // PIXELS, 1)


def spec_in(body: object) -> HypernetSpec:
    """The spec that the widgets of Hypernet Config describe.

    The model is not known yet, so the widths are widths_in's unless the widgets name others.
    """
    given = values(body, CONFIG)
    structure, dropout, widths = (
        given.pop(name) for name in ("layer_structure", "dropout_structure", "widths")
    )
    return spec_of({"": widths_in(body)}, structure, dropout, widths, **given)


def config(query: dict[str, str], body: object) -> dict:
    return outline(spec_in(body))


def schedule(query: dict[str, str], body: object) -> dict:
    """The schedule that Train Hypernet will follow, and warnings about it.

    Where something is open, it is what the preset chooses for the connected config and size.
    """
    asked, spec = AutoSettings(**values(body, SCHEDULE)), spec_above(body)
    choice = settle(asked, spec, latent_in(body))
    said = [*choice.reasons, *settings_warnings(choice.settings, spec)]
    return curve(choice.settings) | {"said": "\n".join(said)}


def learning_rate(query: dict[str, str], body: object) -> dict:
    """What the Learning Rate node will answer.

    Uses the config and the dataset's folder that are connected to the node, if there are any.
    """
    given = values(body, SCHEDULE | {"pictures": int})
    assert isinstance(body, dict)  # values has refused all else
    if body.get("dataset"):
        given["pictures"] = used_pictures(body["dataset"])
    settings, said = advise(spec_above(body), latent_in(body), **given)
    return curve(settings) | {"said": said}


def spec_above(body: object) -> HypernetSpec:
    """The spec of the config that is connected to the node; the usual one if there is none."""
    assert isinstance(body, dict)  # values has refused all else
    if body.get("config"):
        return spec_in(body["config"])
    return HypernetSpec(widths=widths_in(body))


def curve(settings: TrainSettings) -> dict:
    return {
        "learning_rate": settings.learning_rate,
        "steps": settings.steps,
        "points": sampled(settings.schedule, POINTS),
        "stepped": isinstance(settings.schedule, RateList),
    }


def file(query: dict[str, str], body: object) -> dict:
    """The description of a network's file, as lines of (label, text)."""
    path = find(query.get("name", ""))
    stamps = [path.stat()]
    if path.suffix.lower() == TREE_SUFFIX:  # a tree reads other files
        stamps = [find(name).stat() for name in known_names()]
    return {"lines": described(path, tuple((s.st_mtime_ns, s.st_size) for s in stamps))}


@lru_cache(maxsize=64)
def described(path: Path, stamps: tuple) -> list[tuple[str, str]]:
    """The description of a file, kept until its stamps change: a large file takes a second."""
    return as_lines(describe(path, open_network(path, network_folders())))


def files(query: dict[str, str], body: object) -> dict:
    return {"names": known_names()}


ROUTES = {
    ("GET", "/hypernet/file"): file,
    ("GET", "/hypernet/files"): files,
    ("POST", "/hypernet/config"): config,
    ("POST", "/hypernet/schedule"): schedule,
    ("POST", "/hypernet/learning_rate"): learning_rate,
}
