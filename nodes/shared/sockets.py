"""The sockets of our own, and how widgets get their defaults from the library's dataclasses."""

from collections.abc import Sequence
from dataclasses import Field, dataclass, fields
from typing import Any

from hypernet.network.spec import HypernetSpec

from ...compat import io

CATEGORY = "hypernet"

HypernetSocket = io.Custom("HYPERNET")  # hypernet.Hypernetwork
ConfigSocket = io.Custom("HYPERNET_CONFIG")  # Config below
DatasetSocket = io.Custom("HYPERNET_DATASET")  # hypernet.dataset.Dataset


@dataclass(frozen=True)
class Config:
    """A network to be trained. With every_width the trained model's widths replace the spec's."""

    spec: HypernetSpec
    every_width: bool


def default(settings: type, name: str) -> Any:
    """The default of a dataclass field: the one place where a widget's default lives."""
    return next(field.default for field in fields(settings) if field.name == name)


def first_widgets(settings: type, names: Sequence[str]) -> list[io.Input]:
    """The widgets of these fields, by their metadata; every prompt must have a value for each."""
    described = {each.name: each for each in fields(settings)}
    return [widget(described[name], optional=False) for name in names]


def more_widgets(settings: type, others: Sequence[str]) -> list[io.Input]:
    """A widget for every field whose metadata describe one, but for the others.

    They are optional, and stand behind all else: saved workflows that lack them still run.
    """
    return [
        widget(each, optional=True)
        for each in fields(settings)
        if each.metadata and each.name not in others
    ]


def widget(each: Field, *, optional: bool) -> io.Input:
    about = each.metadata
    shared = {
        "default": each.default, "tooltip": about["about"], "optional": optional,
        "advanced": about["rare"],
    }  # fmt: skip
    if about["options"]:
        return io.Combo.Input(each.name, options=list(about["options"]), **shared)
    if isinstance(each.default, bool):
        return io.Boolean.Input(each.name, **shared)
    if isinstance(each.default, str):
        return io.String.Input(each.name, **shared)
    if each.name == "seed":  # or the editor adds a widget that changes it after every run
        shared["control_after_generate"] = False
    kind = io.Int if isinstance(each.default, int) else io.Float
    step = {} if about["step"] is None else {"step": about["step"]}
    return kind.Input(each.name, min=about["low"], max=about["high"], **step, **shared)


TOOLS = f"{CATEGORY}/tools"
